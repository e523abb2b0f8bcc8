"""Writes ClassAd expressions into HTCondor's configuration so that they keep their meaning.

The factory writes expressions in the ClassAd language of today, where a string has a backslash escaped by
another. HTCondor reads the right side of a setting in the older syntax, where a backslash stands for itself
and only a quote is escaped. A regular expression carried over unchanged would mean one thing in the factory
and another on the node: it is translated, and refused where the older syntax has no word for it.
"""

import re
from typing import Match, Union

_ESCAPE = re.compile(r'\\(.?)("?)')


def setting(expression: str) -> str:
    """A ClassAd expression as the right side of a setting. Raises ValueError when it cannot be said there."""
    return _ESCAPE.sub(_translate_escape, _without_macros(expression))


def literal(value: Union[str, int, float, bool]) -> str:
    """A ClassAd literal as the right side of a setting. Raises ValueError when it cannot be said there."""
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, str):
        if value.endswith("\\"):
            raise ValueError(
                "must not end with a backslash: HTCondor would read it with the quote that follows"
            )
        return _without_macros('"{}"'.format(value.replace('"', '\\"')))
    return repr(value)


def plain(text: str) -> str:
    """A path or name as the right side of a setting that is no expression."""
    return _without_macros(text)


def _without_macros(text: str) -> str:
    # $(X) is a macro of the configuration language wherever it stands; $(DOLLAR) is the way to say "$".
    return text.replace("$", "$(DOLLAR)")


def _translate_escape(found: Match[str]) -> str:
    escaped, quote = found.group(1), found.group(2)
    if escaped == '"':
        return '\\"' + quote
    if escaped != "\\":
        raise ValueError("the escape \\{} cannot be said in HTCondor's configuration".format(escaped))
    if quote:
        raise ValueError("a string that ends with a backslash cannot be said in HTCondor's configuration")
    return "\\"

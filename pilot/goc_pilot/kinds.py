"""The kinds of value a configuration key may have: one reader each, which says the rule a value breaks."""

import re
from typing import Any, Dict, Tuple, Union

from goc_pilot.classad_text import literal, setting
from goc_pilot.clock import parse_epoch
from goc_pilot.validations import read_validations

Scalar = Union[str, int, float, bool]

#: Settings of HTCondor that the configuration may give: about the network and the logs, never about policy,
#: security or where things are.
CONDOR_SETTINGS = frozenset(
    (
        "ALL_DEBUG",
        "DEFAULT_DOMAIN_NAME",
        "ENABLE_IPV4",
        "ENABLE_IPV6",
        "ENABLE_URL_TRANSFERS",
        "MASTER_DEBUG",
        "NETWORK_INTERFACE",
        "NO_DNS",
        "STARTD_DEBUG",
        "STARTER_DEBUG",
        "TCP_FORWARDING_HOST",
        "UPDATE_INTERVAL",
    )
)

#: Attributes of the slot that the pilot or the startd writes, in lower case.
OWN_ATTRIBUTES = frozenset(
    (
        "classadlifetime",
        "glidein_site",
        "glidein_resource",
        "glidein_entry_name",
        "glidein_factory",
        "goc_accepting",
        "goc_digest",
        "goc_draining",
        "goc_endat",
        "goc_pilotfile",
        "goc_pilotid",
        "goc_start",
        "goc_vo",
        "rank",
        "requirements",
        "start",
    )
)

_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def read_text(value: Any) -> str:
    """One line, not empty. Raises ValueError."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a text of one line, not empty")
    return value.strip()


def read_expression(value: Any) -> str:
    """A ClassAd expression of one line that can be said in HTCondor's configuration. Raises ValueError."""
    text = read_text(value)
    setting(text)
    return text


def read_label(value: Any) -> str:
    """A text that becomes a ClassAd string. Raises ValueError."""
    text = read_text(value)
    literal(text)
    return text


def read_path(value: Any) -> str:
    """A path, or the empty text for "not given". Raises ValueError."""
    return read_text(value) if value != "" else ""


def read_name(value: Any) -> str:
    """A plain name: part of the startd's name, where @ and blanks have a meaning. Raises ValueError."""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise ValueError("must consist of letters, digits, dots, dashes and underscores")
    return value


def read_texts(value: Any) -> Tuple[str, ...]:
    """Members of a ClassAd string list, at least one. Raises ValueError."""
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of at least one text")
    texts = tuple(read_label(item) for item in value)
    if any("," in text for text in texts):
        raise ValueError("a comma parts the members of a ClassAd string list; leave it out")
    return texts


def read_seconds(value: Any) -> int:
    """A whole number, 0 or more. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("must be a whole number, 0 or more")
    return value


def read_count(value: Any) -> int:
    """A whole number above 0. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number above 0")
    return value


def read_instant(value: Any) -> float:
    """A UTC time as seconds since 1970. Raises ValueError."""
    return parse_epoch(read_text(value))


def read_attribute(value: Any) -> str:
    """The name of a ClassAd attribute. Raises ValueError."""
    if not isinstance(value, str) or _ATTRIBUTE.fullmatch(value) is None:
        raise ValueError("must be a ClassAd attribute name")
    return value


def read_attributes(value: Any) -> Dict[str, Scalar]:
    """Attributes to advertise beside the pilot's own. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("must be an object of attribute names and values")
    for name, member in value.items():
        if read_attribute(name).lower() in OWN_ATTRIBUTES:
            raise ValueError("{} is written by the pilot itself".format(name))
        if not isinstance(member, (str, int, float)):
            raise ValueError("{} must be a text, a number or a truth value".format(name))
        if isinstance(member, str) and not member.isprintable():
            raise ValueError("{} must be of one line".format(name))
        literal(member)
    return value


def read_settings(value: Any) -> Dict[str, str]:
    """Settings of HTCondor out of CONDOR_SETTINGS. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("must be an object of HTCondor settings")
    for name, member in value.items():
        if name not in CONDOR_SETTINGS:
            allowed = ", ".join(sorted(CONDOR_SETTINGS))
            raise ValueError("{} may not be set here; allowed: {}".format(name, allowed))
        if not isinstance(member, str) or not member.isprintable():
            raise ValueError("{} must be a text of one line".format(name))
    return value


READERS: Dict[str, Any] = {
    "text": read_text,
    "expression": read_expression,
    "label": read_label,
    "path": read_path,
    "name": read_name,
    "texts": read_texts,
    "seconds": read_seconds,
    "count": read_count,
    "instant": read_instant,
    "attribute": read_attribute,
    "attributes": read_attributes,
    "settings": read_settings,
    "validations": read_validations,
}

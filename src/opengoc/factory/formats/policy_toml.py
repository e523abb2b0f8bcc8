"""Writes the draft of a policy for converted entries: it declares what they set, and serves their VOs."""

from __future__ import annotations

from opengoc.factory.formats.convert import Converted
from opengoc.factory.formats.toml_text import toml_key, toml_table

#: What a VO requires until somebody says more: the sites that a job asks for, where it asks for any.
_REQUIREMENTS = 'job.DESIRED_Sites == "" || stringListMember(entry.Site, job.DESIRED_Sites)'


def policy_toml(converted: Converted) -> str:
    """The text."""
    declared = [toml_table(f"[entry.{name}]", {"type": kind}) for name, kind in converted.types.items()]
    served = [toml_table(f"[vos.{toml_key(vo)}]", {"requirements": _REQUIREMENTS}) for vo in converted.vos]
    return "\n".join([*declared, *served])

"""Files of a glideinWMS factory for tests: whole entries with whatever is to be different."""

from __future__ import annotations

from pathlib import Path

from opengoc.factory.formats.foreign import ForeignEntry
from opengoc.factory.formats.glideinwms import read_file

CAPS = {"per_entry": (100, 20, 10), "default_per_frontend": (50, 10, 5)}
ATTRIBUTES = {
    "GLIDEIN_CPUS": ("string", "8"),
    "GLIDEIN_MaxMemMBs": ("int", "16000"),
    "GLIDEIN_Max_Walltime": ("int", "172800"),
    "GLIDEIN_ResourceName": ("string", "CE-A"),
    "GLIDEIN_Site": ("string", "SITE-A"),
    "GLIDEIN_Supported_VOs": ("string", "CMS,OSGVO"),
}


def entry_xml(
    name: str,
    *,
    attributes: dict[str, tuple[str, str] | None] | None = None,
    caps: dict[str, tuple[object, object, object]] | None = None,
    submit: dict[str, str] | None = None,
    **given: str,
) -> str:
    """One ``<entry>``; an attribute changed to None is left out."""
    words = {
        "enabled": "True",
        "gridtype": "condor",
        "gatekeeper": "ce.a.org ce.a.org:9619",
        "auth_method": "scitoken",
        "trust_domain": "grid",
    } | given
    chosen = {key: value for key, value in (ATTRIBUTES | (attributes or {})).items() if value is not None}
    limits = CAPS | (caps or {})
    named = "".join(
        f'<per_frontend name="{scope}" glideins="{t}" idle="{i}" held="{h}"/>'
        for scope, (t, i, h) in limits.items()
        if scope not in CAPS
    )
    lines = [
        f'<entry name="{name}" ' + " ".join(f'{key}="{value}"' for key, value in words.items()) + ">",
        "<config><max_jobs>",
        *(
            f'<{scope} glideins="{limits[scope][0]}" idle="{limits[scope][1]}" held="{limits[scope][2]}"/>'
            for scope in CAPS
        ),
        f"<per_frontends>{named}</per_frontends>",
        '</max_jobs><release max_per_cycle="20" sleep="0.2"/>',
        '<submit cluster_size="10"><submit_attrs>',
        *(f'<submit_attr name="{key}" value="{value}"/>' for key, value in (submit or {}).items()),
        "</submit_attrs></submit></config>",
        "<attrs>",
        *(
            f'<attr name="{key}" type="{kind}" value="{value}" publish="True"/>'
            for key, (kind, value) in chosen.items()
        ),
        "</attrs></entry>",
    ]
    return "\n".join(lines)


def write_file(path: Path, *entries: str) -> Path:
    """A file of these entries."""
    path.write_text("\n".join(["<glidein><entries>", *entries, "</entries></glidein>"]) + "\n")
    return path


def read_entry(folder: Path, xml: str, file: str = "10-test.xml") -> ForeignEntry:
    """The one entry of a file."""
    (entry,) = read_file(write_file(folder / file, xml)).entries
    return entry

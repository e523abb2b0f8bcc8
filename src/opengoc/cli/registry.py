"""``goc registry``: import, check, show and export facilities, sites, resources, VOs and contacts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant
from opengoc.cli.output import AsOf, Json, emit, err, house_of, table
from opengoc.registry.contacts import named_persons, read_contacts
from opengoc.registry.findings import Finding, Grade
from opengoc.registry.formats.persons_write import NOBODY, Persons
from opengoc.registry.formats.topology_write import write_tree
from opengoc.registry.lint import lint_tree
from opengoc.registry.model import Contact, ContactRole, Resource, Service
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import ImportResult, import_tree
from opengoc.store import vault

#: What a field says when it says nothing.
_NOTHING: tuple[object, ...] = (None, "", (), {})

app = typer.Typer(no_args_is_help=True, help="Sites, resources, services, VOs and contacts.")

Tree = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIR]", help="Registry tree; default: registry/ in the home.", show_default=False
    ),
]


class Kind(StrEnum):
    """What can be shown."""

    FACILITY = "facility"
    SITE = "site"
    GROUP = "group"
    RESOURCE = "resource"
    VO = "vo"
    SUPPORT_CENTER = "support-center"
    PROJECT = "project"
    CAMPUS_GRID = "campus-grid"
    INSTITUTION = "institution"
    VOCABULARY = "vocabulary"
    CONTACT = "contact"
    QUARANTINE = "quarantine"


@app.command("import")
def import_(
    ctx: typer.Context,
    directory: Tree = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse the tree for any doubt, and for any faulty downtime.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make the registry say what a tree of YAML files says, whole or not at all.

    Downtimes that nobody can act on (such as one that ends before it starts) are quarantined and listed; any
    other fault refuses the tree.
    """
    house = house_of(ctx)
    root = _tree(house, directory)
    with house.database.begin() as conn, conn.begin_nested() as attempt:
        result = import_tree(conn, root, house.who, strict=strict)
        if dry_run:
            attempt.rollback()
    _warn(result)
    emit({**result.to_json(), "dry_run": dry_run}, as_json=as_json, text=lambda: _imported(result, dry_run))


@app.command()
def lint(ctx: typer.Context, directory: Tree = None, as_json: Json = False) -> None:
    """Check a tree and list everything found, by file and line; exit code 1 where there is anything."""
    _, findings = lint_tree(_tree(house_of(ctx), directory))
    emit([finding.to_json() for finding in findings], as_json=as_json, text=lambda: _linted(findings))
    if findings:
        raise typer.Exit(1)


@app.command()
def show(
    ctx: typer.Context,
    kind: Annotated[Kind | None, typer.Argument(help="Kind; without one, how many there are.")] = None,
    name: Annotated[str | None, typer.Argument(help="Name of one (a contact: its id).")] = None,
    persons: Annotated[bool, typer.Option("--persons", help="Name contacts; needs --why.")] = False,
    why: Annotated[str, typer.Option(help="What the names are needed for: goes to the access log.")] = "",
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Show what stands in the registry, or stood as known at --as-of."""
    house = house_of(ctx)
    registry = house.registry(known_at=as_of)
    if kind is Kind.CONTACT:
        _show_contacts(house, registry, name, persons=persons, why=why, as_json=as_json)
    elif kind is None:
        counts = {each.value: len(_entries(registry, each)) for each in Kind}
        counts["downtime"] = len(registry.downtimes)
        emit(counts, as_json=as_json, text=lambda: table(["kind", "entries#"], counts.items()))
    elif name is None:
        values = [value for _, value in sorted(_entries(registry, kind).items())]
        emit(
            [asdict(value) for value in values],
            as_json=as_json,
            text=lambda: _listed(registry, kind, values),
        )
    else:
        value = _one(registry, kind, name)
        emit(
            asdict(value),  # type: ignore[call-overload]
            as_json=as_json,
            text=lambda: table(["field", "value"], _lines(value), title=escape(f"{kind} {name}")),
        )


@app.command()
def export(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Empty or new folder.")],
    persons: Annotated[bool, typer.Option("--persons", help="Name contacts; needs --why.")] = False,
    why: Annotated[str, typer.Option(help="What the names are needed for: goes to the access log.")] = "",
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Write the registry as a tree of YAML files that imports back unchanged."""
    house = house_of(ctx)
    registry = house.registry(known_at=as_of)
    named: Persons = NOBODY
    if persons:
        with house.database.begin() as conn:
            named = named_persons(conn, who=house.who, why=_reason(why))
    files = write_tree(registry, directory, persons=named)
    emit(
        {"files": files, "folder": str(directory)},
        as_json=as_json,
        text=lambda: f"{files} files in {directory}",
    )


def _tree(house: House, directory: Path | None) -> Path:
    return house.path(Path("registry")) if directory is None else directory


def _entries(registry: Registry, kind: Kind) -> Mapping[str, Any]:
    return {
        Kind.FACILITY: registry.facilities,
        Kind.SITE: registry.sites,
        Kind.GROUP: registry.groups,
        Kind.RESOURCE: registry.resources,
        Kind.VO: registry.vos,
        Kind.SUPPORT_CENTER: registry.support_centers,
        Kind.PROJECT: registry.projects,
        Kind.CAMPUS_GRID: registry.campus_grids,
        Kind.INSTITUTION: registry.institutions,
        Kind.VOCABULARY: registry.vocabularies,
        Kind.CONTACT: {role.contact: role for _, _, role in registry.roles()},
        Kind.QUARANTINE: registry.quarantined,
    }[kind]


def _one(registry: Registry, kind: Kind, name: str) -> object:
    found = registry.vo(name) if kind is Kind.VO else _entries(registry, kind).get(name)
    if found is None:
        raise InvalidInput(kind, name, f"is not in the registry; `goc registry show {kind}` lists what is")
    return found


def _warn(result: ImportResult) -> None:
    """On standard error: every quarantined downtime, and how many doubts there are."""
    faults = [finding for finding in result.findings if finding.grade is Grade.FAULT]
    for finding in faults:
        err.print(f"quarantined: {finding}", markup=False, highlight=False, soft_wrap=True)
    doubts = len(result.findings) - len(faults)
    if doubts:
        err.print(f"{doubts} doubts passed over: `goc registry lint` lists them", highlight=False)


def _reason(why: str) -> str:
    if not why.strip():
        raise InvalidInput("--why", why, "is needed with --persons: reading names is written down")
    return why


def _show_contacts(
    house: House, registry: Registry, contact: str | None, *, persons: bool, why: str, as_json: bool
) -> None:
    """Who holds which roles; by name only when asked for, which is written down."""
    held: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for holder, name, role in registry.roles():
        held[role.contact].append((holder, name, role.role))
    if contact is not None and contact not in held:
        raise InvalidInput("contact", contact, "holds no role; `goc registry show contact` lists who does")
    shown = sorted(held) if contact is None else [contact]
    known: dict[str, Contact] = {}
    if persons:
        with house.database.begin() as conn:
            known = read_contacts(conn, shown, who=house.who, why=_reason(why))
    values = [
        {"id": each, "roles": held[each]} | (_named(known.get(each)) if persons else {}) for each in shown
    ]
    columns = ["id", *(["name", "address"] if persons else []), "roles#"]
    rows = [[*(v[k] for k in ("id", "name", "email") if k in v), len(v["roles"])] for v in values]
    emit(values if contact is None else values[0], as_json=as_json, text=lambda: table(columns, rows))


def _named(contact: Contact | None) -> dict[str, Any]:
    if contact is None:
        return {"name": None, "email": None, "subjects": []}
    return {"name": contact.name, "email": contact.email, "subjects": list(contact.subjects)}


@app.command()
def erase(
    ctx: typer.Context,
    contact: Annotated[str, typer.Argument(help="Id of the contact.")],
    why: Annotated[str, typer.Option(help="The reason, kept in the access log.")],
    as_json: Json = False,
) -> None:
    """Forget a person: name, address and certificates. The same source does not bring them back."""
    house = house_of(ctx)
    with house.database.begin() as conn:
        vault.erase(conn, contact, who=house.who, why=why)
    emit({"erased": contact}, as_json=as_json, text=lambda: f"{contact} is erased")


@app.command()
def accesses(
    ctx: typer.Context,
    contact: Annotated[str | None, typer.Argument(help="Id of one contact.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Who read, wrote or erased contacts, when and why; newest first."""
    with house_of(ctx).database.read() as conn:
        found = vault.accesses(conn, contact)
    emit(
        [asdict(access) for access in found],
        as_json=as_json,
        text=lambda: table(
            ["at", "who", "act", "contact", "why"],
            [(format_instant(a.at), escape(a.who), a.act, escape(a.person), escape(a.why)) for a in found],
            empty="nobody's data was touched",
        ),
    )


def _imported(result: ImportResult, dry_run: bool) -> object:
    counts = (result.added, result.changed, result.retracted, result.unchanged)
    rows = [(kind, *(count.get(kind, 0) for count in counts)) for kind in result.added]
    shown = [row for row in rows if any(row[1:])]
    if not result.cancelled and not any(any(row[1:4]) for row in rows):
        return f"nothing changed: {sum(result.unchanged.values())} entries are as the tree says"
    title = "Dry run: nothing of this was written" if dry_run else "Imported"
    if result.cancelled:
        title += f"; downtimes cancelled because they vanished: {result.cancelled}"
    return table(["kind", "added#", "changed#", "retracted#", "unchanged#"], shown, title=title)


def _linted(findings: tuple[Finding, ...]) -> object:
    """One line a finding, as compilers write them."""
    lines = [f"{finding.where}: {finding.grade}: {finding.value}: {finding.rule}" for finding in findings]
    return escape("\n".join(lines) or "no fault, no doubt")


def _listed(registry: Registry, kind: Kind, values: list[Any]) -> object:
    columns, row = _COLUMNS[kind]
    rows = [
        [None if cell is None else escape(str(cell)) for cell in row(registry, value)] for value in values
    ]
    return table(columns, rows, empty=f"no {kind} in the registry")


def _in_use(value: Any) -> str:
    return "disabled" if value.disabled else "active" if getattr(value, "active", True) else "inactive"


def _services(resource: Resource) -> str:
    return ", ".join(service.kind for service in resource.services)


#: Kind → columns, and the row of one value.
_COLUMNS: dict[Kind, tuple[tuple[str, ...], Callable[[Registry, Any], tuple[object, ...]]]] = {
    Kind.FACILITY: (("facility", "ID#"), lambda _, each: (each.name, each.number)),
    Kind.SITE: (
        ("site", "facility", "country", "resources#"),
        lambda registry, each: (
            each.name,
            each.facility,
            each.country,
            len(registry.resources_of(each.name)),
        ),
    ),
    Kind.GROUP: (
        ("group", "site", "grid"),
        lambda _, each: (each.name, each.site, "production" if each.production else "testbed"),
    ),
    Kind.RESOURCE: (
        ("resource", "site", "services", "state"),
        lambda _, each: (each.name, each.site, _services(each), _in_use(each)),
    ),
    Kind.VO: (
        ("VO", "long name", "fields of science", "state"),
        lambda _, each: (each.name, each.long_name, ", ".join(each.fields_of_science), _in_use(each)),
    ),
    Kind.SUPPORT_CENTER: (
        ("support centre", "long name"),
        lambda _, each: (each.name, each.long_name),
    ),
    Kind.PROJECT: (
        ("project", "organization", "field of science"),
        lambda _, each: (each.name, each.organization, each.field_of_science),
    ),
    Kind.CAMPUS_GRID: (("campus grid", "ID#"), lambda _, each: (each.name, each.number)),
    Kind.INSTITUTION: (("institution", "address"), lambda _, each: (each.name, each.address)),
    Kind.VOCABULARY: (("vocabulary", "terms#"), lambda _, each: (each.name, len(each.terms))),
    Kind.QUARANTINE: (
        ("downtime", "file", "reason"),
        lambda _, each: (each.id, each.file, "; ".join(each.reasons)),
    ),
}


def _lines(value: Any) -> list[tuple[str, str]]:
    """One line a field that says something; what is only carried is left to ``--json``."""
    said = [(each.name, getattr(value, each.name)) for each in fields(value) if each.name != "carried"]
    return [(name.replace("_", " "), _text(content)) for name, content in said if content not in _NOTHING]


def _text(content: object) -> str:
    if isinstance(content, tuple):
        return "\n".join(_text(item) for item in content)
    if isinstance(content, Service):
        endpoint = f" at {content.endpoint}" if content.endpoint else ""
        return escape(f"{content.kind}{endpoint}: {content.description}".removesuffix(": "))
    if isinstance(content, ContactRole):
        return escape(f"{content.role} {content.rank}".strip() + f": {content.contact}")
    if isinstance(content, Mapping):
        return escape(", ".join(f"{name}: {share}" for name, share in content.items()))
    if isinstance(content, bool):
        return "yes" if content else "no"
    return escape(str(content))

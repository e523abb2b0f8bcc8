"""``goc registry``: import, check, show and export facilities, sites, resources, VOs and contacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.cli.output import AsOf, Json, emit, err, house_of, table
from opengoc.registry.findings import Finding
from opengoc.registry.formats.topology_write import write_tree
from opengoc.registry.lint import lint_tree
from opengoc.registry.model import Contact, ContactRole, Resource, Service
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import ImportResult, import_tree, load_registry

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
    CONTACT = "contact"


@app.command("import")
def import_(
    ctx: typer.Context,
    directory: Tree = None,
    lenient: Annotated[
        bool, typer.Option(help="Pass over doubts, and leave out downtimes with faults, instead of refusing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make the registry say what a tree of YAML files says, whole or not at all."""
    house = house_of(ctx)
    root = _tree(house, directory)
    with house.database.begin() as conn, conn.begin_nested() as attempt:
        result = import_tree(conn, root, house.who, lenient=lenient)
        if dry_run:
            attempt.rollback()
    for finding in result.findings:
        err.print(f"passed over: {finding}", markup=False, highlight=False, soft_wrap=True)
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
    persons: Annotated[bool, typer.Option(help="Show names and addresses of contacts.")] = False,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Show what stands in the registry, or stood as known at --as-of."""
    with house_of(ctx).database.read() as conn:
        registry = load_registry(conn, known_at=as_of)
    if kind is None:
        counts = {each.value: len(_entries(registry, each)) for each in Kind}
        counts["downtime"] = len(registry.downtimes)
        emit(counts, as_json=as_json, text=lambda: table(["kind", "entries#"], counts.items()))
    elif name is None:
        values = [value for _, value in sorted(_entries(registry, kind).items())]
        emit(
            [_json(value, persons) for value in values],
            as_json=as_json,
            text=lambda: _listed(registry, kind, values, persons),
        )
    else:
        value = _one(registry, kind, name)
        emit(
            _json(value, persons),
            as_json=as_json,
            text=lambda: table(["field", "value"], _lines(value, persons), title=escape(f"{kind} {name}")),
        )


@app.command()
def export(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Empty or new folder.")],
    persons: Annotated[bool, typer.Option(help="Write names and addresses of contacts too.")] = False,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Write the registry as a tree of YAML files that imports back unchanged."""
    with house_of(ctx).database.read() as conn:
        registry = load_registry(conn, known_at=as_of)
    files = write_tree(registry, directory, persons=persons)
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
        Kind.CONTACT: registry.contacts,
    }[kind]


def _one(registry: Registry, kind: Kind, name: str) -> object:
    found = registry.vo(name) if kind is Kind.VO else _entries(registry, kind).get(name)
    if found is None:
        raise InvalidInput(kind, name, f"is not in the registry; `goc registry show {kind}` lists what is")
    return found


def _json(value: Any, persons: bool) -> dict[str, Any]:
    """The value as JSON values; persons stay behind their ids unless asked for."""
    content = asdict(value)
    if isinstance(value, Contact) and not persons:
        del content["name"], content["email"]
    return content


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


def _listed(registry: Registry, kind: Kind, values: list[Any], persons: bool) -> object:
    columns, row = _COLUMNS[kind]
    if kind is Kind.CONTACT and persons:
        columns, row = ("id", "name", "address"), lambda _, contact: (contact.id, contact.name, contact.email)
    rows = [
        [None if cell is None else escape(str(cell)) for cell in row(registry, value)] for value in values
    ]
    return table(columns, rows, empty=f"no {kind} in the registry")


def _in_use(value: Any) -> str:
    return "disabled" if value.disabled else "active" if getattr(value, "active", True) else "inactive"


def _services(resource: Resource) -> str:
    return ", ".join(service.kind for service in resource.services)


def _roles_of(registry: Registry, contact: Contact) -> int:
    holders = (registry.resources, registry.vos, registry.support_centers, registry.reporting_groups)
    roles: list[ContactRole] = [
        role for held in holders for value in held.values() for role in value.contacts
    ]
    return sum(role.contact == contact.id for role in roles)


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
    Kind.CONTACT: (("id", "roles#"), lambda registry, each: (each.id, _roles_of(registry, each))),
}


def _lines(value: Any, persons: bool) -> list[tuple[str, str]]:
    """One line a field that says something; what is only carried is left to ``--json``."""
    said = [(name, getattr(value, name)) for name in _json(value, persons) if name != "carried"]
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

"""Read a registry tree in the layout of OSG Topology: folders of facilities and sites, YAML in them.

The walk over the files; what stands in one entry is read in ``topology_entry``. The layout is described in
docs/reference/registry.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.registry.downtime import QuarantinedDowntime
from opengoc.registry.findings import Findings
from opengoc.registry.formats import project_entry
from opengoc.registry.formats import topology_entry as entry
from opengoc.registry.formats.fields import Fields
from opengoc.registry.formats.people import People, read_person
from opengoc.registry.formats.yaml_document import Mapping as Table
from opengoc.registry.formats.yaml_document import Sequence, in_normal_form, read_document
from opengoc.registry.model import ServiceKind
from opengoc.registry.project import CampusGrid
from opengoc.registry.tree import UNSTORED, Entry, Tree, Value, name_of

_DOWNTIME = "_downtime.yaml"


@dataclass(frozen=True, kw_only=True)
class _Walk:
    """One reading of one tree."""

    root: Path
    tree: Tree
    findings: Findings
    people: People

    def table(self, path: Path, kind: str, *, may_be_empty: bool = False) -> Fields | None:
        """The table a file holds."""
        where = self.relative(path)
        count = len(self.findings.found)
        node = read_document(path, where, self.findings)
        if node is None and len(self.findings.found) == count and may_be_empty:
            node = Table(line=1)
        if isinstance(node, Table):
            return Fields(node, where, kind, self.findings)
        if len(self.findings.found) == count:
            self.findings.fault(f"{where}:1", path.name, f"must hold the table of a {kind}", kind=kind)
        return None

    def named_tables(self, path: Path, kind: str) -> Iterator[tuple[str, Fields]]:
        """The named tables a file holds; an absent file and an empty one hold none."""
        table = self.table(path, kind, may_be_empty=True) if path.exists() else None
        if table is not None:
            yield from table.named_tables()

    def rows(self, path: Path, kind: str) -> Iterator[Fields]:
        """The tables of the list a file holds; an empty file holds none."""
        where = self.relative(path)
        node = read_document(path, where, self.findings)
        if node is None:
            return
        if not isinstance(node, Sequence):
            self.findings.fault(f"{where}:1", path.name, f"must hold a list, one item a {kind}", kind=kind)
            return
        for item in node.items:
            if isinstance(item, Table):
                yield Fields(item, where, kind, self.findings)
            else:
                self.findings.fault(
                    f"{where}:{item.line}", path.name, f"every item must be a {kind}", kind=kind
                )

    def relative(self, path: Path) -> str:
        """The path as findings name it."""
        return path.relative_to(self.root).as_posix()

    def take(self, fields: Fields, read: Callable[[Fields], Value | None], *, key: str | None = None) -> None:
        """Read one entry and take it in, unless it is faulty or its name is taken."""
        before = len(self.findings.found)
        row = fields.as_written() if fields.kind == "downtime" else {}
        try:
            value = read(fields)
        except InvalidInput as error:
            # The model's own invariants: the reader knows the place, the model knows the rule.
            fields.fault(None, error.value, f"{error.where.rpartition(': ')[2]} {error.rule}")
            value = None
        fields.refuse_unknown()
        if value is None:
            if fields.kind == "downtime" and (downtime_id := fields.text("ID")):
                reasons = [f"{found.value} {found.rule}" for found in self.findings.found[before:]]
                apart = quarantined(downtime_id, row, fields.where(), reasons)
                self.tree.quarantine(apart, fields.where())
            return
        standing = self.tree.add(Entry(kind=fields.kind, value=value, where=fields.where(key), row=row))
        if standing is not None:
            fields.fault(key, name_of(value), f"is the name of the {fields.kind} at {standing.where} already")

    def take_numbered(self, table: Fields, make: type[ServiceKind] | type[CampusGrid]) -> None:
        """services.yaml, _CAMPUS_GRIDS.yaml: a number by name, no table each."""
        for name in table.names():
            value = make(id=UNSTORED, name=name, number=table.whole_number(name))
            self.tree.add(Entry(kind=table.kind, value=value, where=table.where(name)))


def quarantined(
    downtime_id: str, row: Mapping[str, Any], where: str, reasons: Iterable[str]
) -> QuarantinedDowntime:
    """A downtime of the file at ``where`` (``path:line``) that is kept apart."""
    path = where.rpartition(":")[0]
    group = in_normal_form(path.rpartition("/")[2].removesuffix(_DOWNTIME))
    return QuarantinedDowntime(id=downtime_id, group=group, file=path, reasons=tuple(reasons), entry=row)


def read_tree(root: Path, findings: Findings) -> Tree:
    """Every sound entry below ``root``; what is wrong goes to ``findings``, references are not followed yet.

    Raises InvalidInput when ``root`` holds no registry tree at all.
    """
    if not (root / "topology").is_dir() and not (root / "virtual-organizations").is_dir():
        raise InvalidInput(
            str(root), root.name, "holds neither topology/ nor virtual-organizations/: not a registry tree"
        )
    walk = _Walk(root=root, tree=Tree(), findings=findings, people=People(findings))
    _read_contacts(walk)
    _read_vos(walk)
    _read_projects(walk)
    _read_mappings(walk)
    _read_topology(walk)
    for contact in walk.people.entries():
        walk.tree.add(contact)
    return walk.tree


def _read_contacts(walk: _Walk) -> None:
    for contact_id, fields in walk.named_tables(walk.root / "contacts.yaml", "contact"):
        read_person(fields, contact_id, walk.people)


def _read_vos(walk: _Walk) -> None:
    folder = walk.root / "virtual-organizations"
    groups = folder / "REPORTING_GROUPS.yaml"
    for name, fields in walk.named_tables(groups, "reporting-group"):
        walk.take(fields, entry.reporting_group(name, walk.people))
    for path in _yaml_files(folder):
        table = walk.table(path, "vo") if path != groups else None
        if table is not None:
            walk.take(table, entry.vo(in_normal_form(path.stem), walk.people))


def _read_projects(walk: _Walk) -> None:
    folder = walk.root / "projects"
    grids = folder / "_CAMPUS_GRIDS.yaml"
    table = walk.table(grids, "campus-grid", may_be_empty=True) if grids.exists() else None
    if table is not None:
        walk.take_numbered(table, CampusGrid)
    for path in _yaml_files(folder):
        table = walk.table(path, "project") if path != grids else None
        if table is not None:
            walk.take(table, project_entry.project(in_normal_form(path.stem), walk.people))


def _read_mappings(walk: _Walk) -> None:
    for path in _yaml_files(walk.root / "mappings"):
        if path.name == "institution_ids.yaml":
            for fields in walk.rows(path, "institution"):
                walk.take(fields, project_entry.institution)
            continue
        table = walk.table(path, "vocabulary", may_be_empty=True)
        if table is not None:
            walk.take(table, project_entry.vocabulary(in_normal_form(path.stem)))


def _read_topology(walk: _Walk) -> None:
    folder = walk.root / "topology"
    for name, fields in walk.named_tables(folder / "support-centers.yaml", "support-center"):
        walk.take(fields, entry.support_center(name, walk.people))
    services = folder / "services.yaml"
    table = walk.table(services, "service-kind", may_be_empty=True) if services.exists() else None
    if table is not None:
        walk.take_numbered(table, ServiceKind)
    for facility in _folders(folder):
        _read_facility(walk, facility)
    _refuse_stray_files(walk, folder, {"services.yaml", "support-centers.yaml"})


def _read_facility(walk: _Walk, folder: Path) -> None:
    name = in_normal_form(folder.name)
    path = folder / "FACILITY.yaml"
    if not path.exists():
        walk.findings.fault(f"{walk.relative(folder)}:1", name, "has no FACILITY.yaml", kind="facility")
    else:
        fields = walk.table(path, "facility", may_be_empty=True)
        if fields is not None:
            walk.take(fields, entry.facility(name))
    for site in _folders(folder):
        _read_site(walk, site, facility=name)
    _refuse_stray_files(walk, folder, {"FACILITY.yaml"})


def _read_site(walk: _Walk, folder: Path, *, facility: str) -> None:
    name = in_normal_form(folder.name)
    path = folder / "SITE.yaml"
    if not path.exists():
        walk.findings.fault(f"{walk.relative(folder)}:1", name, "has no SITE.yaml", kind="site")
    else:
        fields = walk.table(path, "site", may_be_empty=True)
        if fields is not None:
            walk.take(fields, entry.site(name, facility))
    groups = [p for p in _yaml_files(folder) if p.name != "SITE.yaml" and not p.name.endswith(_DOWNTIME)]
    for path in groups:
        _read_group(walk, path, site=name)
    for path in _yaml_files(folder):
        if path.name.endswith(_DOWNTIME):
            _read_downtimes(walk, path)


def _read_group(walk: _Walk, path: Path, *, site: str) -> None:
    name = in_normal_form(path.stem)
    fields = walk.table(path, "group")
    if fields is None:
        return
    if not fields.has("Resources"):
        fields.fault(None, name, "has no Resources")
    resources = fields.table("Resources", kind="resource")
    walk.take(fields, entry.group(name, site))
    for resource, table in resources.named_tables():
        walk.take(table, entry.resource(resource, name, site, walk.people))


def _read_downtimes(walk: _Walk, path: Path) -> None:
    group = in_normal_form(path.name.removesuffix(_DOWNTIME))
    if group not in walk.tree.of("group"):
        rule = f"belongs to the resource group {group}, which is not here or is faulty"
        walk.findings.fault(f"{walk.relative(path)}:1", path.name, rule, kind="downtime")
    for fields in walk.rows(path, "downtime"):
        walk.take(fields, entry.downtime)


def _folders(folder: Path) -> list[Path]:
    return (
        sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        if folder.is_dir()
        else []
    )


def _yaml_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix == ".yaml" and not p.name.startswith("."))


def _refuse_stray_files(walk: _Walk, folder: Path, expected: set[str]) -> None:
    """A YAML file one level too high or too low would otherwise vanish without a word.

    A folder may be named like one: it is a facility or a site.
    """
    for path in _yaml_files(folder):
        if path.name not in expected and not path.is_dir():
            walk.findings.fault(f"{walk.relative(path)}:1", path.name, "is no file of this level of the tree")

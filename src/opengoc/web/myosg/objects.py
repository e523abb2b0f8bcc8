"""The old answers that are JSON: an object with a key for each entry, in order, made piece by piece."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from opengoc.registry.kept import Pieces
from opengoc.registry.model import VO, Resource, ResourceGroup
from opengoc.registry.project import Project
from opengoc.registry.snapshot import Registry
from opengoc.web.myosg.persons import Persons
from opengoc.web.myosg.projects import project_tree, sponsor_number
from opengoc.web.myosg.resources import Shapes
from opengoc.web.myosg.vos import reporting_groups_of, vo_json


def as_json(tree: object) -> str:
    """Plain values as JSON, keys in order."""
    return json.dumps(tree, sort_keys=True)


def resource_objects(
    registry: Registry, facilities: Mapping[str, str], shapes: Shapes, persons: Persons, pieces: Pieces
) -> str:
    """Resources; ``facilities``: site → its facility."""

    def text(name: str, resource: Resource) -> str:
        facility = facilities[resource.site]
        made_of = (resource, facility, registry.service_kinds)
        return pieces.of(name, made_of, partial(_resource, resource, facility, shapes, persons))

    return _joined({name: text(name, each) for name, each in registry.resources.items()})


def _resource(resource: Resource, facility: str, shapes: Shapes, persons: Persons) -> str:
    place = {
        "Name": resource.name,
        "Site": resource.site,
        "Facility": facility,
        "ResourceGroup": resource.group,
    }
    return as_json(place | shapes.resource(resource, persons))


def group_objects(registry: Registry, shapes: Shapes, persons: Persons, pieces: Pieces) -> str:
    """Resource groups with their resources; as in the summary, none without."""
    members: dict[str, list[Resource]] = {}
    for _, resource in sorted(registry.resources.items()):
        members.setdefault(resource.group, []).append(resource)

    def text(group: ResourceGroup) -> str:
        made_of = (shapes.above(group), members[group.name], registry.service_kinds)
        return pieces.of(group.name, made_of, partial(_group, group, members[group.name], shapes, persons))

    return _joined({name: text(registry.groups[name]) for name in members})


def _group(group: ResourceGroup, members: list[Resource], shapes: Shapes, persons: Persons) -> str:
    resources = {"Resource": [shapes.resource(each, persons) for each in members]}
    return as_json(shapes.group(group) | {"Resources": resources})


def project_objects(registry: Registry, persons: Persons, pieces: Pieces) -> str:
    """Projects."""

    def text(name: str, project: Project) -> str:
        made_of = (project, sponsor_number(registry, project))
        return pieces.of(name, made_of, lambda: as_json(project_tree(registry, project, persons)))

    return _joined({name: text(name, each) for name, each in registry.projects.items()})


def vo_objects(registry: Registry, numbers: Mapping[str, int], persons: Persons, pieces: Pieces) -> str:
    """VOs; ``numbers``: VO → its number."""

    def text(vo: VO) -> str:
        made_of = (vo, numbers.get(vo.parent or ""), reporting_groups_of(registry, vo))
        return pieces.of(vo.name, made_of, lambda: as_json(vo_json(registry, vo, persons)))

    return _joined({name: text(each) for name, each in registry.vos.items()})


def _joined(texts: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{as_json(name)}: {text}' for name, text in sorted(texts.items()))}}}"

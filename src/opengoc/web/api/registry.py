"""/api/facilities, sites, resources, vos, projects: the registry, as it stands or stood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from opengoc.registry.contacts import read_contacts
from opengoc.registry.tokens import Right
from opengoc.web.api.asking import (
    Asked,
    Asking,
    AsOf,
    Credentials,
    house_of,
    moment,
    page,
    registry_at,
    require,
)
from opengoc.web.api.models import (
    GUARDED,
    PROBLEMS,
    ContactOut,
    FacilityOut,
    Page,
    ProjectOut,
    ResourceOut,
    SiteOut,
    VOOut,
)
from opengoc.web.api.route import ApiRoute

router = APIRouter(prefix="/api", tags=["registry"], route_class=ApiRoute, responses=PROBLEMS)

Out = TypeVar("Out", bound=BaseModel)
Name = Annotated[str, Path(max_length=200)]
Wanted = Annotated[str | None, Query(max_length=200)]


@router.get("/facilities")
def facilities(request: Request, asked: Asking) -> Page[FacilityOut]:
    """Every facility."""
    return _listed(FacilityOut, registry_at(request, asked.as_of).facilities, asked)


@router.get("/facilities/{name}")
def facility(request: Request, name: Name, as_of: AsOf = None) -> FacilityOut:
    """One facility."""
    return _one(FacilityOut, registry_at(request, moment(as_of, "as_of")).facilities, name)


@router.get("/sites")
def sites(request: Request, asked: Asking, facility: Wanted = None, country: Wanted = None) -> Page[SiteOut]:
    """Every site, or those of a facility or country."""
    known = registry_at(request, asked.as_of)
    return _listed(SiteOut, known.sites, asked, facility=facility, country=country)


@router.get("/sites/{name}")
def site(request: Request, name: Name, as_of: AsOf = None) -> SiteOut:
    """One site."""
    return _one(SiteOut, registry_at(request, moment(as_of, "as_of")).sites, name)


@router.get("/resources")
def resources(
    request: Request,
    asked: Asking,
    site: Wanted = None,
    service: Wanted = None,
    active: bool | None = None,
) -> Page[ResourceOut]:
    """Every resource, or those of a site, with a kind of service, or in use."""
    chosen = {
        name: resource
        for name, resource in registry_at(request, asked.as_of).resources.items()
        if service is None or resource.offers(service)
    }
    return _listed(ResourceOut, chosen, asked, site=site, active=active)


@router.get("/resources/{name}")
def resource(request: Request, name: Name, as_of: AsOf = None) -> ResourceOut:
    """One resource."""
    return _one(ResourceOut, registry_at(request, moment(as_of, "as_of")).resources, name)


@router.get("/vos")
def vos(request: Request, asked: Asking, active: bool | None = None) -> Page[VOOut]:
    """Every VO."""
    return _listed(VOOut, registry_at(request, asked.as_of).vos, asked, active=active)


@router.get("/vos/{name}")
def vo(request: Request, name: Name, as_of: AsOf = None) -> VOOut:
    """One VO."""
    return _one(VOOut, registry_at(request, moment(as_of, "as_of")).vos, name)


@router.get("/projects")
def projects(request: Request, asked: Asking, organization: Wanted = None) -> Page[ProjectOut]:
    """Every project, or those of an organization."""
    return _listed(ProjectOut, registry_at(request, asked.as_of).projects, asked, organization=organization)


@router.get("/projects/{name}")
def project(request: Request, name: Name, as_of: AsOf = None) -> ProjectOut:
    """One project."""
    return _one(ProjectOut, registry_at(request, moment(as_of, "as_of")).projects, name)


@router.get("/contacts/{contact}", responses=GUARDED)
def contact(
    request: Request,
    contact: Annotated[str, Path(max_length=100)],
    why: Annotated[str, Query(min_length=3, max_length=300, description="Goes to the access log.")],
    credentials: Credentials = None,
) -> ContactOut:
    """The person behind an id; needs the right ``contacts``, and every reading is written down."""
    token = require(request, credentials, Right.CONTACTS)
    with house_of(request).database.begin() as conn:
        found = read_contacts(conn, [contact], who=token.name, why=why).get(contact)
    if found is None:
        raise HTTPException(404, "no person has this id")
    return ContactOut.model_validate(found)


def _listed(out: type[Out], entries: Mapping[str, Any], asked: Asked, **wanted: object) -> Page[Any]:
    """The part of a list that is asked for, of entries whose fields are as wanted (None: as they are)."""
    said = {field: value for field, value in wanted.items() if value is not None}
    chosen = (
        (name, entry)
        for name, entry in entries.items()
        if all(getattr(entry, field) == value for field, value in said.items())
    )
    part = page(chosen, asked)
    return part.model_copy(update={"items": [out.model_validate(each) for each in part.items]})


def _one(out: type[Out], entries: Mapping[str, Any], name: str) -> Out:
    if name not in entries:
        raise HTTPException(404, "the registry holds no such entry")
    return out.model_validate(entries[name])

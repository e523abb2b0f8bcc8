"""/status: how every service stands now, chosen by VO, place, kind of service and status."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.web.pages import registry_of, service_states_of
from opengoc.web.parts import part_of
from opengoc.web.rendering import Pages
from opengoc.web.resources import STATUSES, Wanted, counts, resources_now

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

#: Resources on one page.
_PAGE = 100
#: What the choices of "active" and "disabled" mean.
_ACTIVE = {"active": True, "inactive": False, "all": None}
_DISABLED = {"enabled": False, "disabled": True, "all": None}

Text = Annotated[str, Query(max_length=200)]


@router.get("/status", name="status")
def status(
    request: Request,
    vo: Text = "",
    place: Text = "",
    service: Text = "",
    status: Text = "",
    active: Text = "active",
    disabled: Text = "enabled",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> HTMLResponse:
    """The services that are asked for, by site."""
    house: House = request.app.state.house
    pages: Pages = request.app.state.templates
    registry, now = registry_of(request), utc_now()
    if status not in ("", *STATUSES):
        raise InvalidInput("status", status, f"must be one of: {', '.join(STATUSES)}")
    wanted = Wanted(
        vo=vo.strip(),
        place=place.strip(),
        service=service,
        status=status,
        active=_choice("active", _ACTIVE, active),
        disabled=_choice("disabled", _DISABLED, disabled),
    )
    rows = resources_now(registry, service_states_of(house, registry, now), wanted, now)
    asked = {
        "vo": vo,
        "place": place,
        "service": service,
        "status": status,
        "active": active,
        "disabled": disabled,
    }
    part = part_of(rows, page, size=_PAGE, asked=asked)
    return pages.page(
        request,
        "status.html",
        title="Current status",
        here="status",
        now=now,
        asked=asked,
        part=part,
        counts=counts(rows),
        sites=[(site, list(several)) for site, several in groupby(part.rows, lambda row: row.resource.site)],
        choices={
            "vo": sorted(registry.vos, key=str.casefold),
            "service": sorted({s.kind for each in registry.resources.values() for s in each.services}),
            "status": STATUSES,
            "active": list(_ACTIVE),
            "disabled": list(_DISABLED),
            "place": sorted({*registry.sites, *registry.facilities}, key=str.casefold),
        },
    )


def _choice(name: str, choices: dict[str, bool | None], said: str) -> bool | None:
    if said not in choices:
        raise InvalidInput(name, said, f"must be one of: {', '.join(choices)}")
    return choices[said]

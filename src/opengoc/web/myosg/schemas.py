"""/schema/….xsd: what the XML answers of this house hold, for those who validate before they read."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from opengoc.web.answer import Answer, respond

router = APIRouter(include_in_schema=False)

Name = Literal["rgsummary.xsd", "rgdowntime.xsd", "vosummary.xsd", "miscproject.xsd"]


@router.get("/schema/{name}", name="schema")
def schema(request: Request, name: Name) -> Response:
    """One schema."""
    text = (files("opengoc.web.myosg") / "schema" / name).read_bytes()
    return respond(request.headers, Answer(text, "text/xml; charset=utf-8"))

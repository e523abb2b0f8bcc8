"""What forms of the pages send: read up to a limit, proven to be ours; and the cookies beside them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import parse_qs

from fastapi import Depends, Request, Response
from starlette.exceptions import HTTPException

#: Name of the hidden field of every form.
CSRF = "csrf"
_MAX_BODY = 64 * 1024
_MAX_FIELDS = 2000


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a form sent."""

    fields: Mapping[str, list[str]]

    def text(self, name: str) -> str:
        """The first value of a field, without blanks around it; empty where it was not sent."""
        return self.fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """Every value of a field, e.g. of ticked boxes."""
        return self.fields.get(name, [])


async def read_form(request: Request) -> Form:
    """The fields of a form, read up to a limit. Raises HTTPException 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "A form is sent as application/x-www-form-urlencoded.")
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > _MAX_BODY:
            raise HTTPException(413, f"A form holds {_MAX_BODY} bytes at most.")
        parts.append(part)
    try:
        text = b"".join(parts).decode()
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "The form cannot be read.") from error
    return Form(fields=fields)


#: The form of a request.
Sent = Annotated[Form, Depends(read_form)]


def check_form(form: Form, expected: str) -> None:
    """Refuse a form that was not made for this visitor. Raises HTTPException 403."""
    if not expected or not secrets.compare_digest(form.text(CSRF).encode(), expected.encode()):
        raise HTTPException(403, "This form is not of your session: open it again, then send it.")


def set_cookie(
    request: Request,
    response: Response,
    name: str,
    value: str,
    lifetime: timedelta,
    *,
    samesite: Literal["strict", "lax"] = "strict",
) -> None:
    """A cookie that no script reads and no other site makes a browser send; ``lax``: links of others may."""
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        httponly=True,
        samesite=samesite,
        secure=request.url.scheme == "https",
    )

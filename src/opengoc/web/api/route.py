"""How an operation of the API runs: errors of the house as JSON, ETag and 304, bodies up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from opengoc.base.errors import Conflict, GocError, InvalidInput, Temporary
from opengoc.web.answer import Answer, respond

#: Largest body of a request.
MAX_BODY = 64 * 1024


class ApiRoute(APIRoute):
    """A route whose answers, good and bad, are all JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The operation with its errors translated."""
        operation = super().get_route_handler()

        async def run(request: Request) -> Response:
            try:
                await _check_body(request)
                response = await operation(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                broken = first["type"] == "json_invalid"
                return problem(400 if broken else 422, str(first["msg"]), where)
            except HTTPException as error:
                return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))
            except InvalidInput as error:
                return problem(422, f"{error.where}: {error.rule}", error.where)
            except Conflict as error:
                return problem(409, str(error))
            except Temporary as error:
                return problem(503, str(error), headers={"Retry-After": "5"})
            except GocError as error:
                return problem(500, str(error))
            if request.method == "GET" and response.status_code == 200:
                private = "authorization" in request.headers
                if not private:
                    return respond(request.headers, Answer(bytes(response.body), "application/json"))
                response.headers["Cache-Control"] = "no-store"
            return response

        return run


def problem(code: int, error: str, where: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says what was wrong."""
    return JSONResponse({"error": error, "where": where}, status_code=code, headers=headers)


async def _check_body(request: Request) -> None:
    """Refuse a body over the limit before it is read whole."""
    if request.method in ("GET", "HEAD"):
        return
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise HTTPException(413, f"the body must hold {MAX_BODY} bytes at most")
        parts.append(part)
    # Where Starlette keeps a body that was read: the operation finds it there.
    request._body = b"".join(parts)

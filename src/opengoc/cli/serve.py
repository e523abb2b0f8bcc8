"""``goc serve``: the pages, on this machine alone unless told otherwise."""

from __future__ import annotations

from typing import Annotated

import typer

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.cli.output import err, house_of

app = typer.Typer()

_MOST_FILES = 65_536
_NEW_OBJECTS = 50_000


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
) -> None:
    """Serve the overview, a page for each site and VO, the weekly report, /healthz and /metrics."""
    import socket

    import uvicorn

    from opengoc.web.server import create_app

    if not host.strip():
        # An empty one, of a variable that is not set, would mean every address of this machine.
        raise InvalidInput("--host", host, "must be an address; 0.0.0.0 for all of this machine's")
    house = house_of(ctx)
    application = create_app(house)
    # The registry is read before the first visitor comes, so that a fault ends the command, not a page.
    application.state.live.current()
    # TCP by name: only where asyncio knows that it is TCP are small answers sent at once, not after 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise Permanent(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
        ) from error
    _allow_connections()
    collect_seldom()
    err.print(f"Pages on http://{host}:{port}/ ; end with Ctrl-C")
    config = uvicorn.Config(application, ws="none", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def collect_seldom() -> None:
    """Look for garbage in cycles every so many new objects.

    A report, a month of A/R and the registry are hundreds of thousands of small objects that stay. At
    Python's own 700 half of the time of building them goes into looking through them again and again.
    """
    import gc

    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


def _allow_connections() -> None:
    """As many open files as this process may have: each visitor that dawdles holds one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

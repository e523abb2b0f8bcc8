"""``goc accounting send``: usage records to another installation, through a spool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from opengoc.accounting.sending import Spool, beat
from opengoc.base.errors import InvalidInput, Temporary
from opengoc.cli.output import Json, emit, house_of


def send(
    ctx: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="Files; none: what waits in the spool.")] = None,
    to: Annotated[
        str, typer.Option(help="Address of the receiver, http://HOST:PORT/accounting/batches.")
    ] = "",
    token_file: Annotated[Path, typer.Option(help="File that holds our token.")] = Path(),
    spool: Annotated[
        Path | None, typer.Option(help="Folder of the spool; default: spool in the home.")
    ] = None,
    heartbeat: Annotated[
        bool, typer.Option("--heartbeat", help="Say that all was given that ended before now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put files into the spool, and send what waits; exit code 4 while some of it has to wait."""
    if not _is_address(to):
        raise InvalidInput("--to", to, "must be the address of a receiver")
    try:
        token = token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--token-file", str(token_file), "cannot be read") from error
    waiting = Spool(spool or house_of(ctx).home / "spool")
    for path in files or ():
        waiting.put(path)
    sent = waiting.deliver(to, token)
    if heartbeat and not sent.waiting:
        beat(to, token, backlog=len(sent.refused))
    emit(
        {
            "batches": sent.receipts,
            "refused": sent.refused,
            "waiting": sent.waiting,
            "reason": sent.reason,
        },
        as_json=as_json,
        text=lambda: f"{len(sent.receipts)} batches sent, {sent.waiting} wait, {len(sent.refused)} refused",
    )
    if sent.waiting:
        raise Temporary(f"{sent.waiting} batches wait in the spool: {sent.reason}")
    if sent.refused:
        raise typer.Exit(1)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # A port beyond 65535, brackets that do not close.
        return False

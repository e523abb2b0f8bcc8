"""The command ``goc``: finds the noun, opens the house, turns errors into messages and exit codes.

Exit codes: 0 ok, 1 the answer is "no", 2 usage, 3 bad input, 4 temporary.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command as typer_command

from opengoc import __version__
from opengoc.app import House, default_home
from opengoc.base.errors import GocError, InvalidInput, Temporary

#: Noun → (module, help). A noun's module is imported only when it is used: ``goc --help`` stays instant.
NOUNS = {
    "accounting": ("opengoc.cli.accounting", "Collect usage records and answer who used what."),
    "ar": ("opengoc.cli.ar", "Availability and reliability of sites."),
    "config": ("opengoc.cli.config", "Check the settings."),
    "demo": ("opengoc.cli.demo", "A real grid on this machine, from an idle job to the week's report."),
    "downtime": ("opengoc.cli.downtime", "Announce, change and cancel downtimes."),
    "factory": ("opengoc.cli.factory", "Send pilots to sites where VOs' jobs wait."),
    "probe": ("opengoc.cli.probe", "Probe the grid's services."),
    "registry": ("opengoc.cli.registry", "Sites, resources, services, VOs and contacts."),
    "report": ("opengoc.cli.report", "The weekly production report."),
    "serve": ("opengoc.cli.serve", "Serve the pages."),
    "session": ("opengoc.cli.session", "Who is logged in on the pages."),
    "status": ("opengoc.cli.status", "The state of every service now."),
    "token": ("opengoc.cli.token", "Who may read contacts and touch downtimes over HTTP."),
    "testbed": ("opengoc.cli.testbed", "Bring a grid up on this machine, and down again."),
}

_LOG = logging.getLogger(__name__)
#: No space, or no quota left.
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: Nouns that are there to make a home.
_MAKERS = ("demo", "testbed")
_COMPLETION = ("install_completion", "show_completion")


class Nouns(TyperGroup):
    """The group ``goc``: one lazily imported sub-command a noun."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """All nouns, in alphabetical order."""
        return sorted(NOUNS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help that names the nouns without importing any."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The noun's own command; None for an unknown noun."""
        if cmd_name not in NOUNS:
            return None
        module, help_text = NOUNS[cmd_name]
        if self._listing:
            return TyperCommand(cmd_name, help=help_text)
        command = typer_command(import_module(module).app)
        command.name = cmd_name
        # Each noun is a command of its own to Typer, which then offers shell completion for each.
        command.params = [p for p in command.params if p.name not in _COMPLETION]
        return command


app = typer.Typer(cls=Nouns, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"goc {__version__}")
        raise typer.Exit


@app.callback()
def _open(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of this installation; default $GOC_HOME, else .goc", show_default=False),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every action to standard error.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """OpenGOC: the operations centre of a production grid."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    house = House(home.absolute() if home is not None else default_home())
    ctx.obj = house
    ctx.call_on_close(house.close)
    if not house.home.exists() and ctx.invoked_subcommand not in _MAKERS:
        ctx.call_on_close(lambda: _tell_of_new(house.home))


def _tell_of_new(home: Path) -> None:
    """An answer from a home that was not there is none: most often another one was meant."""
    if home.exists():
        sys.stderr.write(f"goc: {home} was not there and was made: it held nothing; --home names another\n")


def run() -> None:
    """Entry point of ``goc``: an error raised on purpose ends as one message and its exit code.

    So does what the system refuses (a full disk, a folder where a file should be); ``--verbose`` tells where.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that knows Latin letters alone shows the others by their numbers, as JSON writes them.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _refuse_unreadable(sys.argv[1:])
        try:
            app(prog_name="goc")
        finally:
            # Held back until the process ends, nobody could be told that it was not written.
            if sys.stdout is not None:
                sys.stdout.flush()
    except GocError as error:
        sys.stderr.write(f"goc: {error}\n")
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        # The reader of a pipe went away (`goc … | head`): nobody is left to tell.
        _let_go_of_output()
        raise SystemExit(0) from None
    except OSError as error:
        _LOG.info("refused by the system", exc_info=True)
        if error.errno in _FULL:
            # What is still held back for a full disk fails again when the process ends.
            _let_go_of_output()
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"goc: {where}{error.strerror or error}{_remedy(error)}\n")
        raise SystemExit(Temporary.exit_code if error.errno in _FULL else 1) from None


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        # A home or cache of another user, root's after a run with sudo for one: no fault of the program.
        return "; run as its owner, or give it to this user"
    return "; free some space, then run again" if error.errno in _FULL else ""


def _let_go_of_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _refuse_unreadable(words: Sequence[str]) -> None:
    """Raise InvalidInput for bytes that are no text here: no store takes them."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise InvalidInput("argument", word, "must be UTF-8: check the terminal's LANG") from None

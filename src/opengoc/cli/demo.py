"""``goc demo``: a real grid on this machine, from an idle job to the week's production report."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from opengoc.cli.output import house_of, out
from opengoc.store.hold import hold
from opengoc.testbed import demo as testbed_demo

app = typer.Typer()


@app.command()
def demo(
    ctx: typer.Context,
    jobs: Annotated[int, typer.Option(min=2, max=1000, help="Payload jobs of the two VOs together.")] = 60,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the testbed and the pages running.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what an earlier --keep left running.")] = False,
    port: Annotated[int, typer.Option(help="Port of the pages with --keep.")] = 8765,
) -> None:
    """Bring up a pool and two sites, run jobs of two VOs through pilots, and write the week's report.

    Takes about three minutes on two cores. The first run also makes the private root (HTCondor and Slurm
    from Debian's packages), once for this machine.
    """
    home = house_of(ctx).home
    if stop:
        testbed_demo.stop(home)
        out.print(f"Nothing of the demo in {home} runs any more.", soft_wrap=True)
        return
    began = time.monotonic()
    # A polite end is an interrupt, so that the testbed is taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with hold(home, "demo"):
        testbed_demo.prepare_home(home, pages_port=port if keep else None)
        # A command on two lines could not be pasted.
        shown = testbed_demo.Demo(home, tell=lambda line: out.print(line, soft_wrap=True))
        report = shown.run(jobs=jobs, keep=keep)
        if keep:
            out.print(f"Pages:  {testbed_demo.serve(home, port=port)}")
            out.print(f"End it: {_as_called()} --home {home} demo --stop", soft_wrap=True)
    out.print(f"Report: {report}", soft_wrap=True)
    out.print(f"Done in {time.monotonic() - began:.0f} s")


def _as_called() -> str:
    """The command as it was typed: in a checkout ``goc`` alone is not found."""
    typed = sys.argv[0]
    return typed if Path(typed).name == "goc" else f"{sys.executable} -m opengoc"

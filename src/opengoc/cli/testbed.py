"""``goc testbed``: a real grid on this machine, up and down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from opengoc.cli.output import Json, emit, err, house_of, progress, table
from opengoc.testbed import faults, lifecycle, payloads, root, tools
from opengoc.testbed.diagnosis import explain
from opengoc.testbed.layout import VO_USERS, Layout
from opengoc.testbed.ports import load_or_choose
from opengoc.testbed.status import Status, status_of

app = typer.Typer(no_args_is_help=True, help="Bring a grid up on this machine, and down again.")
fault = typer.Typer(no_args_is_help=True, help="Kill a daemon or a machine, as they die at sites.")
app.add_typer(fault, name="fault")

Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="A root that has HTCondor and Slurm, / for this machine's own; else a private one.",
        show_default=False,
    ),
]
MIB = 1024 * 1024


@app.command()
def install(as_json: Json = False) -> None:
    """Install what is missing on the machine (bubblewrap, mmdebstrap) and build the private root."""
    made = _ready_root(None)
    emit({"root": str(made)}, as_json=as_json, text=lambda: f"root: {made}")


@app.command()
def up(ctx: typer.Context, root_path: Root = None, as_json: Json = False) -> None:
    """Start a pool, a factory schedd, an HTCondor site and a Slurm site; wait until all answer."""
    home = house_of(ctx).home
    chosen = _ready_root(root_path)
    with progress() as bar:
        done = lifecycle.up(home, chosen, _steps(bar))
    value = {
        "home": str(home),
        "root": str(done.root),
        "started": done.started,
        "seconds": round(done.seconds, 1),
        "ports": vars(done.ports),
        "written": [str(path) for path in done.written],
    }
    emit(value, as_json=as_json, text=lambda: _up_text(done))


@app.command()
def down(ctx: typer.Context, as_json: Json = False) -> None:
    """End every process of the testbed; its state stays and ``up`` goes on from it."""
    ended = lifecycle.end_processes(_layout(ctx))
    emit({"ended": ended}, as_json=as_json, text=lambda: f"down ({ended} processes ended)")


@app.command()
def status(ctx: typer.Context, as_json: Json = False) -> None:
    """Machines, services, queues and memory; exit code 1 unless every service answers."""
    layout = _layout(ctx)
    now = status_of(layout, lifecycle.root_of(layout))
    emit(now.to_json(), as_json=as_json, text=lambda: _status_text(now))
    if not now.up:
        raise typer.Exit(1)


@app.command()
def submit(
    ctx: typer.Context,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs in all, shared evenly among the VOs.")] = 20,
    vo: Annotated[list[str] | None, typer.Option(help="Only this VO; may be given again.")] = None,
    site: Annotated[
        list[str] | None, typer.Option(help="Bind every job to this site instead of the mix.")
    ] = None,
    cpu_seconds: Annotated[
        float, typer.Option(min=0, help="CPU time a job burns.")
    ] = payloads.Payload.cpu_seconds,
    wall_seconds: Annotated[
        float, typer.Option(min=0, help="Wall time a job takes.")
    ] = payloads.Payload.wall_seconds,
    as_json: Json = False,
) -> None:
    """Queue payload jobs of the VOs in the pool, each as the VO's own user."""
    layout = _layout(ctx)
    clusters = payloads.submit_payloads(
        layout,
        lifecycle.root_of(layout),
        load_or_choose(layout.ports),
        jobs=jobs,
        vos=vo or tuple(VO_USERS),
        payload=payloads.Payload(cpu_seconds=cpu_seconds, wall_seconds=wall_seconds),
        sites=site,
    )
    rows = [(c.vo, c.owner, c.cluster, c.jobs) for c in clusters]
    emit(
        [vars(c) for c in clusters],
        as_json=as_json,
        text=lambda: table(["VO", "owner", "cluster#", "jobs#"], rows),
    )


@app.command()
def logs(
    ctx: typer.Context,
    machine: Annotated[str, typer.Argument(help="pool, factory, site-condor, site-slurm, wn1, wn2")],
    as_json: Json = False,
) -> None:
    """Where the logs of a machine are, and the end of the one that says why it is not up."""
    layout = _layout(ctx)
    said = explain(layout, machine)
    emit({"machine": machine, "log": said}, as_json=as_json, text=lambda: said)


@fault.command("kill-daemon")
def kill_daemon(
    ctx: typer.Context,
    machine: Annotated[str, typer.Argument(help="pool, factory, site-condor or site-slurm")],
    daemon: Annotated[str, typer.Argument(help=", ".join(faults.DAEMONS))],
    as_json: Json = False,
) -> None:
    """kill -9 of one daemon; its master starts it again."""
    _tell(faults.kill_daemon(_layout(ctx), machine=machine, daemon=daemon), as_json)


@fault.command("kill-schedd")
def kill_schedd(ctx: typer.Context, machine: str, as_json: Json = False) -> None:
    """kill -9 of the schedd of pool, factory or site-condor."""
    _tell(faults.kill_daemon(_layout(ctx), machine=machine, daemon="schedd"), as_json)


@fault.command("kill-startd")
def kill_startd(ctx: typer.Context, machine: str, as_json: Json = False) -> None:
    """kill -9 of every startd of a machine: site-condor's own and those of pilots on it."""
    _tell(faults.kill_daemon(_layout(ctx), machine=machine, daemon="startd"), as_json)


@fault.command("kill-node")
def kill_node(
    ctx: typer.Context,
    site: str,
    node: Annotated[str | None, typer.Option(help="Node; default the first.")] = None,
    down_seconds: Annotated[float, typer.Option(min=0, help="How long it stays down.")] = 60.0,
    as_json: Json = False,
) -> None:
    """kill -9 of a worker node with everything on it."""
    layout = _layout(ctx)
    _tell(faults.kill_machine(layout, machine=faults.node_of(site, node), down_seconds=down_seconds), as_json)


@fault.command("kill-machine")
def kill_machine(
    ctx: typer.Context,
    machine: str,
    down_seconds: Annotated[float, typer.Option(min=0, help="How long it stays down.")] = 60.0,
    as_json: Json = False,
) -> None:
    """kill -9 of a whole machine, a central one as well."""
    _tell(faults.kill_machine(_layout(ctx), machine=machine, down_seconds=down_seconds), as_json)


def _layout(ctx: typer.Context) -> Layout:
    # One spelling of a home, whatever links lead to it: the processes of a testbed are known by it.
    return Layout(house_of(ctx).home.resolve())


def _tell(done: faults.Fault, as_json: bool) -> None:
    back = "its master restarts it" if done.down_seconds is None else f"back in {done.down_seconds:.0f} s"
    emit(
        vars(done),
        as_json=as_json,
        text=lambda: f"killed in {done.machine}: {len(done.pids)} process(es); {back}",
    )


def _ready_root(given: Path | None) -> Path:
    """The root to run on, with tools installed and the private root built where needed."""
    if given is not None:
        root.require_root(given.absolute())
    built = given is not None or root.is_built()
    tools.install(tools.missing_packages(root_is_built=built), lambda text: err.print(text))
    if given is not None:
        return given.absolute()
    if not built:
        err.print(f"build the private root {root.root_folder()} (once, about a minute)")
    with progress() as bar:
        return root.build_root(_steps(bar))


def _steps(bar: Progress) -> lifecycle.Progress:
    """Progress of a room shown as one line of a bar."""
    task = bar.add_task("", total=None)
    return lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _up_text(done: lifecycle.Up) -> str:
    lines = [f"up in {done.seconds:.1f} s" if done.started else "was up already"]
    lines += [f"wrote {path}" for path in done.written]
    lines.append(f"pool 127.0.0.1:{done.ports.pool}, tokens in {Layout(done.home).tokens}")
    return "\n".join(lines)


def _status_text(now: Status) -> object:
    if not now.running:
        return f"no testbed runs in {now.home}"
    services = now.services
    assert services is not None
    rows: list[tuple[object, ...]] = []
    for machine in now.machines:
        jobs = services.jobs.get(machine.name, {})
        queue = ", ".join(f"{count} {state}" for state, count in sorted(jobs.items()))
        state = services.nodes.get(machine.name, "down" if machine.pid is None else "up")
        memory = None if machine.memory_bytes is None else f"{machine.memory_bytes / MIB:.0f}"
        rows.append((machine.name, state, machine.restarts, machine.processes, memory, queue))
    total = None if now.memory_bytes is None else f"{now.memory_bytes / MIB:.0f} MiB"
    title = f"{now.home}: {'up' if now.up else 'lacking ' + ', '.join(services.lacking)}; {total} memory, "
    title += f"{services.pilot_slots} slots of pilots in the pool"
    return table(["machine", "state", "restarts#", "processes#", "MiB#", "jobs"], rows, title=title)

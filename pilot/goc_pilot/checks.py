"""The built-in validations: each looks at one thing of the node and says in one line what it found.

A check returns its message, or raises CheckFailed when the node is not good enough, or Skipped when there is
nothing to look at. An OSError or ValueError means that the check itself could not be carried out.
"""

import os
import platform
import shutil
import socket
import stat
import sys
import time
from typing import Any, Mapping

from goc_pilot.access_token import read_tokens
from goc_pilot.clock import format_epoch
from goc_pilot.commands import run_command
from goc_pilot.node import (
    Node,
    cgroup_memory_limit_mib,
    find_condor,
    read_memory_available_mib,
    split_address,
)
from goc_pilot.processes import become_subreaper

_BYTES_PER_MIB = 1024 * 1024
_OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO


class CheckFailed(Exception):
    """The node is not good enough; the message says what to change."""


class Skipped(Exception):
    """There is nothing to look at; the message says why."""


def check_python(_node: Node, parameters: Mapping[str, Any]) -> str:
    """The interpreter is new enough."""
    wanted = tuple(int(part) for part in str(parameters["minimum"]).split("."))
    if sys.version_info[: len(wanted)] < wanted:
        raise CheckFailed("Python {}, wanted {}".format(platform.python_version(), parameters["minimum"]))
    return "Python {}".format(platform.python_version())


def check_account(_node: Node, _parameters: Mapping[str, Any]) -> str:
    """An ordinary user: HTCondor started by root would change to other accounts."""
    if os.geteuid() == 0:
        raise CheckFailed("the pilot runs as root; run it as an ordinary user")
    return "user id {}".format(os.geteuid())


def check_process_control(_node: Node, _parameters: Mapping[str, Any]) -> str:
    """Orphans of the pilot's processes come back to it, so that it can end every one of them."""
    if not become_subreaper():
        raise CheckFailed(
            "the kernel does not let the pilot adopt orphaned processes (prctl PR_SET_CHILD_SUBREAPER)"
        )
    return "orphaned processes come back to the pilot"


def check_scratch(node: Node, _parameters: Mapping[str, Any]) -> str:
    """Files can be written and programs executed in the work directory."""
    path = os.path.join(node.work_directory, "scratch-check")
    with open(path, "w", encoding="ascii") as script:
        script.write("#!/bin/sh\nexit 0\n")
    os.chmod(path, 0o700)
    try:
        finished = run_command([path], 10, node.environment, node.work_directory)
    except PermissionError as error:
        raise CheckFailed(
            "{} does not allow programs to run (mounted noexec?)".format(node.work_directory)
        ) from error
    finally:
        os.unlink(path)
    if finished.exit_code != 0:
        raise CheckFailed("a program in {} ended with {}".format(node.work_directory, finished.exit_code))
    return "{} can be written and run from".format(node.work_directory)


def check_disk(node: Node, parameters: Mapping[str, Any]) -> str:
    """Enough free disk: what the pilot asks for, and never less than ``minimum_mib``."""
    free_mib = shutil.disk_usage(node.work_directory).free // _BYTES_PER_MIB
    wanted_mib = max(node.disk_mib or 0, int(parameters["minimum_mib"]))
    if free_mib < wanted_mib:
        raise CheckFailed("{} MiB free in {}, wanted {}".format(free_mib, node.work_directory, wanted_mib))
    return "{} MiB free, wanted {}".format(free_mib, wanted_mib)


def check_memory(node: Node, _parameters: Mapping[str, Any]) -> str:
    """The memory asked for is there: available on the node, and within the batch system's limit."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        available_mib = read_memory_available_mib(meminfo.read())
    if available_mib is None:
        raise Skipped("the kernel does not say how much memory is available")
    limit_mib = cgroup_memory_limit_mib()
    if limit_mib is not None and limit_mib < node.memory_mib:
        raise CheckFailed("the batch system allows {} MiB, wanted {}".format(limit_mib, node.memory_mib))
    if available_mib < node.memory_mib:
        raise CheckFailed("{} MiB available, wanted {}".format(available_mib, node.memory_mib))
    return "{} MiB available, limit {}, wanted {}".format(
        available_mib, "none" if limit_mib is None else "{} MiB".format(limit_mib), node.memory_mib
    )


def check_cores(node: Node, _parameters: Mapping[str, Any]) -> str:
    """As many cores as asked for may be used by this process."""
    usable = len(os.sched_getaffinity(0))
    if usable < node.cores:
        raise CheckFailed("{} cores may be used, wanted {}".format(usable, node.cores))
    return "{} cores may be used, wanted {}".format(usable, node.cores)


def check_clock(node: Node, parameters: Mapping[str, Any]) -> str:
    """The node's clock fits the time at which the factory wrote the configuration."""
    if node.issued_at is None:
        raise Skipped("the configuration does not say when it was issued")
    age_seconds = time.time() - node.issued_at
    if age_seconds < -float(parameters["max_skew_seconds"]):
        raise CheckFailed("the node's clock is {:.0f} s or more behind the factory's".format(-age_seconds))
    if age_seconds > float(parameters["max_queue_seconds"]):
        raise CheckFailed(
            "the configuration is {:.0f} s old by the node's clock: the clock runs ahead, or the pilot "
            "waited too long in the queue".format(age_seconds)
        )
    return "the configuration is {:.0f} s old".format(age_seconds)


def check_token(node: Node, parameters: Mapping[str, Any]) -> str:
    """The token is there, private, and good for a while."""
    try:
        mode = os.stat(node.token_file).st_mode
    except FileNotFoundError as error:
        raise CheckFailed("{} is not there: was it transferred?".format(node.token_file)) from error
    if mode & _OTHERS_MAY_READ:
        raise CheckFailed(
            "others may read {} (mode {:o}); it must be 600".format(node.token_file, mode & 0o777)
        )
    with open(node.token_file, encoding="utf-8") as token_file:
        text = token_file.read()
    try:
        tokens = read_tokens(text)
    except ValueError as error:
        raise CheckFailed("{}: {}".format(node.token_file, error)) from error
    now = time.time()
    least = now + float(parameters["minimum_seconds"])
    good = [token for token in tokens if token.expires is None or token.expires > least]
    if not good:
        latest = max((token.expires for token in tokens if token.expires is not None), default=None)
        raise CheckFailed(
            "expired: no token good after {}; last one until {}".format(
                format_epoch(least), format_epoch(latest)
            )
        )
    early = min(token.not_before or 0 for token in good) - now
    if early > float(parameters["max_skew_seconds"]):
        raise CheckFailed("not valid before {:.0f} s from now: is the node's clock behind?".format(early))
    endless = any(token.expires is None for token in good)
    until = "ever" if endless else format_epoch(max(token.expires or 0 for token in good))
    early_end = not endless and all((token.expires or 0) < node.ends_at for token in good)
    remark = ", before the pilot's end" if early_end else ""
    return "{} of {}, good until {}{}".format(good[0].subject, good[0].issuer, until, remark)


def check_condor(node: Node, parameters: Mapping[str, Any]) -> str:
    """HTCondor's programs are there and run on this system."""
    binaries = find_condor(node.condor_location, node.environment.get("PATH", ""))
    if binaries is None:
        raise CheckFailed(
            "no condor_master in {}".format(node.condor_location or "CONDOR_LOCATION, PATH or /usr/sbin")
        )
    for program in ("condor_startd", "condor_starter"):
        if shutil.which(program, path=binaries.sbin) is None:
            raise CheckFailed("{} has a condor_master and no {}".format(binaries.sbin, program))
    finished = run_command(
        [binaries.master, "-version"],
        float(parameters["timeout_seconds"]),
        node.environment,
        node.work_directory,
    )
    if finished.timed_out or finished.exit_code != 0:
        # A missing shared library shows here and not as a startd that dies.
        raise CheckFailed("{} -version failed: {}".format(binaries.master, finished.output))
    return "{} {}".format(binaries.master, finished.output.splitlines()[0] if finished.output else "")


def check_collector(node: Node, parameters: Mapping[str, Any]) -> str:
    """The pool's collector answers on its TCP port."""
    host, port = split_address(node.collector)
    begun = time.monotonic()
    try:
        socket.create_connection((host, port), timeout=float(parameters["timeout_seconds"])).close()
    except OSError as error:
        raise CheckFailed("no TCP connection to {} port {}: {}".format(host, port, error)) from error
    return "{} port {} answers after {:.0f} ms".format(host, port, 1000 * (time.monotonic() - begun))


def check_pool_authorization(node: Node, parameters: Mapping[str, Any]) -> str:
    """The collector takes the token and lets it advertise a startd.

    Without this a refused pilot looks like an idle one: its slot never appears, and it ends as idle.
    """
    binaries = find_condor(node.condor_location, node.environment.get("PATH", ""))
    if binaries is None or not binaries.ping:
        raise Skipped("this HTCondor has no condor_ping")
    finished = run_command(
        [binaries.ping, "-pool", node.collector, "-type", "collector", "ADVERTISE_STARTD"],
        float(parameters["timeout_seconds"]),
        node.environment,
        node.work_directory,
    )
    if finished.timed_out:
        raise CheckFailed("no answer from the collector within {} s".format(parameters["timeout_seconds"]))
    if finished.exit_code != 0:
        raise CheckFailed(
            "the collector does not accept a startd with this token: {}".format(finished.output)
        )
    return finished.output

"""Keys and tokens of a testbed: one signing key a pool, one token a purpose, the least each needs.

Keys stay. Tokens are made again at every start and every few hours; they live a week, the pilots' a day.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opengoc.base.units import SECONDS_PER_DAY
from opengoc.testbed.configuration import trust_domain
from opengoc.testbed.layout import CONDOR_SANDBOXES, SLURM_SITE, VO_USERS, Layout
from opengoc.testbed.sandbox import Sandbox

_WEEK = 7 * SECONDS_PER_DAY


@dataclass(frozen=True, kw_only=True)
class Token:
    """One IDTOKEN to be made."""

    #: Sandbox whose key signs it.
    issuer: str
    user: str
    path: Path
    #: Authorizations it is limited to; empty: all that the identity has.
    limits: tuple[str, ...] = ()
    lifetime_seconds: int = _WEEK


def tokens_of(layout: Layout) -> list[Token]:
    """Every token of the testbed."""
    tokens = [
        Token(issuer=name, user="condor", path=layout.private(name) / "tokens.d" / "daemon")
        for name in CONDOR_SANDBOXES
    ]
    tokens += [
        Token(issuer=name, user="operator", path=layout.tokens / "operator" / name)
        for name in CONDOR_SANDBOXES
    ]
    tokens += [
        Token(issuer="pool", user=user, path=layout.tokens / vo / "pool", limits=("READ", "WRITE"))
        for vo, user in VO_USERS.items()
    ]
    tokens.append(
        Token(
            issuer="site-condor",
            user="factory",
            path=layout.private("factory") / "tokens.d" / "site-condor",
            limits=("READ", "WRITE"),
        )
    )
    tokens.append(Token(issuer="factory", user="factory", path=layout.tokens / "factory" / "factory"))
    tokens.append(
        Token(issuer="pool", user="factory", path=layout.tokens / "factory" / "pool", limits=("READ",))
    )
    tokens.append(
        Token(
            issuer="pool",
            user="pilot",
            path=layout.pilot_token,
            limits=("READ", "ADVERTISE_STARTD", "ADVERTISE_MASTER"),
            lifetime_seconds=SECONDS_PER_DAY,
        )
    )
    return tokens


def make_keys(layout: Layout) -> None:
    """The signing keys and the munge key, where they are not there yet."""
    for name in CONDOR_SANDBOXES:
        _make_key(layout.private(name) / "passwords.d" / "POOL", 64)
    _make_key(layout.private(SLURM_SITE) / "munge.key", 128)


def make_tokens(layout: Layout, root: Path, tokens: Sequence[Token]) -> None:
    """Have HTCondor sign the tokens: one process a pool. Raises Permanent with what it said."""
    for issuer in CONDOR_SANDBOXES:
        wanted = [token for token in tokens if token.issuer == issuer]
        if not wanted:
            continue
        for token in wanted:
            token.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = Sandbox(
            name=issuer, root=root, layout=layout, reads_private=CONDOR_SANDBOXES, reads_tokens=True
        )
        script = "\n".join(["set -eu", "umask 077", *(_signing(token) for token in wanted)])
        config = {"CONDOR_CONFIG": str(layout.condor_config(issuer))}
        signer.run(["/bin/sh", "-c", script], config)


def _signing(token: Token) -> str:
    limits = " ".join(f"-authz {limit}" for limit in token.limits)
    identity = f"{token.user}@{trust_domain(token.issuer)}"
    # Renamed into place: a pilot submitted meanwhile takes the old token or the new one.
    beside = f"{token.path.parent}/.{token.path.name}.new"
    return (
        f"condor_token_create -identity {identity} {limits} -lifetime {token.lifetime_seconds} > '{beside}'\n"
        f"mv '{beside}' '{token.path}'"
    )


def _make_key(path: Path, size: int) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(secrets.token_bytes(size))

"""What every test may ask for: a real PostgreSQL server, and databases of both kinds.

The server is Debian's own, started once per run as an unprivileged user, on a unix socket in a folder that
goes away with it. It is never skipped: without its programs the tests that need it fail and say what to
install.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from opengoc.store.database import Database, open_database

hypothesis.settings.register_profile("opengoc", deadline=None)
hypothesis.settings.load_profile("opengoc")

_ROOT = Path(__file__).parents[1]
_HOW_TO_INSTALL = "PostgreSQL's programs are lacking: apt-get install --no-install-recommends postgresql"
_START_SECONDS = 30.0
#: No promise to survive a power cut: the databases end with the run.
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100")


#: Files of which one test takes minutes.
_LONGEST = ("tests/acceptance/test_demo.py", "tests/acceptance/test_survival.py")


class TogetherWhatShares(LoadScopeScheduling):
    """Deals the tests out to processes: what shares the demo or the running grid to one, the rest by file.

    The first tests mostly wait for daemons and the last ones calculate. Every second process begins with the
    last ones, so that the machine is never idle, and gives way, so that no daemon is late.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _shared_by(file) or file

    def _assign_work_unit(self, node: WorkerController) -> None:
        if _calculates(node.gateway.id):
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


def _calculates(worker: str) -> bool:
    return int(worker.removeprefix("gw")) % 2 == 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: begun last, they would run alone in the end."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in _LONGEST)


def pytest_configure() -> None:
    """Give way to the processes that wait for daemons."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None and _calculates(worker):
        os.nice(10)


#: A test or a fixture that asks for the demo or the grid of the whole run.
_SHARES = re.compile(
    r"(?:\ndef test_\w+|@pytest\.fixture[^\n]*\ndef \w+)\([^)]*\b(demo: DemoRun|grid: Grid)\b"
)


@cache
def _shared_by(file: str) -> str:
    found = _SHARES.search((_ROOT / file).read_text(encoding="utf-8"))
    return "" if found is None else found[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TogetherWhatShares:
    """The scheduler of ``pytest -n``."""
    return TogetherWhatShares(config, log)


class PostgresServer:
    """A running server; makes fresh databases."""

    def __init__(self, socket_directory: Path, user: str) -> None:
        self._socket_directory = socket_directory
        self._user = user
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """Where a database is, for ``open_database``."""
        return f"postgresql+psycopg://{self._user}@/{database}?host={self._socket_directory}"

    def create_database(self, template: str = "template0") -> str:
        """The url of a new database that nobody else uses."""
        name = f"goc_{next(self._numbers)}"
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove it, whoever is still connected."""
        self._administer(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')

    def end_connections(self, database: str) -> None:
        """Cut every connection to a database, as a restart of the server does."""
        self._administer(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        )

    def keep_rows(self, url: str) -> None:
        """Remember the rows of a database for ``bring_back_rows``."""
        with self._connect(url) as connection:
            connection.execute(text("CREATE SCHEMA kept"))
            for table in _tables(connection):
                connection.execute(text(f'CREATE TABLE kept."{table}" AS TABLE public."{table}"'))

    def bring_back_rows(self, url: str) -> None:
        """Make a database what it was at ``keep_rows``, whoever is connected: quicker than a new one."""
        self.end_connections(str(make_url(url).database))
        with self._connect(url) as connection:
            # No foreign key is checked: the tables come in any order.
            connection.execute(text("SET session_replication_role = replica"))
            for table in _tables(connection):
                connection.execute(text(f'DELETE FROM public."{table}"'))
                connection.execute(text(f'INSERT INTO public."{table}" SELECT * FROM kept."{table}"'))
            connection.execute(
                text("SELECT setval(format('%I.%I', schemaname, sequencename), 1, false) FROM pg_sequences")
            )

    def _administer(self, statement: str) -> None:
        with self._connect(self.url("postgres")) as connection:
            connection.execute(text(statement))

    @contextmanager
    def _connect(self, url: str) -> Iterator[Connection]:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def _tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names("public")


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.fail(_HOW_TO_INSTALL, pytrace=False)
    return Path(on_path).parent


def _as_server_user() -> tuple[str, list[str]]:
    """Who runs the server, and the words before its command; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name, []
    # The kernel ends the server when the test run dies without ending it.
    return "postgres", [
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "--pdeathsig=QUIT",
    ]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole run."""
    programs = _programs()
    user, as_user = _as_server_user()
    # Not pytest's own folder: it is closed to other users, and a socket's path may be 107 bytes long at most.
    folder = Path(tempfile.mkdtemp(prefix="goc-pg-", dir="/tmp"))
    if as_user:
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync"]
    # A locale that sorts unlike code points, to see that nothing depends on it.
    locale = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
    subprocess.run([*as_user, *initdb, *locale], check=True, capture_output=True, timeout=120)
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_user, programs / "postgres", "-D", data, "-k", folder, "-h", "", *options],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(programs, folder, server)
        yield PostgresServer(folder, user)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=_START_SECONDS)
        shutil.rmtree(folder)


def _wait_until_ready(programs: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while subprocess.run([programs / "pg_isready", "-q", "-h", folder], timeout=10).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()}", pytrace=False)
        time.sleep(0.05)


@pytest.fixture(scope="session")
def migrated_template(postgresql: PostgresServer) -> str:
    """A database at the schema of this release, to be copied: faster than migrating for every test."""
    url = postgresql.create_database()
    open_database(url).dispose()
    return str(make_url(url).database)


@pytest.fixture(scope="session")
def postgresql_url(postgresql: PostgresServer, migrated_template: str) -> str:
    """A database of this release that the tests of a run have one after the other."""
    url = postgresql.create_database(migrated_template)
    postgresql.keep_rows(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The url of a fresh database of this release; the test runs once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'goc.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    url: str = request.getfixturevalue("postgresql_url")
    yield url
    server.bring_back_rows(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database, open; the test runs once on SQLite and once on PostgreSQL."""
    opened = open_database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite database, for tests of rooms that need some database, not each."""
    opened = open_database(f"sqlite:///{tmp_path / 'goc.db'}")
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data of the peers, beside the project or in $GOC_SHARED_DATA; not part of it, so it may be lacking.

    With CI=true the tests that need it run whatever is there.
    """
    found = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not found.is_dir() and os.environ.get("CI") != "true":
        pytest.skip(f"no data of the peers in {found}: set GOC_SHARED_DATA")
    return found

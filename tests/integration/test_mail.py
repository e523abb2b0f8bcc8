"""Reports by mail over real SMTP: a server that takes it, puts it off, refuses it, or is away."""

from __future__ import annotations

import email.policy
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from threading import Thread

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import week
from opengoc.flows.mail import (
    DeliveryState,
    MailServer,
    alarms,
    deliver,
    deliveries,
    owe_report,
)
from opengoc.reports.inputs import ReportInputs, WeekUsage
from opengoc.reports.model import Note
from opengoc.reports.published import Publication, publish
from opengoc.reports.weekly import build
from opengoc.store import ledger
from opengoc.store.database import Database

pytestmark = pytest.mark.integration

WEEK = "2026-W46"
AS_OF = datetime(2026, 11, 17, 9, tzinfo=UTC)
SENDER = "report@goc.example.org"
PRODUCTION = "production@grid.example.org"


class Mailbox:
    """What the SMTP server got, and what it answers; answers are used up in order, then it is 250."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.at_recipient: list[str] = []
        self.at_data: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.at_recipient:
            return self.at_recipient.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.at_data:
            return self.at_data.pop(0)
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    """Starts a little after the mails are owed."""
    return Clock()


@pytest.fixture
def mailbox() -> Mailbox:
    """What the server of this test got."""
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[MailServer]:
    """A real SMTP server on a free port."""
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield MailServer(host="127.0.0.1", port=controller.port)
    controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def publication(sqlite_database: Database) -> Publication:
    """A published report with a note in it."""
    usage = WeekUsage(week=WEEK, interval=week(WEEK))
    note = Note(
        id="n", section="actions", text="Grüße: <b>ask</b> LIGO.", who="coordinator", written_at=AS_OF
    )
    draft = build(ReportInputs(vos=("ligo",), usage=usage, before=usage, notes=(note,)), WEEK, AS_OF, AS_OF)
    with sqlite_database.begin() as conn:
        return publish(conn, draft, (), feed=0, who="coordinator")


Owe = Callable[..., None]


@pytest.fixture
def owe(sqlite_database: Database, publication: Publication) -> Owe:
    """``owe(address, …)``: owe the report to these."""

    def call(*recipients: str) -> None:
        with sqlite_database.begin() as conn:
            owe_report(conn, publication, sender=SENDER, recipients=recipients or (PRODUCTION,))

    return call


def test_a_report_arrives_as_text_and_html(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock
) -> None:
    owe()
    (delivery,) = deliver(sqlite_database, server, clock=clock)
    assert (delivery.state, delivery.attempts, delivery.sent_at) == (DeliveryState.SENT, 1, clock.now)
    (message,) = mailbox.messages
    assert message["Subject"] == "Production report, week 2026-W46, revision 1"
    assert (message["From"], message["To"]) == (SENDER, PRODUCTION)
    assert message["Message-ID"].endswith("@goc.example.org>")
    plain, page = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert "missing: no source of pilot records" in " ".join(plain.get_content().split())
    assert "* Grüße: <b>ask</b> LIGO." in plain.get_content()
    assert "Grüße: &lt;b&gt;ask&lt;/b&gt; LIGO." in page.get_content()


def test_it_is_sent_once_however_often_it_is_owed(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock
) -> None:
    owe()
    owe()
    deliver(sqlite_database, server, clock=clock)
    owe()
    assert deliver(sqlite_database, server, clock=clock) == ()
    assert len(mailbox.messages) == 1


def test_a_new_revision_is_a_new_mail(
    sqlite_database: Database,
    server: MailServer,
    mailbox: Mailbox,
    owe: Owe,
    clock: Clock,
    publication: Publication,
) -> None:
    owe()
    deliver(sqlite_database, server, clock=clock)
    report = replace(publication.report, revision=0, as_of=AS_OF + timedelta(days=1), sections=())
    with sqlite_database.begin() as conn:
        second = publish(conn, report, (), feed=0, who="coordinator")
        owe_report(conn, second, sender=SENDER, recipients=[PRODUCTION])
    deliver(sqlite_database, server, clock=clock)
    assert [str(message["Subject"])[-10:] for message in mailbox.messages] == ["revision 1", "revision 2"]
    assert len({message["Message-ID"] for message in mailbox.messages}) == 2


@pytest.mark.parametrize("where", ["at_recipient", "at_data"])
def test_a_server_that_puts_it_off_gets_it_later(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock, where: str
) -> None:
    getattr(mailbox, where).append("451 4.7.1 Greylisted, come back later")
    owe()
    (delayed,) = deliver(sqlite_database, server, clock=clock)
    assert delayed.state is DeliveryState.DELAYED
    assert "451 4.7.1 Greylisted, come back later" in delayed.error
    assert delayed.next_try == clock.now + timedelta(minutes=1)
    (alarm,) = alarms([delayed], clock.now)
    assert "is delayed after 1 attempts" in alarm
    assert deliver(sqlite_database, server, clock=clock) == ()
    clock.wait(minutes=2)
    (sent,) = deliver(sqlite_database, server, clock=clock)
    assert (sent.state, sent.attempts, sent.error) == (DeliveryState.SENT, 2, "")
    assert alarms([sent], clock.now) == ()
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("where", ["at_recipient", "at_data"])
def test_a_refusal_is_final_and_an_alarm(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock, where: str
) -> None:
    getattr(mailbox, where).append("550 5.1.1 No such user here")
    owe()
    (failed,) = deliver(sqlite_database, server, clock=clock)
    assert (failed.state, failed.next_try) == (DeliveryState.FAILED, None)
    assert "550 5.1.1 No such user here" in failed.error
    clock.wait(days=1)
    assert deliver(sqlite_database, server, clock=clock) == ()
    assert mailbox.messages == []
    (alarm,) = alarms([failed], clock.now)
    assert "failed" in alarm
    assert "No such user" in alarm


def test_one_refused_recipient_does_not_hold_up_the_others(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock
) -> None:
    mailbox.at_recipient.append("550 5.1.1 No such user here")
    owe("gone@grid.example.org", PRODUCTION)
    found = {d.recipient: d.state for d in deliver(sqlite_database, server, clock=clock)}
    assert found == {"gone@grid.example.org": DeliveryState.FAILED, PRODUCTION: DeliveryState.SENT}


def test_a_server_that_is_down_is_tried_at_growing_distances_for_days(
    sqlite_database: Database, owe: Owe, clock: Clock
) -> None:
    nowhere = MailServer(host="127.0.0.1", port=free_port())
    owe()
    begun = clock.now
    waits = []
    while True:
        (delivery,) = deliver(sqlite_database, nowhere, clock=clock)
        if delivery.next_try is None:
            break
        assert delivery.state is DeliveryState.DELAYED
        assert "is away" in delivery.error
        waits.append(delivery.next_try - clock.now)
        clock.now = delivery.next_try
    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(hours=4)
    assert timedelta(days=4) < clock.now - begun < timedelta(days=6)
    assert delivery.state is DeliveryState.FAILED
    assert "given up after 37 attempts" in delivery.error


def test_a_server_that_comes_back_gets_it(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock
) -> None:
    owe()
    deliver(sqlite_database, MailServer(host="127.0.0.1", port=free_port()), clock=clock)
    clock.wait(minutes=5)
    (sent,) = deliver(sqlite_database, server, clock=clock)
    assert (sent.state, sent.attempts) == (DeliveryState.SENT, 2)


def test_a_server_that_says_nothing_sensible_is_tried_again(
    sqlite_database: Database, owe: Owe, clock: Clock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        owe()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"554 5.3.2 Not now\r\n")
                connection.recv(100)

        thread = Thread(target=answer)
        thread.start()
        port = int(listener.getsockname()[1])
        (delayed,) = deliver(sqlite_database, MailServer(host="127.0.0.1", port=port), clock=clock)
        thread.join(timeout=10)
    assert delayed.state is DeliveryState.DELAYED
    assert "does not serve us" in delayed.error


def test_a_sender_that_died_is_taken_over_under_the_same_message_id(
    sqlite_database: Database, server: MailServer, mailbox: Mailbox, owe: Owe, clock: Clock
) -> None:
    owe()
    with sqlite_database.begin() as conn:
        (lost,) = ledger.claim(conn, "report-mail", now=clock.now, limit=1, lease_seconds=600)
    assert deliver(sqlite_database, server, clock=clock) == ()
    clock.wait(minutes=11)
    (sent,) = deliver(sqlite_database, server, clock=clock)
    assert sent.state is DeliveryState.SENT
    assert lost.idempotency_key.endswith(PRODUCTION)
    assert len(mailbox.messages) == 1


def test_a_mail_that_nothing_sends_is_an_alarm(sqlite_database: Database, owe: Owe, clock: Clock) -> None:
    owe()
    with sqlite_database.read() as conn:
        queued = deliveries(conn)
    assert [delivery.state for delivery in queued] == [DeliveryState.QUEUED]
    assert alarms(queued, clock.now) == ()
    clock.wait(hours=1)
    (alarm,) = alarms(queued, clock.now)
    assert "nothing sends it" in alarm


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b@c", "a b@c.org", "x@y.org\nBcc: z@w.org", "Name <a@b.org>", "grüße@b.org"]
)
def test_an_address_that_is_none_is_refused_at_once(
    sqlite_database: Database, publication: Publication, address: str
) -> None:
    with sqlite_database.begin() as conn, pytest.raises(InvalidInput, match="plain address"):
        owe_report(conn, publication, sender=SENDER, recipients=[address])


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("127.0.0.1:2525", ("127.0.0.1", 2525)),
        ("mail.example.org", ("mail.example.org", 25)),
        ("[::1]:25", ("::1", 25)),
    ],
)
def test_the_server_is_host_and_port(address: str, server: tuple[str, int]) -> None:
    assert MailServer.parse(address) == MailServer(host=server[0], port=server[1])


@pytest.mark.parametrize("address", [":25", "host:smtp"])
def test_a_server_without_host_or_number_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="host:port"):
        MailServer.parse(address)

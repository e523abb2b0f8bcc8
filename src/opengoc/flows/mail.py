"""Reports by mail: owed in the ledger, delivered by SMTP, each delivery with a state that can be looked up.

A mail is owed once per revision and recipient, whatever was called how often. It is sent at least once: a
sender that dies between the server's "250" and its own note sends again, under the same Message-ID.
"""

from __future__ import annotations

import logging
import re
import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum

from sqlalchemy import Connection

from opengoc.base.errors import Conflict, InvalidInput, Permanent, Temporary
from opengoc.base.ids import digest
from opengoc.base.instant import utc_now
from opengoc.base.interval import week, week_name
from opengoc.reports.published import Publication
from opengoc.reports.render import html, text
from opengoc.reports.wording import report_title
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.ledger import Effect, EffectState

#: Kind of the effects; the key is ``week/revision/hash/recipient``.
KIND = "report-mail"

#: Longer than one sending can take: every step of the dialogue may last ``_STEP_SECONDS``.
_LEASE_SECONDS = 600.0
_STEP_SECONDS = 30.0
_FIRST_RETRY = timedelta(minutes=1)
_LONGEST_RETRY = timedelta(hours=4)
#: With these waits the last try comes after five days, as RFC 5321 4.5.4.1 asks for.
_MOST_ATTEMPTS = 37
#: A mail due for longer than this without any attempt: nothing is sending.
_NOBODY_SENDS = timedelta(minutes=30)

#: A week's report is expected this long after the week ended.
_TIME_TO_PUBLISH = timedelta(days=1)

_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """The SMTP server that takes our mail."""

    host: str
    port: int

    @classmethod
    def parse(cls, address: str) -> MailServer:
        """Read ``host:port``; port 25 where none is given. Raises InvalidInput."""
        host, colon, port = address.rpartition(":")
        if not colon:
            return cls(host=address, port=smtplib.SMTP_PORT)
        if not host or not port.isdigit():
            raise InvalidInput("mail.smtp", address, "must be host:port, for example 127.0.0.1:25")
        return cls(host=host.strip("[]"), port=int(port))


class DeliveryState(StrEnum):
    """How far a mail came."""

    QUEUED = "queued"
    #: Tried without success; it will be tried again.
    DELAYED = "delayed"
    SENT = "sent"
    #: Refused for good, or tried for five days.
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One revision on its way to one recipient."""

    #: Key of the effect in the ledger.
    key: str
    week: str
    revision: int
    recipient: str
    state: DeliveryState
    attempts: int
    #: Why the last attempt failed; empty when none did.
    error: str
    #: Not before this; None once sent or failed.
    next_try: datetime | None
    sent_at: datetime | None


def owe_report(
    conn: Connection, publication: Publication, *, sender: str, recipients: Iterable[str]
) -> tuple[Delivery, ...]:
    """Owe a published revision to recipients; those it is owed or was sent to already stay as they are.

    Raises InvalidInput for an address that is none.
    """
    report = publication.report
    wanted = tuple(dict.fromkeys(recipients))
    for where, address in (("sender", sender), *(("recipient", address) for address in wanted)):
        if not _ADDRESS.fullmatch(address) or not address.isascii():
            raise InvalidInput(where, address, "must be a plain address such as production@grid.example.org")
    keys = set()
    subject = f"{report_title(report)}, revision {report.revision}"
    pages = {"text": text.render(report), "html": html.render(report)}
    for recipient in wanted:
        payload = {
            "week": report.week,
            "revision": report.revision,
            "recipient": recipient,
            "sender": sender,
            "subject": subject,
            **pages,
        }
        key = f"{report.week}/{report.revision}/{publication.document_hash[:16]}/{recipient}"
        ledger.owe(conn, kind=KIND, key=key, payload=payload)
        keys.add(key)
    return tuple(item for item in deliveries(conn) if item.key in keys)


def deliver(
    database: Database, server: MailServer, *, clock: Callable[[], datetime] = utc_now
) -> tuple[Delivery, ...]:
    """Try every mail that is due, once, one after the other; gives how each of them came out.

    May be killed at any line: a claimed mail is free again when its lease runs out.
    """
    tried: set[str] = set()
    while True:
        # One at a time, by the clock of that moment: a claim must not age while others are being sent.
        now = clock()
        with database.begin() as conn:
            claimed = ledger.claim(conn, KIND, now=now, limit=1, lease_seconds=_LEASE_SECONDS)
        if not claimed or claimed[0].key in tried:
            break
        tried.add(claimed[0].key)
        _attempt(database, server, claimed[0], now=now)
    with database.read() as conn:
        return tuple(_delivery(effect) for effect in ledger.effects(conn, KIND) if effect.key in tried)


def deliveries(conn: Connection) -> tuple[Delivery, ...]:
    """Every mail ever owed, oldest first."""
    return tuple(_delivery(effect) for effect in ledger.effects(conn, KIND))


def alarms(items: Iterable[Delivery], now: datetime) -> tuple[str, ...]:
    """What somebody must look at: mails that failed, are delayed, or that nothing sends."""
    found = []
    for item in items:
        what = f"report {item.week} revision {item.revision} to {item.recipient}"
        if item.state is DeliveryState.FAILED:
            found.append(f"{what} failed: {item.error}")
        elif item.state is DeliveryState.DELAYED:
            found.append(f"{what} is delayed after {item.attempts} attempts: {item.error}")
        elif item.state is DeliveryState.QUEUED and item.next_try and now - item.next_try > _NOBODY_SENDS:
            found.append(f"{what} waits and nothing sends it: run `goc report deliver`")
    return tuple(found)


def unsent(
    publications: Iterable[Publication], items: Iterable[Delivery], recipients: Iterable[str], now: datetime
) -> tuple[str, ...]:
    """Reports that people wait for and do not get.

    Either the latest revision was never mailed to one of ``recipients``, or the week that ended last has no
    revision at all though weeks before it have.
    """
    weeks = sorted(publications, key=lambda p: p.report.interval.start)
    wanted = tuple(recipients)
    if not weeks or not wanted:
        return ()
    last = weeks[-1].report
    owed = {(item.week, item.revision, item.recipient) for item in items}
    found = [
        f"report {last.week} revision {last.revision} was never mailed to {recipient}"
        for recipient in wanted
        if (last.week, last.revision, recipient) not in owed
    ]
    ended = week_name(now - timedelta(days=7) - _TIME_TO_PUBLISH)
    if week(last.week).start < week(ended).start:
        found.append(f"the report of {ended} is not published")
    return tuple(found)


def _attempt(database: Database, server: MailServer, effect: Effect, *, now: datetime) -> None:
    """Send one claimed mail and note how it came out."""
    error, retry_at = "", None
    try:
        send(server, _message(effect, now), str(effect.payload["recipient"]))
    except Temporary as fault:
        error = str(fault)
        if effect.attempts < _MOST_ATTEMPTS:
            retry_at = now + min(_FIRST_RETRY * 2 ** min(effect.attempts - 1, 10), _LONGEST_RETRY)
        else:
            error = f"given up after {effect.attempts} attempts: {error}"
    except Permanent as fault:
        error = str(fault)
    log.info("action=mail key=%s attempt=%d error=%s", effect.key, effect.attempts, error or "none")
    try:
        with database.begin() as conn:
            if not error:
                ledger.settle(conn, effect, now=now)
            elif retry_at is not None:
                ledger.postpone(conn, effect, error=error, retry_at=retry_at)
            else:
                ledger.abandon(conn, effect, error=error)
    except Conflict:
        # The lease ran out and another sender has the mail: its note counts.
        log.warning("action=mail key=%s lost its claim", effect.key)


def send(server: MailServer, message: EmailMessage, recipient: str) -> None:
    """Hand one mail to the server.

    Raises Temporary when the server is away or answers 4xx, and Permanent when it answers 5xx to the mail.
    """
    where = f"{server.host}:{server.port}"
    try:
        with smtplib.SMTP(server.host, server.port, timeout=_STEP_SECONDS) as smtp:
            smtp.send_message(message, to_addrs=[recipient])
    except smtplib.SMTPRecipientsRefused as error:
        code, answer = error.recipients[recipient]
        raise _refused(where, code, answer) from error
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError) as error:
        # The server refuses us, not the mail: whoever runs it can mend that.
        raise Temporary(f"{where} does not serve us: {_words(error.smtp_error)}") from error
    except smtplib.SMTPResponseException as error:
        raise _refused(where, error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Permanent(f"{where} cannot take this mail: {error}") from error
    except (OSError, smtplib.SMTPServerDisconnected) as error:
        raise Temporary(f"{where} is away: {error}") from error


def _refused(where: str, code: int, answer: bytes | str) -> Temporary | Permanent:
    said = f"{where} answered {code} {_words(answer)}"
    return Permanent(said) if code >= 500 else Temporary(said)


def _words(answer: bytes | str) -> str:
    shown = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(shown.split())


def _message(effect: Effect, now: datetime) -> EmailMessage:
    mail = effect.payload
    message = EmailMessage()
    message["From"] = mail["sender"]
    message["To"] = mail["recipient"]
    message["Subject"] = mail["subject"]
    message["Date"] = format_datetime(now)
    domain = str(mail["sender"]).rpartition("@")[2]
    message["Message-ID"] = f"<{digest(effect.idempotency_key)[:32]}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail["text"])
    message.add_alternative(mail["html"], subtype="html")
    return message


def _delivery(effect: Effect) -> Delivery:
    waiting = DeliveryState.DELAYED if effect.error else DeliveryState.QUEUED
    states = {EffectState.SETTLED: DeliveryState.SENT, EffectState.ABANDONED: DeliveryState.FAILED}
    state = states.get(effect.state, waiting)
    return Delivery(
        key=effect.key,
        week=effect.payload["week"],
        revision=effect.payload["revision"],
        recipient=effect.payload["recipient"],
        state=state,
        attempts=effect.attempts,
        error=effect.error,
        next_try=effect.due_at if state is waiting else None,
        sent_at=effect.settled_at,
    )

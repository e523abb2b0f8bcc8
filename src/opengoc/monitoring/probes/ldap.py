"""Probe ``ldap``: does an information system answer, and with entries. And the small client it needs.

LDAP version 3, anonymous bind, one search (RFC 4511); BER by hand, for a probe should need no library.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.asn1 import element
from opengoc.monitoring.probes.network import connected, failed, received

METRIC = "ldap"
PORT = 2170

_BIND_DONE, _ENTRY, _SEARCH_DONE, _REFERENCE = 0x61, 0x64, 0x65, 0x73
_SIZE_LIMIT_EXCEEDED = 4
#: No answer of an information system is larger.
_MAX_MESSAGE = 16 * 1024 * 1024

#: Attribute → values of one entry.
Entry = dict[str, list[str]]


class NotLdap(ConnectionError):
    """What answered does not speak LDAP, or refused the question."""


@dataclass(frozen=True, kw_only=True)
class LdapProbe:
    """Searches one base for entries."""

    host: str
    port: int = PORT
    base: str = "o=grid"

    def run(self, timeout_seconds: float, /) -> Finding:
        """Bind and search."""
        try:
            with connected(self.host, self.port, timeout_seconds) as connection:
                entries = list(search(connection, self.base, ["objectClass"], limit=10))
        except OSError as error:
            return failed(f"{self.host}:{self.port}", error)
        if not entries:
            return Finding(status=Status.CRITICAL, summary=f"answers, and knows nothing under {self.base}")
        return Finding(status=Status.OK, summary=f"answers with entries under {self.base}")


def search(
    connection: socket.socket,
    base: str,
    attributes: Sequence[str],
    *,
    object_class: str | None = None,
    limit: int = 0,
) -> Iterator[Entry]:
    """Entries below a base, of one class if asked. Raises NotLdap, OSError."""
    connection.sendall(_message(1, _tagged(0x60, _integer(3) + _octets("") + _tagged(0x80, b""))))
    tag, bound = _read(connection)
    if tag != _BIND_DONE or _result_code(bound) != 0:
        raise NotLdap(0, "refuses an anonymous bind")
    present = _tagged(0x87, b"objectClass")
    equal = _tagged(0xA3, _octets("objectClass") + _octets(object_class or ""))
    wanted = _tagged(0x30, b"".join(_octets(name) for name in attributes))
    whole_tree, never_follow = _enumerated(2), _enumerated(0)
    question = (
        _octets(base)
        + whole_tree
        + never_follow
        + _integer(limit)
        + _integer(0)
        + _tagged(0x01, b"\x00")
        + (equal if object_class else present)
        + wanted
    )
    connection.sendall(_message(2, _tagged(0x63, question)))
    while True:
        tag, content = _read(connection)
        if tag == _ENTRY:
            try:
                entry = _entry(content)
            except (IndexError, ValueError) as error:
                raise NotLdap(0, "sends an entry that is none") from error
            yield entry
        elif tag == _SEARCH_DONE:
            code = _result_code(content)
            if code not in (0, _SIZE_LIMIT_EXCEEDED):
                raise NotLdap(0, f"refuses the search under {base}: result code {code}")
            return
        elif tag != _REFERENCE:
            raise NotLdap(0, f"answers with an operation {tag:#x} that belongs to no search")


def _read(connection: socket.socket) -> tuple[int, bytes]:
    """Tag and content of the operation in the next message."""
    head = received(connection, 2)
    if head[0] != 0x30:
        raise NotLdap(0, "does not speak LDAP")
    length = head[1]
    if length & 0x80:
        length = int.from_bytes(received(connection, length & 0x7F))
    if length > _MAX_MESSAGE:
        raise NotLdap(0, "sends a message without end")
    body = received(connection, length)
    try:
        _, _, rest = element(body)
        tag, content, _ = element(rest)
    except (IndexError, ValueError) as error:
        raise NotLdap(0, "sends a message that is no LDAP") from error
    return tag, content


def _entry(content: bytes) -> Entry:
    _, _, rest = element(content)
    _, attributes, _ = element(rest)
    entry: Entry = {}
    while attributes:
        _, attribute, attributes = element(attributes)
        _, name, values = element(attribute)
        _, several, _ = element(values)
        read = entry.setdefault(name.decode(errors="replace"), [])
        while several:
            _, value, several = element(several)
            read.append(value.decode(errors="replace"))
    return entry


def _result_code(content: bytes) -> int:
    try:
        _, code, _ = element(content)
    except (IndexError, ValueError) as error:
        raise NotLdap(0, "sends a result that is none") from error
    return int.from_bytes(code)


def _message(number: int, operation: bytes) -> bytes:
    return _tagged(0x30, _integer(number) + operation)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _enumerated(value: int) -> bytes:
    return _tagged(0x0A, bytes([value]))


def _octets(text: str) -> bytes:
    return _tagged(0x04, text.encode())

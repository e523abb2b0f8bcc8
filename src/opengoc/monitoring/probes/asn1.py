"""Elements of ASN.1 as certificates (DER) and LDAP (BER) send them: tag, length, content."""

from __future__ import annotations


def element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what follows it (X.690, one-byte tags, definite lengths).

    Raises IndexError or ValueError where it is cut off.
    """
    tag, length, at = data[0], data[1], 2
    if length & 0x80:
        octets = length & 0x7F
        length, at = int.from_bytes(data[2 : 2 + octets]), 2 + octets
    if len(data) < at + length:
        raise ValueError("cut off")
    return tag, data[at : at + length], data[at + length :]

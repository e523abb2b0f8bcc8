"""Reads the pool's access token: a JSON web token, of which only the dates matter here.

Source: RFC 7519, section 4.1 (claims exp, nbf, iat); HTCondor keeps one token per line.
"""

import base64
import binascii
import json
from typing import Any, Dict, List, NamedTuple, Optional


class Token(NamedTuple):
    """The claims of one token that say when and where it is good. Times in seconds since 1970."""

    issuer: str
    subject: str
    not_before: Optional[float]
    expires: Optional[float]


def read_tokens(text: str) -> List[Token]:
    """The tokens of a token file, in order; comments and empty lines left out. Raises ValueError."""
    lines = [line.strip() for line in text.splitlines()]
    return [_read_token(line) for line in lines if line and not line.startswith("#")]


def _read_token(line: str) -> Token:
    parts = line.split(".")
    if len(parts) != 3:
        raise ValueError("not a JSON web token: it has {} parts, not 3".format(len(parts)))
    try:
        # base64url leaves its padding out.
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode("utf-8"))
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise ValueError("not a JSON web token: its claims cannot be read") from error
    if not isinstance(claims, dict):
        raise ValueError("not a JSON web token: its claims are not an object")
    return Token(
        issuer=str(claims.get("iss", "")),
        subject=str(claims.get("sub", "")),
        not_before=_moment(claims, "nbf") if "nbf" in claims else _moment(claims, "iat"),
        expires=_moment(claims, "exp"),
    )


def _moment(claims: Dict[str, Any], name: str) -> Optional[float]:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("the token's {} is not a time".format(name))
    return float(value)

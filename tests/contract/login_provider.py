"""A provider of OpenID Connect on this machine: the other side of the login, with faults to order."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "goc", "secret-of-the-client"
Claims = dict[str, Any]


class LoginProvider:
    """Its accounts log in without a question; ``claims`` is what it says of whoever comes next."""

    def __init__(self) -> None:
        self.claims: Claims = {}
        #: What is done to an id token's claims before it is signed.
        self.spoil: Callable[[Claims], Claims] = dict
        self.key = self.signing_key = _key("first")
        self.issuer = ""
        #: What it adds to its address where it names itself.
        self.ends_with = ""
        self._codes: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Sign with another key, and publish that."""
        self.key = self.signing_key = _key("second")

    @property
    def calls_itself(self) -> str:
        return f"{self.issuer}{self.ends_with}"

    def metadata(self) -> Claims:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {"issuer": self.calls_itself} | {name: f"{self.issuer}/{path}" for name, path in paths.items()}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, said: dict[str, str], authorization: str) -> tuple[int, Claims]:
        """The id token for a code: once, for the client that shows its secret and the verifier."""
        asked = self._codes.pop(said.get("code", ""), None)
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        verifier = hashlib.sha256(said.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (
            challenge,
            said.get("redirect_uri"),
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.calls_itself,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
        }
        signed = jwt.encode(
            {"alg": "RS256", "kid": self.signing_key.kid},
            self.spoil({"sub": "account-1"} | claims | self.claims),
            self.signing_key,
        )
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": signed}


def _key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


@contextmanager
def login_provider(host: str = "127.0.0.1") -> Iterator[LoginProvider]:
    """A running provider."""
    provider = LoginProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(303)
                self.send_header("Location", provider.authorize(_flat(parts.query)))
                self.end_headers()
            elif parts.path == "/keys":
                self._answer(200, {"keys": [provider.key.as_dict(private=False)]})
            else:
                self._answer(200, provider.metadata())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(*provider.token(_flat(body), self.headers.get("Authorization", "")))

        def _answer(self, code: int, said: Claims) -> None:
            body = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://{host}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}

"""Login by an OpenID Connect provider: the authorization code flow with PKCE, and the id token checked.

OpenID Connect Core 1.0, section 3.1; Discovery 1.0; RFC 7636 (PKCE); RFC 9700 (what is safe). What one login
is made of follows from a secret that only the browser holds, in a cookie: no process remembers anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from requests import RequestException

from opengoc.app import House
from opengoc.base.errors import Permanent, Temporary
from opengoc.base.ids import digest
from opengoc.settings import LoginSettings

_TIMEOUT_SECONDS = 10.0
#: Metadata and keys of the provider are read again after so long, and keys when one is unknown.
_KEEP_SECONDS = 3600.0
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
#: Clocks may differ by so much.
_LEEWAY_SECONDS = 60
#: Only keys that the provider alone holds; never "none", never a shared secret.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"})
#: A key asked for again within this time is not looked for anew.
_KEYS_AT_MOST_EVERY = 10.0


class LoginRefused(Exception):
    """The provider did not vouch for anybody; the reason is for the visitor."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One login under way: what goes out with it and must come back."""

    state: str
    nonce: str
    #: Of PKCE: proves to the provider that who asked is who comes for the token.
    verifier: str

    @classmethod
    def of(cls, secret: str) -> Attempt:
        """What follows from the secret of a browser's cookie; nothing leads back to it, or to one another."""
        state, nonce, verifier = (digest(f"{name} {secret}") for name in ("state", "nonce", "verifier"))
        return cls(state=state, nonce=nonce, verifier=verifier)


class Provider:
    """The provider of an installation. Threads may share it."""

    def __init__(self, settings: LoginSettings, secret: str | None, callback: str) -> None:
        self._settings = settings
        self._secret = secret
        self._callback = f"{settings.address}{callback}"
        self._lock = threading.Lock()
        self._metadata: Mapping[str, Any] = {}
        self._keys = KeySet([])
        self._read_at = self._keys_at = float("-inf")

    @classmethod
    def of(cls, house: House, settings: LoginSettings, callback: str) -> Provider:
        """The provider of the settings. Raises Permanent."""
        secret = None
        if settings.client_secret_file is not None:
            path = house.path(settings.client_secret_file)
            try:
                secret = path.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Permanent(
                    f"the secret of the login provider in {path} cannot be read: {error}"
                ) from error
        return cls(settings, secret, callback)

    @property
    def name(self) -> str:
        """What people call it."""
        return self._settings.name

    def address_for(self, attempt: Attempt) -> str:
        """Where the browser is sent to log in. Raises Temporary while the provider does not answer."""
        with self._session() as session:
            address, _ = session.create_authorization_url(
                self._read(session)["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address)

    def claims(self, attempt: Attempt, query: str) -> Mapping[str, Any]:
        """What the provider says of who came back with ``query``. Raises LoginRefused, Temporary.

        1. The state is that of this browser's attempt, else somebody else began it.
        2. The code is changed for an id token, which needs the verifier.
        3. Its signature, issuer, audience, times and nonce are checked.
        """
        with self._session() as session:
            metadata = self._read(session)
            try:
                token = session.fetch_token(
                    metadata["token_endpoint"],
                    authorization_response=f"{self._callback}?{query}",
                    state=attempt.state,
                    code_verifier=attempt.verifier,
                    timeout=_TIMEOUT_SECONDS,
                )
            except (AuthlibBaseError, ValueError) as error:
                raise LoginRefused(f"the provider refused: {error}") from error
            except RequestException as error:
                raise self._away(error) from error
            id_token = token.get("id_token")
            if not isinstance(id_token, str):
                raise LoginRefused("the provider sent no id token")
            return self._checked(session, id_token, attempt.nonce)

    def _checked(self, session: OAuth2Session, id_token: str, nonce: str) -> Mapping[str, Any]:
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            # As the provider writes it: with a slash at the end or without.
            iss={"essential": True, "value": self._metadata["issuer"]},
            aud={"essential": True, "value": self._settings.client_id},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            claims = jwt.decode(id_token, lambda token: self._key(session, token), _ALGORITHMS).claims
            rules.validate(claims)
        except (JoseError, ValueError) as error:
            raise LoginRefused(f"the provider's id token is not good: {error}") from error
        # Core, section 3.1.3.7: who it was given to, where it is for several.
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise LoginRefused("the provider's id token was given to another")
        return claims

    def _key(self, session: OAuth2Session, token: Any) -> Any:
        """The key that signed a token; one that is not known is looked for once more."""
        wanted = token.headers().get("kid")
        with self._lock:
            age = time.monotonic() - self._keys_at
            known = any(key.kid == wanted for key in self._keys.keys)
            if age > _KEEP_SECONDS or (not known and age > _KEYS_AT_MOST_EVERY):
                found = self._get(session, self._metadata["jwks_uri"])
                self._keys = KeySet.import_key_set({"keys": found.get("keys") or []})
                self._keys_at = time.monotonic()
            return self._keys

    def _read(self, session: OAuth2Session) -> Mapping[str, Any]:
        """The provider's metadata (Discovery, section 4.3)."""
        with self._lock:
            if time.monotonic() - self._read_at > _KEEP_SECONDS:
                found = self._get(session, f"{self._settings.issuer}/.well-known/openid-configuration")
                if str(found.get("issuer", "")).rstrip("/") != self._settings.issuer:
                    raise Temporary(f"the login provider calls itself {found.get('issuer')!r}")
                if lacking := [name for name in _NEEDED if not isinstance(found.get(name), str)]:
                    raise Temporary(f"the login provider names no {', '.join(lacking)}")
                self._metadata, self._read_at = found, time.monotonic()
            return self._metadata

    def _get(self, session: OAuth2Session, address: str) -> dict[str, Any]:
        try:
            answer = session.get(address, withhold_token=True, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (RequestException, ValueError) as error:
            raise self._away(error) from error
        return found

    def _session(self) -> OAuth2Session:
        return OAuth2Session(
            self._settings.client_id,
            self._secret,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._callback,
            code_challenge_method="S256",
        )

    def _away(self, error: Exception) -> Temporary:
        reason = type(error).__name__
        return Temporary(
            f"the login provider does not answer ({reason}): try again, or log in with a token",
            retry_after=30,
        )

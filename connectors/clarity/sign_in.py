"""Signing in to Clarity by the profile's scheme: OAuth 2.0 client credentials, a key, or a login that answers a JWT."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr

from connectors.http import ApiKey, BearerToken, Json, SignIn
from mappings.clarity_profile import AuthScheme, ClarityHeaders, ClarityProfile, put_at, value_at

SYSTEM = "Clarity"
LIFETIME_WHEN_UNTOLD = 300.0
"""Seconds. Too long does no harm: a refused token is renewed."""


class ClaritySettings(BaseModel):
    """Where the store is and how to get in."""

    model_config = ConfigDict(frozen=True)

    url: str
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    """With `auth: login` these two are user and password."""
    api_key: SecretStr = SecretStr("")


class TokenHeader(SignIn):
    """A token in the header that the release wants."""

    def __init__(self, token: BearerToken, names: ClarityHeaders) -> None:
        self._token = token
        self._names = names

    async def headers(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        """The token, under the release's name."""
        bearer = (await self._token.headers(client))["Authorization"]
        return {self._names.token: self._names.token_prefix + bearer.removeprefix("Bearer ")}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """As of the token itself."""
        value = headers.get(self._names.token, "").removeprefix(self._names.token_prefix)
        return self._token.refused({"Authorization": f"Bearer {value}"})

    def secrets(self) -> Sequence[str]:
        """As of the token itself."""
        return self._token.secrets()


def sign_in_of(profile: ClarityProfile, settings: ClaritySettings) -> SignIn:
    """How this profile signs in."""
    if profile.auth is AuthScheme.API_KEY:
        return ApiKey(profile.headers.api_key, settings.api_key)
    url = settings.url.rstrip("/") + profile.routes.token
    secret = settings.client_secret
    if profile.auth is AuthScheme.LOGIN:
        token = BearerToken(SYSTEM, lambda: _login(url, profile, settings), lambda body: _jwt_of(body, profile), secret)
    else:
        token = BearerToken(SYSTEM, lambda: _client_credentials(url, profile, settings), _token_of, secret)
    return TokenHeader(token, profile.headers)


def _client_credentials(url: str, profile: ClarityProfile, settings: ClaritySettings) -> httpx.Request:
    """RFC 6749, 4.4."""
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.get_secret_value(),
        **({"scope": profile.scope} if profile.scope else {}),
    }
    return httpx.Request("POST", url, data=form, headers={"Accept": "application/json", **profile.headers.fixed})


def _token_of(body: Json) -> tuple[str, float]:
    return str(body["access_token"]), float(body["expires_in"])


def _login(url: str, profile: ClarityProfile, settings: ClaritySettings) -> httpx.Request:
    names = profile.login
    body = put_at({names.user: settings.client_id, names.password: settings.client_secret.get_secret_value()})
    return httpx.Request("POST", url, json=body, headers={"Accept": "application/json", **profile.headers.fixed})


def _jwt_of(body: Json, profile: ClarityProfile) -> tuple[str, float]:
    """Token and lifetime; raises KeyError, TypeError or ValueError for an answer without a token."""
    token = value_at(body, profile.login.token)
    if not isinstance(token, str) or not token:
        raise ValueError("no token")
    if profile.login.lifetime is not None:
        return token, float(value_at(body, profile.login.lifetime))
    return token, lifetime_of(token)


def lifetime_of(token: str) -> float:
    """`exp` − `iat` of a JWT (RFC 7519, 4.1): so the clocks need not agree. Its signature is the store's affair."""
    try:
        part = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        lifetime = float(claims["exp"]) - float(claims["iat"])
    except (IndexError, KeyError, TypeError, ValueError):
        return LIFETIME_WHEN_UNTOLD
    return lifetime if lifetime > 0 else LIFETIME_WHEN_UNTOLD

"""The token service of Microsoft Entra ID.

Sources: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

import base64
import hashlib
import hmac
import json
import secrets
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web

from simulator.cloud import CLIENT_ID, CLIENT_SECRET, TENANT_ID, Cloud
from simulator.faults import FaultKind
from simulator.ledger import PATH

RESOURCE_MANAGER = "https://management.azure.com"
"""The audience of Azure Resource Manager."""
MICROSOFT_GRAPH = "https://graph.microsoft.com"
"""The audience of Microsoft Graph."""
KEY_VAULT = "https://vault.azure.net"
"""The audience of Azure Key Vault."""

_AUDIENCES = {
    RESOURCE_MANAGER: {RESOURCE_MANAGER, "https://management.core.windows.net"},
    MICROSOFT_GRAPH: {MICROSOFT_GRAPH, "00000003-0000-0000-c000-000000000000"},
    KEY_VAULT: {KEY_VAULT},
}


class InvalidToken(Exception):
    """A request without a bearer token that does; each service turns it into its own 401.

    Attributes:
        code: `AuthenticationFailed` (there is none), `InvalidAuthenticationToken`, `ExpiredAuthenticationToken`
            or `InvalidAuthenticationTokenAudience`: the codes of Azure Resource Manager.
        message: What is wrong, as Azure Resource Manager words it.
        headers: `WWW-Authenticate`.

    """

    def __init__(self, code: str, message: str, authority: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.headers = {
            "WWW-Authenticate": f'Bearer authorization_uri="{authority}", error="invalid_token", '
            f'error_description="{message}"'
        }


class _Refusal(Exception):
    """An answer other than a token: status, OAuth error, AADSTS number and text."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status, self.error, self.number, self.text = status, error, number, text


class TokenService:
    """Issues bearer tokens and checks them.

    Attributes:
        lifetime: Seconds that a token is good for.

    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._key = secrets.token_bytes(32)
        self.lifetime = 3599

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request to the login host, or the one document by which tools discover a cloud."""
        try:
            match request.method, request[PATH].strip("/").split("/"):
                case "GET", ["metadata", "endpoints"]:
                    return web.json_response(_cloud_metadata(_origin(request)))
                case "GET", [tenant, "v2.0", ".well-known", "openid-configuration"]:
                    self._check_tenant(tenant)
                    return web.json_response(_openid_configuration(_origin(request)))
                case "POST", [tenant, "oauth2", "v2.0", "token"]:
                    return web.json_response(self._token(tenant, await _form(request), version=2))
                case "POST", [tenant, "oauth2", "token"]:
                    return web.json_response(self._token(tenant, await _form(request), version=1))
                case method, [_, "oauth2", "token"] | [_, "oauth2", "v2.0", "token"]:
                    text = f"The endpoint only accepts POST requests. Received a {method} request."
                    raise _Refusal(405, "invalid_request", 900561, text)
                case _:
                    raise _Refusal(404, "invalid_request", 90015, f"No endpoint {request[PATH]} exists.")
        except _Refusal as refusal:
            return self._refuse(refusal, _origin(request))

    def authorize(self, request: web.Request, audience: str) -> None:
        """Check the bearer token of a request.

        Args:
            request: The request.
            audience: `RESOURCE_MANAGER`, `MICROSOFT_GRAPH` or `KEY_VAULT`.

        Raises:
            InvalidToken: There is no token, or it is not ours, expired or for another audience.

        """
        authority = f"{_origin(request)}/{TENANT_ID}"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            message = "Authentication failed. The 'Authorization' header is missing."
            raise InvalidToken("AuthenticationFailed", message, authority)
        claims = self._read(token.strip())
        if claims is None:
            raise InvalidToken("InvalidAuthenticationToken", "The access token is invalid.", authority)
        now = self._cloud.clock.now().timestamp()
        is_struck = self._cloud.faults.strikes(FaultKind.EXPIRED_TOKEN, f"{request.method} {request[PATH]}")
        if claims["exp"] <= now or is_struck:
            message = (
                f"The access token expiry UTC time '{claims['exp']}' is earlier than current UTC time '{now:.0f}'."
            )
            raise InvalidToken("ExpiredAuthenticationToken", message, authority)
        if claims["aud"].rstrip("/") not in self._accepted(audience):
            message = (
                f"The access token has been obtained for wrong audience or resource '{claims['aud']}'. It should "
                f"exactly match with one of the allowed audiences {', '.join(sorted(self._accepted(audience)))}."
            )
            raise InvalidToken("InvalidAuthenticationTokenAudience", message, authority)

    def _accepted(self, audience: str) -> set[str]:
        if audience == KEY_VAULT:
            return _AUDIENCES[audience] | {self._cloud.key_vault_resource}
        # Clients of a cloud that is not the public one ask for tokens for the address that they talk to.
        return _AUDIENCES[audience] | {self._cloud.base_url}

    def _token(self, tenant: str, form: dict[str, str], *, version: int) -> dict[str, Any]:
        self._check_tenant(tenant)
        grant_type = _required(form, "grant_type", 900144)
        if grant_type != "client_credentials":
            text = f"The app requested an unsupported grant type '{grant_type}'."
            raise _Refusal(400, "unsupported_grant_type", 70003, text)
        client_id = _required(form, "client_id", 900144)
        if client_id.lower() != CLIENT_ID:
            text = (
                f"Application with identifier '{client_id}' was not found in the directory 'Contoso'. This can happen "
                "if the application has not been installed by the administrator of the tenant or consented to by any "
                "user in the tenant. You may have sent your authentication request to the wrong tenant."
            )
            raise _Refusal(400, "unauthorized_client", 700016, text)
        if not form.get("client_secret"):
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise _Refusal(401, "invalid_client", 7000218, text)
        if not hmac.compare_digest(form["client_secret"].encode(), CLIENT_SECRET.encode()):
            text = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{CLIENT_ID}'."
            )
            raise _Refusal(401, "invalid_client", 7000215, text)
        audience = _required(form, "resource", 900144) if version == 1 else _scope_resource(form)
        if not any(audience.rstrip("/") in self._accepted(known) for known in _AUDIENCES):
            text = f"The resource principal named {audience} was not found in the tenant named Contoso."
            raise _Refusal(400, "invalid_resource", 500011, text)
        return self._issue(audience, form, version)

    def _issue(self, audience: str, form: dict[str, str], version: int) -> dict[str, Any]:
        now = int(self._cloud.clock.now().timestamp())
        principals = self._cloud.directory.service_principals.values()
        object_id = next(principal["id"] for principal in principals if principal["appId"] == CLIENT_ID)
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{TENANT_ID}/",
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "appid": CLIENT_ID,
            "appidacr": "1",
            "idp": f"https://sts.windows.net/{TENANT_ID}/",
            "idtyp": "app",
            "oid": object_id,
            "sub": object_id,
            "tid": TENANT_ID,
            "uti": self._cloud.new_id("token"),
            "ver": "1.0",
        }
        if audience.rstrip("/") in self._accepted(MICROSOFT_GRAPH):
            claims["roles"] = self._cloud.directory.graph_permissions
        if "CP1" in form.get("claims", ""):
            claims["xms_cc"] = ["CP1"]
        body: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "ext_expires_in": self.lifetime,
            "access_token": self._sign(claims),
        }
        if version == 1:
            # The older endpoint writes numbers as text.
            body |= {
                "expires_in": str(self.lifetime),
                "ext_expires_in": str(self.lifetime),
                "expires_on": str(claims["exp"]),
                "not_before": str(now),
                "resource": audience,
            }
        return body

    def _sign(self, claims: dict[str, Any]) -> str:
        signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{signed}.{self._signature(signed)}"

    def _read(self, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        return cast(dict[str, Any], json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "==")))

    def _signature(self, signed: str) -> str:
        return _encode(hmac.digest(self._key, signed.encode(), hashlib.sha256))

    def _check_tenant(self, tenant: str) -> None:
        if tenant.lower() not in {TENANT_ID, *self._cloud.directory.domains}:
            text = (
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
                "the correct cloud. Check with your subscription administrator, this may happen if there are no active "
                "subscriptions for the tenant."
            )
            raise _Refusal(400, "invalid_request", 90002, text)

    def _refuse(self, refusal: _Refusal, origin: str) -> web.Response:
        timestamp = self._cloud.clock.now().strftime("%Y-%m-%d %H:%M:%SZ")
        trace_id, correlation_id = self._cloud.new_id("trace"), self._cloud.new_id("correlation")
        body = {
            "error": refusal.error,
            "error_description": f"AADSTS{refusal.number}: {refusal.text} Trace ID: {trace_id} "
            f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
            "error_codes": [refusal.number],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"{origin}/error?code={refusal.number}",
        }
        return web.json_response(body, status=refusal.status)


async def _form(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _required(form: dict[str, str], name: str, number: int) -> str:
    if not form.get(name):
        text = f"The request body must contain the following parameter: '{name}'."
        raise _Refusal(HTTPStatus.BAD_REQUEST, "invalid_request", number, text)
    return form[name]


def _scope_resource(form: dict[str, str]) -> str:
    scope = _required(form, "scope", 900144)
    resource = scope.removesuffix("/.default")
    if resource == scope or " " in scope:
        text = (
            f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
            "/.default suffixed to the resource identifier (application ID URI)."
        )
        raise _Refusal(HTTPStatus.BAD_REQUEST, "invalid_scope", 1002012, text)
    return resource


def _origin(request: web.Request) -> str:
    return f"https://{request.host}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _openid_configuration(origin: str) -> dict[str, Any]:
    authority = f"{origin}/{TENANT_ID}"
    return {
        "issuer": f"{authority}/v2.0",
        "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
        "token_endpoint": f"{authority}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "device_authorization_endpoint": f"{authority}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{authority}/discovery/v2.0/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _cloud_metadata(origin: str) -> dict[str, Any]:
    """Return where the services of this cloud are, as `az cloud register --endpoint-resource-manager` reads it.

    Source: https://learn.microsoft.com/cli/azure/manage-clouds-azure-cli
    """
    return {
        "name": "Simulator",
        "authentication": {
            "loginEndpoint": origin,
            "audiences": [f"{RESOURCE_MANAGER}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": f"{origin}/",
        "microsoftGraphResourceId": f"{origin}/",
        "suffixes": {},
    }

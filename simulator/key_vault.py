"""Azure Key Vault: reading secrets, with the authentication challenge by which clients learn whom to ask for a token.

Sources: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret and
https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
"""

from typing import Any

from aiohttp import web

from simulator.cloud import TENANT_ID, Cloud
from simulator.entra import KEY_VAULT, InvalidToken, TokenService
from simulator.ledger import PATH


class KeyVault:
    """Answers under `/secrets`."""

    def __init__(self, cloud: Cloud, tokens: TokenService) -> None:
        self._cloud = cloud
        self._tokens = tokens

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            self._tokens.authorize(request, KEY_VAULT)
        except InvalidToken as error:
            return self._challenge(error)
        match request.method, request[PATH].strip("/").split("/"):
            case "GET", [_, name] if name:
                return self._secret(request, name, None)
            case "GET", [_, name, version]:
                return self._secret(request, name, version)
            case method, _:
                message = f"The simulated key vault reads secrets only, it cannot {method} {request[PATH]}."
                return _failure(405, "MethodNotAllowed", message)

    def _challenge(self, error: InvalidToken) -> web.Response:
        authority = f"{self._cloud.base_url}/{TENANT_ID}"
        challenge = f'Bearer authorization="{authority}", resource="{self._cloud.key_vault_resource}"'
        message = "AKV10000: Request is missing a Bearer or PoP token."
        if error.code != "AuthenticationFailed":
            challenge += ', error="invalid_token"'
            message = f"AKV10022: {error.message}"
        return _failure(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})

    def _secret(self, request: web.Request, name: str, version: str | None) -> web.Response:
        vault = self._cloud.key_vault
        if not request.query.get("api-version"):
            return _failure(400, "BadParameter", "api-version must be specified")
        if vault.denied:
            message = (
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or "
                "role definitions were changed recently, please observe propagation time.\r\n"
                "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nAssignment: (not found)\r\n"
            )
            return _failure(403, "Forbidden", message, inner="ForbiddenByRbac")
        known = next((known for known in vault.secrets if known.lower() == name.lower()), None)
        if known is None or version not in (None, vault.version(known)):
            asked = f"{name}/{version}" if version else name
            message = (
                f"A secret with (name/id) {asked} was not found in this key vault. If you recently deleted this secret "
                "you may be able to recover it using the correct recovery command. For help resolving this issue, "
                "please see https://go.microsoft.com/fwlink/?linkid=2125182"
            )
            return _failure(404, "SecretNotFound", message)
        if known in vault.disabled:
            message = "Operation get is not allowed on a disabled secret."
            return _failure(403, "Forbidden", message, inner="SecretDisabled")
        attributes = {"enabled": True, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        id = f"https://{request.host}/secrets/{known}/{vault.version(known)}"
        return web.json_response({"value": vault.secrets[known], "id": id, "attributes": attributes, "tags": {}})


def _failure(
    status: int, code: str, message: str, *, inner: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status, headers=headers)

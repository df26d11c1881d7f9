"""Where secrets are kept: Azure Key Vault, or the worker's environment."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets.aio import SecretClient

from cloud.errors import failure
from cloud.execution.context import confide
from models.azure_network_connection import SecretReference


class Secrets:
    """Reads a secret each time it is needed and keeps none.

    Source: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
    """

    def __init__(self, credential: AsyncTokenCredential, environment: Mapping[str, str]) -> None:
        self._credential = credential
        self._environment = environment

    async def read(self, reference: SecretReference) -> str:
        """Return the secret; never put it into a result, an error, a heartbeat or a log.

        Raises:
            ApplicationError: `SecretNotSet`, `SecretNotFound` or `SecretUnreadable`.
            HttpResponseError: The Key Vault does not answer.

        """
        if reference.environment_variable:
            value = self._environment.get(reference.environment_variable, "")
            if not value.strip():
                raise failure("SecretNotSet", f"{reference.environment_variable} is not set on this worker")
            return confide(value)
        try:
            value = await self._read_from_key_vault(reference.key_vault_secret_id or "")
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                raise failure("SecretNotFound", f"there is no secret {reference.key_vault_secret_id}") from error
            if error.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise failure("SecretUnreadable", f"{reference.key_vault_secret_id} cannot be read") from error
            raise
        if not value.strip():
            raise failure("SecretNotFound", f"the secret {reference.key_vault_secret_id} is empty")
        return confide(value)

    async def _read_from_key_vault(self, id: str) -> str:
        address = urlsplit(id)
        name, _, version = address.path.removeprefix("/secrets/").partition("/")
        vault = SecretClient(f"https://{address.netloc}", self._credential, retry_total=0)
        async with vault:
            secret = await vault.get_secret(name, version or None)
        return secret.value or ""

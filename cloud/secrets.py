"""Where secrets are kept: Azure Key Vault, or the worker's environment."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets.aio import SecretClient

from cloud.errors import failure
from cloud.execution.context import confide
from cloud.settings import DomainSecret
from models.azure_network_connection import ActiveDirectoryDomain


class Secrets:
    """Reads a secret each time it is needed and keeps none.

    Args:
        credential: The worker's identity.
        environment: The worker's environment.
        allowed: Which secret may be used for which domain. What is not among them is not read: a Key Vault's address
            comes with the connection, and may be anybody's.

    Source: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets

    """

    def __init__(
        self, credential: AsyncTokenCredential, environment: Mapping[str, str], allowed: Sequence[DomainSecret]
    ) -> None:
        self._credential = credential
        self._environment = environment
        self._allowed = allowed

    def require(self, domain: ActiveDirectoryDomain) -> None:
        """See that the domain's secret may be used for its join account.

        Raises:
            ApplicationError: `SecretNotForThisDomain`.

        """
        if not any(allowed.is_for(domain) for allowed in self._allowed):
            raise failure(
                "SecretNotForThisDomain",
                "CLOUD_PC_DOMAIN_SECRETS of this worker does not have: "
                f"{domain.password.place} {domain.name} {domain.username}",
            )

    async def password_of(self, domain: ActiveDirectoryDomain) -> str:
        """Return the join account's password; never put it into a result, an error, a heartbeat or a log.

        Raises:
            ApplicationError: `SecretNotForThisDomain`, `SecretNotSet`, `SecretNotFound` or `SecretUnreadable`.
            HttpResponseError: The Key Vault does not answer.

        """
        self.require(domain)
        reference = domain.password
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

"""Where secrets are kept: Azure Key Vault, or the worker's environment; and what keeps them out of texts."""

from collections.abc import Mapping
from contextvars import ContextVar
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.keyvault.secrets.aio import SecretClient

from models.azure_network_connection import SecretReference

_confided: ContextVar[list[str] | None] = ContextVar("confided", default=None)


def begin() -> None:
    """Begin a piece of work that knows no secret yet, in the current context."""
    _confided.set([])


def confide(secret: str) -> str:
    """Return the secret, which `hidden` keeps out of texts as long as this piece of work lasts."""
    confided = _confided.get()
    if confided is not None:
        confided.append(secret)
    return secret


def hidden(text: str) -> str:
    """Return the text without the secrets of this piece of work: a service or a guest may have repeated one."""
    for secret in _confided.get() or ():
        text = text.replace(secret, "…")
    return text


class SecretNotSetError(Exception):
    """The environment has no such variable; the message names it."""


class Secrets:
    """Reads a secret each time it is needed and keeps none.

    Source: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
    """

    def __init__(self, credential: AsyncTokenCredential, environment: Mapping[str, str]) -> None:
        self._credential = credential
        self._environment = environment

    async def read(self, reference: SecretReference) -> str:
        """Return the secret.

        Raises:
            SecretNotSetError: The environment variable is not set.
            HttpResponseError: The Key Vault refuses, has no such secret or cannot be reached.

        """
        if reference.environment_variable:
            value = self._environment.get(reference.environment_variable)
            if not value:
                raise SecretNotSetError(f"{reference.environment_variable} is not set on this worker")
            return value
        address = urlsplit(reference.key_vault_secret_id or "")
        name, _, version = address.path.removeprefix("/secrets/").partition("/")
        vault = SecretClient(f"https://{address.netloc}", self._credential, retry_total=0)
        async with vault:
            secret = await vault.get_secret(name, version or None)
        return secret.value or ""

"""How activities read secrets: where one cannot be read, the failure says so and no more."""

from http import HTTPStatus

from azure.core.exceptions import HttpResponseError

from activities.errors import failure
from cloud.secrets import SecretNotSetError, Secrets, confide
from models.azure_network_connection import SecretReference


async def read_secret(secrets: Secrets, reference: SecretReference) -> str:
    """Return the secret; never put it into a result, an error, a heartbeat or a log.

    Raises:
        ApplicationError: `SecretNotSet`, `SecretNotFound` or `SecretUnreadable`.
        HttpResponseError: The Key Vault does not answer.

    """
    try:
        return confide(await secrets.read(reference))
    except SecretNotSetError as error:
        raise failure("SecretNotSet", str(error)) from error
    except HttpResponseError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            raise failure("SecretNotFound", f"there is no secret {reference.key_vault_secret_id}") from error
        if error.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise failure("SecretUnreadable", f"{reference.key_vault_secret_id} cannot be read") from error
        raise

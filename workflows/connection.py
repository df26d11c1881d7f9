"""How the Temporal server is reached, and what it must have."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError

from contract.search_attributes import SEARCH_ATTRIBUTES
from workflows.plugin import PLUGIN

_VALUE_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}


class ConnectionFailedError(Exception):
    """The Temporal server cannot be used; the message says why and what to set, in one line."""


class ProfileError(ConnectionFailedError):
    """The configuration of the Temporal client cannot be read."""


async def connect() -> Client:
    """Connect as `TEMPORAL_*` variables or the profile in `temporal.toml` say, as the CLI does.

    Raises:
        ConnectionFailedError: The configuration is wrong, or the server cannot be reached or refuses.

    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (ValueError, RuntimeError, OSError) as error:
        raise ProfileError(f"TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE: {error}; correct the profile") from error
    target = config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(**config, plugins=[PLUGIN])
    except (RuntimeError, RPCError) as error:
        raise ConnectionFailedError(
            f"TEMPORAL_ADDRESS: no Temporal server answers at {target} ({_first_line(error)}); start it or correct it"
        ) from error


async def require_search_attributes(client: Client) -> None:
    """See that the namespace has our search attributes: without one every workflow task would fail, for ever.

    Raises:
        ConnectionFailedError: One is missing or of another type; the message has the command that makes it.

    """
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        raise ConnectionFailedError(
            f"TEMPORAL_NAMESPACE: {client.namespace} cannot be read ({_first_line(error)}); correct it"
        ) from error
    missing = [
        f"--name {name} --type {kind}"
        for name, kind in SEARCH_ATTRIBUTES.items()
        if answer.custom_attributes.get(name) != _VALUE_TYPES[kind]
    ]
    if missing:
        commands = " && ".join(
            f"temporal operator search-attribute create -n {client.namespace} {arguments}" for arguments in missing
        )
        raise ConnectionFailedError(
            f"TEMPORAL_NAMESPACE: {client.namespace} lacks search attributes; make them: {commands}"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

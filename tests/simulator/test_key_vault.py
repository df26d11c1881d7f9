"""The simulated key vault, by the real SDK client as it is."""

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.secrets.aio import SecretClient

from cloud.clients import CloudClients
from simulator.active_directory import JOIN_PASSWORD
from simulator.cloud import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from simulator.server import SimulatorServer


async def read(simulator: SimulatorServer, name: str, version: str | None = None, **options: bool) -> str | None:
    """Read a secret."""
    cloud = simulator.cloud
    url = cloud.base_url if options else cloud.key_vault_url
    credential = ClientSecretCredential(
        TENANT_ID, CLIENT_ID, CLIENT_SECRET, authority=cloud.base_url, disable_instance_discovery=True
    )
    async with credential, SecretClient(url, credential, retry_total=0, **options) as vault:
        return (await vault.get_secret(name, version)).value


async def refused(simulator: SimulatorServer, name: str) -> tuple[int | None, str, str]:
    """Return status, code and message with which a secret is refused."""
    with pytest.raises(HttpResponseError) as failure:
        await read(simulator, name)
    error = failure.value.error
    assert error is not None
    return failure.value.status_code, error.code or "", error.message or ""


async def test_a_secret_is_read_by_a_client_that_checks_the_challenge(simulator: SimulatorServer) -> None:
    assert await read(simulator, "domain-join") == JOIN_PASSWORD
    version = simulator.cloud.key_vault.version("domain-join")
    assert await read(simulator, "Domain-Join", version) == JOIN_PASSWORD
    simulator.cloud.key_vault.secrets["domain-join"] = "another"
    assert await read(simulator, "domain-join") == "another"
    with pytest.raises(ResourceNotFoundError):
        await read(simulator, "domain-join", version)
    assert simulator.cloud.ledger.entries == []


async def test_a_secret_is_read_at_the_clouds_own_address(simulator: SimulatorServer) -> None:
    assert await read(simulator, "domain-join", verify_challenge_resource=False) == JOIN_PASSWORD


async def test_refusals(simulator: SimulatorServer, clients: CloudClients) -> None:
    vault = simulator.cloud.key_vault
    status, code, message = await refused(simulator, "nothing")
    assert (status, code) == (404, "SecretNotFound") and "(name/id) nothing was not found" in message
    vault.disabled.add("domain-join")
    assert await refused(simulator, "domain-join") == (
        403,
        "Forbidden",
        "Operation get is not allowed on a disabled secret.",
    )
    vault.denied = True
    status, code, message = await refused(simulator, "domain-join")
    assert (status, code) == (403, "Forbidden") and "Caller is not authorized" in message


async def test_only_a_token_for_the_vault_will_do(simulator: SimulatorServer) -> None:
    cloud = simulator.cloud
    credential = ClientSecretCredential(
        TENANT_ID, CLIENT_ID, CLIENT_SECRET, authority=cloud.base_url, disable_instance_discovery=True
    )
    path = "/secrets/domain-join?api-version=7.6"
    async with credential, httpx.AsyncClient(base_url=cloud.key_vault_url) as http:
        answer = await http.get(path)
        assert answer.status_code == 401 and answer.json()["error"]["code"] == "Unauthorized"
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge == (
            f'Bearer authorization="{cloud.base_url}/{TENANT_ID}", resource="{cloud.key_vault_resource}"'
        )
        for scope, status in (("https://graph.microsoft.com/.default", 401), ("https://vault.azure.net/.default", 200)):
            http.headers["Authorization"] = f"Bearer {(await credential.get_token(scope)).token}"
            assert (await http.get(path)).status_code == status
        assert (await http.get("/secrets/domain-join")).json()["error"]["code"] == "BadParameter"
        assert (await http.put(path, json={"value": "x"})).status_code == 405

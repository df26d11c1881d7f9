import asyncio
import os
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential as SyncClientSecretCredential
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential

from simulator.cloud import CLIENT_ID, CLIENT_SECRET, SUBSCRIPTION_ID, TENANT_ID
from simulator.server import SimulatorServer

ARM_SCOPE = "https://management.azure.com/.default"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"


def credential(simulator: SimulatorServer, **changes: Any) -> ClientSecretCredential:
    identity = {"tenant_id": TENANT_ID, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | changes
    return ClientSecretCredential(authority=simulator.cloud.base_url, retry_total=0, **identity)


async def token(simulator: SimulatorServer, scope: str) -> str:
    async with credential(simulator) as entra:
        return (await entra.get_token(scope)).token


async def get(simulator: SimulatorServer, path: str, bearer: str | None = None) -> httpx.Response:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url, headers=headers) as http:
        return await http.get(path)


@pytest.mark.parametrize("tenant", [TENANT_ID, "contoso.onmicrosoft.com"])
@pytest.mark.parametrize("caller", [{}, {"enable_cae": True, "claims": '{"access_token":{"nbf":{"essential":true}}}'}])
async def test_asynchronous_credential_signs_in(
    simulator: SimulatorServer, tenant: str, caller: dict[str, Any]
) -> None:
    async with credential(simulator, tenant_id=tenant) as entra:
        issued = await entra.get_token(GRAPH_SCOPE, **caller)
    assert (await get(simulator, "/v1.0/users", issued.token)).status_code == 200


async def test_environment_alone_signs_in(simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", simulator.cloud.base_url)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT_ID)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", CLIENT_SECRET)
    async with DefaultAzureCredential() as entra:
        issued = await entra.get_token(f"{simulator.cloud.base_url}/.default")
    assert (await get(simulator, "/v1.0/users", issued.token)).status_code == 200


async def test_synchronous_credential_signs_in(simulator: SimulatorServer) -> None:
    def sign_in() -> str:
        with SyncClientSecretCredential(
            TENANT_ID,
            CLIENT_ID,
            CLIENT_SECRET,
            authority=simulator.cloud.base_url,
            disable_instance_discovery=True,
            connection_verify=os.environ["SSL_CERT_FILE"],
        ) as entra:
            return entra.get_token(GRAPH_SCOPE).token

    assert (await get(simulator, "/v1.0/users", await asyncio.to_thread(sign_in))).status_code == 200


async def test_older_endpoint_takes_a_resource(simulator: SimulatorServer) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "resource": "https://management.core.windows.net/",
    }
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        answer = (await http.post(f"/{TENANT_ID}/oauth2/token", data=form)).json()
    assert answer["expires_in"] == "3599"
    assert answer["resource"] == form["resource"]


@pytest.mark.parametrize(
    ("changes", "scope", "number"),
    [
        ({"tenant_id": "fabrikam.com"}, ARM_SCOPE, 90002),
        ({"client_id": "00000000-0000-4000-8000-000000000000"}, ARM_SCOPE, 700016),
        ({"client_secret": "wrong"}, ARM_SCOPE, 7000215),
        ({}, "https://management.azure.com/user_impersonation", 1002012),
        ({}, "https://storage.azure.com/.default", 500011),
    ],
)
async def test_refusal_says_why(simulator: SimulatorServer, changes: dict[str, str], scope: str, number: int) -> None:
    async with credential(simulator, **changes) as entra:
        with pytest.raises(ClientAuthenticationError, match=f"AADSTS{number}:"):
            await entra.get_token(scope)


async def test_unknown_address_and_method(simulator: SimulatorServer) -> None:
    missing = await get(simulator, f"/{TENANT_ID}/nothing")
    assert (missing.status_code, missing.json()["error"]) == (404, "invalid_request")
    assert (await get(simulator, f"/{TENANT_ID}/oauth2/v2.0/token")).status_code == 405


@pytest.mark.parametrize("scope", [ARM_SCOPE, "https://management.core.windows.net//.default"])
async def test_token_is_for_one_audience(simulator: SimulatorServer, scope: str) -> None:
    bearer = await token(simulator, scope)
    path = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups?api-version=2021-04-01"
    assert (await get(simulator, path, bearer)).status_code == 200
    refused = await get(simulator, "/v1.0/users", bearer)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "Access token validation failure. Invalid audience."


async def test_expired_token_is_refused(simulator: SimulatorServer) -> None:
    simulator._tokens.lifetime = 0
    refused = await get(simulator, "/v1.0/users", await token(simulator, GRAPH_SCOPE))
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "Lifetime validation failed, the token is expired."


async def test_forged_and_missing_tokens_are_refused(simulator: SimulatorServer) -> None:
    good = await token(simulator, GRAPH_SCOPE)
    for bearer in (None, "nonsense", f"{good}x"):
        refused = await get(simulator, "/v1.0/users", bearer)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "InvalidAuthenticationToken"
        assert refused.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


async def test_tools_discover_the_cloud(simulator: SimulatorServer) -> None:
    metadata = (await get(simulator, "/metadata/endpoints?api-version=2022-09-01")).json()
    authority = metadata["authentication"]["loginEndpoint"]
    assert authority == simulator.cloud.base_url
    configuration = (await get(simulator, f"/{TENANT_ID}/v2.0/.well-known/openid-configuration")).json()
    assert configuration["token_endpoint"] == f"{authority}/{TENANT_ID}/oauth2/v2.0/token"

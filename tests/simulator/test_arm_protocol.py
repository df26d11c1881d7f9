"""What all of the simulated Resource Manager has in common: addresses, errors, groups, providers, listings."""

from typing import Any

import aiohttp
import pytest

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.cloud import SECOND_SUBSCRIPTION_ID, SUBSCRIPTION_ID, TENANT_ID
from simulator.server import SimulatorServer

from .arm import GROUP_ID, Arm, code_of, interface_body, machine_body, network_id

SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
VERSION = "api-version=2024-07-01"


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def get(arm: Arm, path: str) -> Any:
    """Return the body that a GET answers."""
    return (await arm.request("GET", path)).json()


@pytest.mark.parametrize(
    ("status", "code", "path"),
    [
        (400, "MissingApiVersionParameter", f"{GROUP_ID}"),
        (404, "SubscriptionNotFound", f"/subscriptions/{TENANT_ID}/resourceGroups?{VERSION}"),
        (400, "InvalidSubscriptionId", f"/subscriptions/mine/resourceGroups?{VERSION}"),
        (404, "ResourceGroupNotFound", f"{SUBSCRIPTION}/resourceGroups/none?{VERSION}"),
        (404, "ResourceGroupNotFound", f"{SUBSCRIPTION}/resourceGroups/none/resources?{VERSION}"),
        (
            404,
            "ResourceGroupNotFound",
            f"{SUBSCRIPTION}/resourceGroups/none/providers/Microsoft.Compute/virtualMachines/pc?{VERSION}",
        ),
        (404, "ResourceNotFound", f"{GROUP_ID}/providers/Microsoft.Compute/virtualMachines/pc?{VERSION}"),
        (404, "InvalidResourceType", f"{GROUP_ID}/providers/Microsoft.Compute/sshPublicKeys/x?{VERSION}"),
        (404, "InvalidResourceNamespace", f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/x?{VERSION}"),
        (
            404,
            "ResourceNotFound",
            f"{GROUP_ID}/providers/Microsoft.Compute/virtualMachines/pc/providers/Microsoft.Authorization/"
            f"roleAssignments?{VERSION}",
        ),
        (
            404,
            "NotFound",
            f"{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/operations/none?{VERSION}",
        ),
        (400, "InvalidFilterInQueryString", f"{SUBSCRIPTION}/resources?$filter=nonsense&{VERSION}"),
    ],
)
async def test_addresses_that_lead_nowhere(arm: Arm, status: int, code: str, path: str) -> None:
    answer = await arm.request("GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_every_answer_carries_its_identifiers(arm: Arm) -> None:
    answer = await arm.request("GET", f"{GROUP_ID}?{VERSION}")
    for name in ("x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"):
        assert answer.headers[name]
    assert answer.headers["x-ms-ratelimit-remaining-subscription-reads"]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_token_is_needed(arm: Arm) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{arm.cloud.base_url}{GROUP_ID}?{VERSION}") as answer,
    ):
        assert answer.status == 401 and "Bearer" in answer.headers["WWW-Authenticate"]
        assert (await answer.json())["error"]["code"] == "AuthenticationFailed"


async def test_a_body_must_be_an_object(arm: Arm) -> None:
    path = f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/vnet?{VERSION}"
    for body in ([], {"location": "westeurope", "properties": 3}):
        answer = await arm.request("PUT", path, body)  # type: ignore[arg-type]
        assert answer.json()["error"]["code"] == "InvalidRequestContent"


async def test_ids_are_answered_as_they_were_stored(arm: Arm) -> None:
    await arm.interface("Nic-One")
    path = f"{GROUP_ID.upper()}/PROVIDERS/microsoft.network/NETWORKINTERFACES/nic-one?{VERSION}"
    assert (await get(arm, path))["id"] == network_id("networkInterfaces", "Nic-One")


async def test_an_existing_resource_stays_in_its_region(arm: Arm) -> None:
    await arm.interface("nic")
    body = {**interface_body(network_id("virtualNetworks", "vnet/subnets/pcs")), "location": "uksouth"}
    request = arm.clients.network.network_interfaces.begin_create_or_update(GROUP, "nic", body)
    assert await code_of(request) == (409, "InvalidResourceLocation")


async def test_resource_groups(arm: Arm) -> None:
    path = f"{SUBSCRIPTION}/resourceGroups/other?{VERSION}"
    assert (await arm.request("HEAD", path)).status_code == 404
    made = await arm.request("PUT", path, {"location": "West Europe", "tags": {"a": "b"}})
    assert made.status_code == 201 and made.json()["location"] == "westeurope"
    assert (await arm.request("HEAD", path)).status_code == 204
    assert (await arm.request("PATCH", path, {"tags": {"c": "d"}})).json()["tags"] == {"c": "d"}
    groups = await get(arm, f"{SUBSCRIPTION}/resourceGroups?{VERSION}")
    assert [group["name"] for group in groups["value"]] == [GROUP, "rg-network", "other"]


async def test_a_deleted_group_takes_everything_along(arm: Arm) -> None:
    await arm.machine("pc1")
    answer = await arm.request("DELETE", f"{GROUP_ID}?{VERSION}")
    assert answer.status_code == 202 and "Azure-AsyncOperation" not in answer.headers
    location = answer.headers["Location"].removeprefix(arm.cloud.base_url)
    assert (await arm.request("GET", location)).status_code == 204
    assert arm.made() == [] and arm.cloud.resources.get(GROUP_ID) is None and arm.cloud.guests == {}
    assert arm.cloud.resources.capacity.used[SUBSCRIPTION_ID, "westeurope", "cores"] == 0


async def test_the_generic_listing(arm: Arm) -> None:
    await arm.machine("pc1", tags={"cloudPc": "one", "Other": "x"})
    machine_type = "Microsoft.Compute/virtualMachines"

    async def names(condition: str, scope: str = SUBSCRIPTION) -> set[str]:
        filtered = f"$filter={condition.replace(' ', '%20')}&" if condition else ""
        return {resource["name"] for resource in (await get(arm, f"{scope}/resources?{filtered}{VERSION}"))["value"]}

    assert await names("", GROUP_ID) == {"pip", "nat", "vnet", "pc1-nic", "pc1", "pc1-disk"}
    assert await names("tagName eq 'cloudpc' and tagValue eq 'one'") == {"pc1", "pc1-disk"}
    assert await names("tagName eq 'other'") == {"pc1", "pc1-disk"}
    assert await names(f"resourceType eq '{machine_type}' and resourceGroup eq '{GROUP}'") == {"pc1"}
    assert await names("name eq 'vnet'") == {"vnet"}


async def test_tenant_subscription_and_locations(arm: Arm) -> None:
    assert [tenant["tenantId"] for tenant in (await get(arm, f"/tenants?{VERSION}"))["value"]] == [TENANT_ID]
    subscription, other = (await get(arm, f"/subscriptions?{VERSION}"))["value"]
    assert other["subscriptionId"] == SECOND_SUBSCRIPTION_ID
    assert (subscription["subscriptionId"], subscription["state"]) == (SUBSCRIPTION_ID, "Enabled")
    assert await get(arm, f"{SUBSCRIPTION}?{VERSION}") == subscription
    locations = (await get(arm, f"{SUBSCRIPTION}/locations?{VERSION}"))["value"]
    assert {"westeurope", "northeurope", "eastus", "uksouth"} == {location["name"] for location in locations}


async def test_a_resource_provider_must_be_registered(arm: Arm) -> None:
    arm.cloud.resources.unregistered.add("microsoft.network")
    path = f"{GROUP_ID}/providers/Microsoft.Network/networkSecurityGroups/nsg?{VERSION}"
    refused = await arm.request("PUT", path, {"location": "westeurope"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    provider = f"{SUBSCRIPTION}/providers/Microsoft.Network"
    providers = (await get(arm, f"{SUBSCRIPTION}/providers?{VERSION}"))["value"]
    states = {found["namespace"]: found["registrationState"] for found in providers}
    assert (states["Microsoft.Network"], states["Microsoft.Compute"]) == ("NotRegistered", "Registered")
    assert (await get(arm, f"{provider}?{VERSION}"))["registrationState"] == "NotRegistered"
    assert (await arm.request("POST", f"{provider}/register?{VERSION}")).status_code == 200
    assert (await get(arm, f"{provider}?{VERSION}"))["registrationState"] == "Registered"
    assert (await arm.request("PUT", path, {"location": "westeurope"})).status_code == 201


async def test_secrets_are_nowhere_in_what_can_be_read(arm: Arm) -> None:
    await arm.machine("pc1")
    await arm.run("pc1", "c", "exit 0", protectedParameters=[{"name": "x", "value": "hidden-horse"}])
    password = machine_body("pc1")["properties"]["osProfile"]["adminPassword"]
    for resource in arm.cloud.resources.all():
        assert password not in str(resource.body) and "hidden-horse" not in str(resource.body)
        assert password not in str(resource.private)

"""The customer's own networks and second subscription in the simulated Resource Manager, by the real SDK clients."""

from typing import Any

import pytest

from cloud.clients import CloudClients
from simulator.arm.network import has_outbound_access
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.cloud import SECOND_SUBSCRIPTION_ID, SUBSCRIPTION_ID
from simulator.server import SimulatorServer

from .arm import Arm, code_of, interface_body, machine_body, refusal

CORPORATE = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg-network"
BRANCH = f"/subscriptions/{SECOND_SUBSCRIPTION_ID}/resourceGroups/rg-branch"
SUBNET = "providers/Microsoft.Network/virtualNetworks/{}/subnets/{}"


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def put_interface(arm: Arm, group_id: str, subnet_id: str, region: str, name: str = "nic") -> Any:
    body = {**interface_body(subnet_id), "location": region}
    operations = arm.of(group_id).network.network_interfaces
    return await operations.begin_create_or_update(group_id.rpartition("/")[2], name, body)


async def test_the_customer_has_networks_in_both_subscriptions(arm: Arm) -> None:
    assert not arm.cloud.ledger.entries
    for group_id, name, region, prefix in (
        (CORPORATE, "vnet-corp", "westeurope", "10.20.0.0/16"),
        (BRANCH, "vnet-branch", "northeurope", "10.30.0.0/16"),
    ):
        networks = arm.of(group_id).network.virtual_networks
        [network] = [network async for network in networks.list_all()]
        assert (network.name, network.location, network.properties.provisioning_state) == (name, region, "Succeeded")
        assert network.properties.address_space.address_prefixes == [prefix]
        assert network.properties.dhcp_options.dns_servers == ["10.20.0.4"]
        assert "snet-cloud-pcs" in [subnet.name for subnet in network.properties.subnets]
        interface = await (
            await put_interface(arm, group_id, f"{group_id}/{SUBNET.format(name, 'snet-cloud-pcs')}", region)
        ).result()
        assert has_outbound_access(arm.cloud.resources, [interface.id])


async def test_a_small_subnet_is_soon_full(arm: Arm) -> None:
    subnet_id = f"{CORPORATE}/{SUBNET.format('vnet-corp', 'snet-small')}"
    for number in range(3):
        await (await put_interface(arm, CORPORATE, subnet_id, "westeurope", f"nic{number}")).result()
    full = put_interface(arm, CORPORATE, subnet_id, "westeurope", "nic3")
    assert await code_of(full) == (400, "SubnetIsFull")


async def test_an_interface_is_where_its_network_is(arm: Arm) -> None:
    subnet_id = f"{BRANCH}/{SUBNET.format('vnet-branch', 'snet-cloud-pcs')}"
    elsewhere = put_interface(arm, BRANCH, subnet_id, "westeurope")
    assert await code_of(elsewhere) == (400, "InvalidResourceReference")
    other_subscription = put_interface(arm, CORPORATE, subnet_id, "northeurope")
    assert await code_of(other_subscription) == (400, "InvalidResourceReference")
    near = await (await put_interface(arm, BRANCH, subnet_id, "northeurope")).result()

    body = {**machine_body("pc1"), "location": "northeurope"}
    body["properties"]["networkProfile"]["networkInterfaces"][0]["id"] = near.id
    machines = arm.clients.compute.virtual_machines
    error = await refusal(machines.begin_create_or_update(GROUP, "pc1", body))
    assert (error.status_code, error.error.code) == (400, "BadRequest")
    assert f"Entity subscriptionId in resource reference id {near.id} is invalid." in error.message
    machines = arm.of(BRANCH).compute.virtual_machines
    machine = await (await machines.begin_create_or_update("rg-branch", "pc1", body)).result()
    assert machine.id.startswith(BRANCH) and machine.id.lower() in arm.cloud.guests
    assert [found.name async for found in machines.list_all()] == ["pc1"]
    assert [found.name async for found in arm.clients.compute.virtual_machines.list_all()] == []


async def test_role_assignments_of_the_subscriptions_are_apart(arm: Arm) -> None:
    user = next(iter(arm.cloud.directory.users))
    for subscription_id in (SUBSCRIPTION_ID, SECOND_SUBSCRIPTION_ID):
        scope = f"/subscriptions/{subscription_id}"
        role = f"{scope}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
        properties = {"roleDefinitionId": role, "principalId": user, "principalType": "User"}
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
        version = "api-version=2022-04-01"
        made = await arm.request("PUT", f"{path}/{user}?{version}", {"properties": properties})
        assert made.status_code == 201
        listed = (await arm.request("GET", f"{path}?{version}")).json()["value"]
        assert [assignment["properties"]["scope"] for assignment in listed] == [scope]

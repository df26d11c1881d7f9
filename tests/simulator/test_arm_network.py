"""Networks of the simulated Resource Manager, by the real SDK client."""

from typing import Any

import pytest

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.server import SimulatorServer

from .arm import Arm, code_of, interface_body, network_id, refusal

SUBNET = network_id("virtualNetworks", "vnet/subnets/pcs")


@pytest.fixture
async def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it and a network in it."""
    made = Arm(simulator.cloud, clients)
    await made.network(prefix="10.0.0.0/29")
    return made


def put_subnet(arm: Arm, name: str, properties: dict[str, Any]) -> Any:
    """PUT a subnet of the network."""
    return arm.clients.network.subnets.begin_create_or_update(GROUP, "vnet", name, {"properties": properties})


async def test_network_and_gateway_know_each_other(arm: Arm) -> None:
    network = await arm.clients.network.virtual_networks.get(GROUP, "vnet")
    [subnet] = network.properties.subnets
    assert (subnet.id, subnet.properties.default_outbound_access) == (SUBNET, False)
    assert subnet.properties.nat_gateway.id == network_id("natGateways", "nat")
    assert network.etag and network.properties.resource_guid
    gateway = await arm.clients.network.nat_gateways.get(GROUP, "nat")
    assert [reference.id for reference in gateway.properties.subnets] == [SUBNET]
    address = await arm.clients.network.public_ip_addresses.get(GROUP, "pip")
    assert address.properties.nat_gateway.id == gateway.id and address.properties.ip_address
    assert [found.name async for found in arm.clients.network.virtual_networks.list(GROUP)] == ["vnet"]


async def test_interfaces_take_the_free_addresses_of_the_subnet(arm: Arm) -> None:
    addresses: list[str] = []
    for number in range(3):
        interface = await arm.interface(f"nic{number}")
        addresses.append(interface.properties.ip_configurations[0].properties.private_ip_address)
    assert addresses == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]

    operations = arm.clients.network.network_interfaces
    full = operations.begin_create_or_update(GROUP, "nic3", interface_body(SUBNET))
    assert await code_of(full) == (400, "SubnetIsFull")
    again = await arm.interface("nic1")
    assert again.properties.ip_configurations[0].properties.private_ip_address == "10.0.0.5"
    await (await operations.begin_delete(GROUP, "nic1")).result()
    last = await arm.interface("nic3")
    assert last.properties.ip_configurations[0].properties.private_ip_address == "10.0.0.5"


@pytest.mark.parametrize(
    ("code", "address"),
    [
        ("PrivateIPAddressInReservedRange", "10.0.0.3"),
        ("PrivateIPAddressInReservedRange", "10.0.0.7"),
        ("PrivateIPAddressNotInSubnet", "10.0.1.4"),
        ("PrivateIPAddressInUse", "10.0.0.4"),
    ],
)
async def test_static_addresses_that_are_refused(arm: Arm, code: str, address: str) -> None:
    await arm.interface("nic0")
    body = interface_body(SUBNET, privateIPAllocationMethod="Static", privateIPAddress=address)
    request = arm.clients.network.network_interfaces.begin_create_or_update(GROUP, "nic1", body)
    assert await code_of(request) == (400, code)


async def test_references_must_exist_and_be_in_the_region(arm: Arm) -> None:
    operations = arm.clients.network.network_interfaces
    nowhere = interface_body(network_id("virtualNetworks", "vnet/subnets/none"))
    assert await code_of(operations.begin_create_or_update(GROUP, "nic", nowhere)) == (400, "InvalidResourceReference")
    elsewhere = {**interface_body(SUBNET), "location": "uksouth"}
    request = operations.begin_create_or_update(GROUP, "nic", elsewhere)
    assert await code_of(request) == (400, "InvalidResourceReference")
    gateway = {"natGateway": {"id": network_id("natGateways", "none")}, "addressPrefix": "10.0.1.0/24"}
    assert await code_of(put_subnet(arm, "other", gateway)) == (400, "InvalidResourceReference")


async def test_what_is_in_use_is_not_deleted(arm: Arm) -> None:
    network = arm.clients.network
    await arm.machine("pc1")
    in_use = {
        "NicInUse": network.network_interfaces.begin_delete(GROUP, "pc1-nic"),
        "InUseSubnetCannotBeDeleted": network.subnets.begin_delete(GROUP, "vnet", "pcs"),
        "InUseNatGatewayCannotBeDeleted": network.nat_gateways.begin_delete(GROUP, "nat"),
        "PublicIPAddressCannotBeDeleted": network.public_ip_addresses.begin_delete(GROUP, "pip"),
    }
    for code, request in in_use.items():
        assert await code_of(request) == (400, code)
    whole = network.virtual_networks.begin_delete(GROUP, "vnet")
    assert await code_of(whole) == (400, "InUseSubnetCannotBeDeleted")

    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    await (await network.virtual_networks.begin_delete(GROUP, "vnet")).result()
    await (await network.nat_gateways.begin_delete(GROUP, "nat")).result()
    await (await network.public_ip_addresses.begin_delete(GROUP, "pip")).result()
    assert arm.made() == []


async def test_an_interface_belongs_to_one_machine(arm: Arm) -> None:
    await arm.machine("pc1")
    interfaces = [{"id": network_id("networkInterfaces", "pc1-nic")}]
    error = await refusal(arm.machine("pc2", networkProfile={"networkInterfaces": interfaces}))
    assert (error.status_code, error.error.code) == (400, "NicInUse")


async def test_subnets_are_resources_of_their_own(arm: Arm) -> None:
    subnet = await (await put_subnet(arm, "more", {"addressPrefix": "10.0.1.0/24"})).result()
    assert subnet.properties.provisioning_state == "Succeeded"
    overlap = await code_of(put_subnet(arm, "again", {"addressPrefix": "10.0.1.128/25"}))
    assert overlap == (400, "NetcfgSubnetRangesOverlap")
    assert await code_of(put_subnet(arm, "out", {"addressPrefix": "10.1.0.0/24"})) == (400, "NetcfgInvalidSubnet")
    assert await code_of(put_subnet(arm, "bad", {"addressPrefix": "10"})) == (400, "InvalidAddressPrefixFormat")

    network = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    operations = arm.clients.network.virtual_networks
    kept = await (await operations.begin_create_or_update(GROUP, "vnet", network)).result()
    assert {found.name for found in kept.properties.subnets} == {"pcs", "more"}
    network["properties"]["subnets"] = [{"name": "more", "properties": {"addressPrefix": "10.0.1.0/24"}}]
    replaced = await (await operations.begin_create_or_update(GROUP, "vnet", network)).result()
    assert {found.name for found in replaced.properties.subnets} == {"more"}


async def test_security_groups_and_their_rules(arm: Arm) -> None:
    network = arm.clients.network
    deny = {
        "access": "Deny",
        "direction": "Inbound",
        "protocol": "*",
        "priority": 100,
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "3389",
    }
    body = {"location": "westeurope", "properties": {"securityRules": [{"name": "rdp", "properties": deny}]}}
    group = await (await network.network_security_groups.begin_create_or_update(GROUP, "nsg", body)).result()
    assert [rule.name for rule in group.properties.security_rules] == ["rdp"]
    assert {rule.priority for rule in group.properties.default_security_rules} == {65000, 65001, 65500}

    rules = network.security_rules
    conflict = rules.begin_create_or_update(GROUP, "nsg", "other", {"properties": deny})
    assert await code_of(conflict) == (400, "SecurityRuleConflict")
    low = rules.begin_create_or_update(GROUP, "nsg", "other", {"properties": {**deny, "priority": 99}})
    assert await code_of(low) == (400, "SecurityRuleInvalidPriority")
    other = {"properties": {**deny, "priority": 101}}
    await (await rules.begin_create_or_update(GROUP, "nsg", "other", other)).result()
    assert {rule.name async for rule in rules.list(GROUP, "nsg")} == {"rdp", "other"}

    subnet = {"addressPrefix": "10.0.1.0/24", "networkSecurityGroup": {"id": group.id}}
    await (await put_subnet(arm, "more", subnet)).result()
    delete = network.network_security_groups.begin_delete(GROUP, "nsg")
    assert await code_of(delete) == (400, "InUseNetworkSecurityGroupCannotBeDeleted")


async def test_tags_are_replaced_by_a_patch(arm: Arm) -> None:
    network = await arm.clients.network.virtual_networks.update_tags(GROUP, "vnet", {"tags": {"a": "b"}})
    assert network.tags == {"a": "b"} and network.properties.subnets


async def test_usages(arm: Arm) -> None:
    await arm.interface("nic")
    usages = {usage.name.value: usage.current_value async for usage in arm.clients.network.usages.list("westeurope")}
    assert (usages["VirtualNetworks"], usages["NetworkInterfaces"]) == (2, 1)

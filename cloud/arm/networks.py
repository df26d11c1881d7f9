"""Network interfaces, the Microsoft-hosted networks of a region, and the customer's own subnets."""

import ipaddress
import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from cloud.arm.operations import Operations, ensure
from cloud.clients import CloudClients
from cloud.errors import failure, not_yet
from cloud.execution.shared import Shared
from domain import naming
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPcReference
from models.types import ResourceId, same_id

HOSTED_NETWORK_TAG = "cloudPcNetwork"
"""Tag of a virtual network that serves as the Microsoft-hosted network of its region; value `microsoftHosted`."""
_SUBNET = "cloud-pcs"
_RESERVED_ADDRESSES = 5
"""Of every subnet. Source: https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq"""


@dataclass(frozen=True)
class Interface:
    """A network interface that exists."""

    id: str
    """ARM id."""
    subnet_id: str
    private_ip_address: str | None


class NetworkInterfaces:
    """Makes the network interfaces of Cloud PCs.

    Source: https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/create-or-update
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval

    async def ensure(self, cloud_pc: CloudPcReference, subnet_id: str) -> Interface:
        """Return the Cloud PC's network interface; make it in the subnet when it does not exist."""
        group = self._groups.get(cloud_pc.resource_group_id)
        configuration = {
            "name": "primary",
            "properties": {"primary": True, "privateIPAllocationMethod": "Dynamic", "subnet": {"id": subnet_id}},
        }
        body = {
            "location": cloud_pc.region,
            "tags": naming.tags(cloud_pc),
            "properties": {"ipConfigurations": [configuration]},
        }
        made = await ensure(
            group.network.network_interfaces,
            (group.name, naming.network_interface_name(cloud_pc.computer_name)),
            lambda: body,
            poll_interval=self._poll_interval,
            owner=cloud_pc.cloud_pc_id,
        )
        address = made.properties.ip_configurations[0].properties
        return Interface(made.id, address.subnet.id, address.private_ip_address)


class ConnectedNetworks:
    """Looks at the customer's own networks, which Azure network connections name."""

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups

    async def region_of(self, connection: AzureNetworkConnection) -> str:
        """Return the region of a connection's virtual network, once its subnet is known to exist.

        Raises:
            ApplicationError: `ResourceNotAllowed`, `SubnetNotFound` or `SubnetInAnotherSubscription`.

        """
        subnet = self._subnet_of(connection)
        own = self._groups.get(connection.resource_group_id)
        if not same_id(ResourceId.parse(own.id).subscription, subnet.subscription):
            raise failure(
                "SubnetInAnotherSubscription", f"{connection.subnet_id} is not in the subscription of {own.id}"
            )
        try:
            await own.network.subnets.get(subnet.resource_group, subnet.of("virtualNetworks"), subnet.name)
            found = await own.network.virtual_networks.get(subnet.resource_group, subnet.of("virtualNetworks"))
        except ResourceNotFoundError as error:
            raise failure("SubnetNotFound", f"{connection.subnet_id} does not exist") from error
        return str(found.location)

    async def free_addresses(self, connection: AzureNetworkConnection) -> tuple[str, int]:
        """Return the region of a connection and how many addresses its subnet has left.

        Raises:
            ApplicationError: `ResourceNotAllowed` or `SubnetNotFound`.

        Source: https://learn.microsoft.com/rest/api/virtualnetwork/subnets/get

        """
        subnet = self._subnet_of(connection)
        client: Any = self._groups.get(connection.resource_group_id).network
        found: Any = await client.virtual_networks.get(subnet.resource_group, subnet.of("virtualNetworks"))
        subnets: list[Any] = found.properties.subnets or []
        for item in subnets:
            if same_id(item.name, subnet.name):
                prefixes: list[str] = item.properties.address_prefixes or [item.properties.address_prefix]
                size = sum(ipaddress.ip_network(prefix).num_addresses - _RESERVED_ADDRESSES for prefix in prefixes)
                return str(found.location), max(0, size - len(item.properties.ip_configurations or []))
        raise failure("SubnetNotFound", f"{connection.subnet_id} does not exist")

    def _subnet_of(self, connection: AzureNetworkConnection) -> ResourceId:
        self._groups.require(connection.subnet_id)
        return ResourceId.parse(connection.subnet_id)


class HostedNetworks:
    """Finds and makes the Microsoft-hosted networks: virtual networks of the worker's own subscription, by their tag.

    New virtual networks have no outbound access of their own, which the VM agent, Entra ID, Intune and
    Azure Virtual Desktop need: a NAT gateway belongs to the hosted network. Nothing comes in: the machines
    have no public IP address and the security group denies every inbound connection.
    Source: https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval
        self._networks = Shared(self._read_networks, seconds=60)

    async def _read_networks(self, group_name: str) -> list[Any]:
        return [network async for network in self._groups.get().network.virtual_networks.list(group_name)]

    async def subnets(self, region: str) -> AsyncIterator[str]:
        """Yield the subnets of the region's hosted networks, then that of one more network, made for it.

        What others have read is good enough where it holds a network of the region.
        """
        group_name = self._groups.get().name
        networks = await self._networks(group_name)
        if not any(_is_hosted(network, region) for network in networks):
            networks = await self._networks(group_name, fresh=True)
        names = {network.name.lower() for network in networks}
        for network in networks:
            if _is_hosted(network, region):
                state, number = network.properties.provisioning_state, _number(network.name, region)
                if state in ("Failed", "Canceled") and number:
                    yield await self._new_subnet(region, number)
                    continue
                if state not in ("Succeeded", "Failed", "Canceled"):
                    raise not_yet(f"the virtual network {network.name} is being changed", self._poll_interval)
                for subnet_id in _subnets(network):
                    yield subnet_id
        number = next(number for number in itertools.count(1) if f"vnet-{_suffix(region, number)}" not in names)
        yield await self._new_subnet(region, number)

    async def _new_subnet(self, region: str, number: int) -> str:
        """Make one more hosted network; its address space may be another's too, for they are not connected."""
        network, suffix = self._groups.get().network, _suffix(region, number)
        common = {"location": region, "tags": {"managedBy": naming.MANAGED_BY, HOSTED_NETWORK_TAG: "microsoftHosted"}}
        address = await self._make(
            network.public_ip_addresses,
            f"pip-{suffix}",
            {**common, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}},
        )
        gateway = await self._make(
            network.nat_gateways,
            f"nat-{suffix}",
            {**common, "sku": {"name": "Standard"}, "properties": {"publicIpAddresses": [{"id": address.id}]}},
        )
        security_group = await self._make(
            network.network_security_groups,
            f"nsg-{suffix}",
            {**common, "properties": {"securityRules": [_DENY_INBOUND]}},
        )
        prefix = f"10.{64 + (number - 1) % 192}"
        subnet = {
            "name": _SUBNET,
            "properties": {
                "addressPrefix": f"{prefix}.0.0/17",
                "defaultOutboundAccess": False,
                "natGateway": {"id": gateway.id},
                "networkSecurityGroup": {"id": security_group.id},
            },
        }
        made = await self._make(
            network.virtual_networks,
            f"vnet-{suffix}",
            {
                **common,
                "properties": {"addressSpace": {"addressPrefixes": [f"{prefix}.0.0/16"]}, "subnets": [subnet]},
            },
        )
        return next(subnet.id for subnet in made.properties.subnets if subnet.name == _SUBNET)

    async def _make(self, operations: Operations, name: str, body: dict[str, Any]) -> Any:
        return await ensure(
            operations, (self._groups.get().name, name), lambda: body, poll_interval=self._poll_interval
        )


def _is_hosted(network: Any, region: str) -> bool:
    tags: dict[str, str] = network.tags or {}
    return tags.get(HOSTED_NETWORK_TAG) == "microsoftHosted" and network.location == region


def _subnets(network: Any) -> list[str]:
    subnets: list[Any] = network.properties.subnets or []
    return [subnet.id for subnet in subnets if subnet.name == _SUBNET]


def _number(network: str, region: str) -> int | None:
    """Return which of the region's networks that we make this one is, or None when the customer made it."""
    found = re.fullmatch(rf"vnet-cloud-pc-{region}(?:-([0-9]+))?", network, re.IGNORECASE)
    return int(found[1] or 1) if found else None


def _suffix(region: str, number: int) -> str:
    return f"cloud-pc-{region}" + (f"-{number}" if number > 1 else "")


_DENY_INBOUND = {
    "name": "deny-inbound",
    "properties": {
        "access": "Deny",
        "direction": "Inbound",
        "priority": 4096,
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "*",
    },
}

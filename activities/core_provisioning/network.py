"""Step 3: the network. The interface is made before the VM, since ARM wants it when the VM is created."""

import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from temporalio import activity

from activities import naming
from activities.errors import arm_code, failure, not_yet
from activities.long_running import Operations, ensure
from activities.shared import Shared
from activities.signatures import AttachNetworkInput, CloudPcReference, NetworkAttachment
from cloud.clients import CloudClients
from models.azure_network_connection import AzureNetworkConnection

HOSTED_NETWORK_TAG = "cloudPcNetwork"
"""Tag of a virtual network that serves as the Microsoft-hosted network of its region; value `microsoftHosted`."""
_SUBNET = "cloud-pcs"


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
            (group.name, naming.network_interface_name(cloud_pc)),
            lambda: body,
            poll_interval=self._poll_interval,
            owner=cloud_pc.cloud_pc_id,
        )
        address = made.properties.ip_configurations[0].properties
        return Interface(made.id, address.subnet.id, address.private_ip_address)


class Network:
    """Makes network interfaces: in a connection's subnet, or in a Microsoft-hosted network, made when there is none.

    New virtual networks have no outbound access of their own, which the VM agent, Entra ID, Intune and
    Azure Virtual Desktop need: a NAT gateway belongs to the hosted network. Nothing comes in: the machines
    have no public IP address and the security group denies every inbound connection.
    Source: https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._interfaces = NetworkInterfaces(clients)
        self._poll_interval = clients.settings.poll_interval
        self._networks = Shared(self._read_networks, seconds=60)

    @activity.defn
    async def attach_network(self, request: AttachNetworkInput) -> NetworkAttachment:
        """Return the Cloud PC's network interface.

        Raises:
            ApplicationError: `SubnetNotFound`, or `SubnetInAnotherSubscription`, of a connection.
            HttpResponseError: Azure refuses, such as `SubnetIsFull` or `LinkedAuthorizationFailed` of a connection.

        """
        cloud_pc, connection = request.cloud_pc, request.connection
        if connection is None:
            return await self._attach_to_hosted_network(cloud_pc)
        region = await self._region_of(connection)
        located = cloud_pc.model_copy(update={"region": region})
        return _attachment(await self._interfaces.ensure(located, connection.subnet_id), region)

    async def _region_of(self, connection: AzureNetworkConnection) -> str:
        """Return the region of the connection's virtual network, once its subnet is known to exist."""
        _, _, subscription, _, group, *_, network, _, subnet = connection.subnet_id.split("/")
        own = self._groups.get(connection.resource_group_id)
        if own.id.split("/")[2].lower() != subscription.lower():
            raise failure(
                "SubnetInAnotherSubscription", f"{connection.subnet_id} is not in the subscription of {own.id}"
            )
        try:
            await own.network.subnets.get(group, network, subnet)
            found = await own.network.virtual_networks.get(group, network)
        except ResourceNotFoundError as error:
            raise failure("SubnetNotFound", f"{connection.subnet_id} does not exist") from error
        return str(found.location)

    async def _attach_to_hosted_network(self, cloud_pc: CloudPcReference) -> NetworkAttachment:
        async for subnet_id in self._hosted_subnets(cloud_pc.region):
            try:
                return _attachment(await self._interfaces.ensure(cloud_pc, subnet_id), cloud_pc.region)
            except HttpResponseError as error:
                match arm_code(error):
                    case "SubnetIsFull":
                        # A full subnet, or network, means the next one.
                        continue
                    case "InvalidResourceReference" if activity.info().attempt == 1:
                        # It was there when it was read, maybe for another Cloud PC.
                        raise not_yet(f"{subnet_id} is gone", self._poll_interval) from error
                    case _:
                        raise
        raise failure("SubnetIsFull", f"every Microsoft-hosted network of {cloud_pc.region} is full")

    async def _read_networks(self, group_name: str) -> list[Any]:
        return [network async for network in self._groups.get().network.virtual_networks.list(group_name)]

    async def _hosted_subnets(self, region: str) -> AsyncIterator[str]:
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
                    yield await self._new_hosted_subnet(region, number)
                    continue
                if state not in ("Succeeded", "Failed", "Canceled"):
                    raise not_yet(f"the virtual network {network.name} is being changed", self._poll_interval)
                for subnet_id in _subnets(network):
                    yield subnet_id
        number = next(number for number in itertools.count(1) if f"vnet-{_suffix(region, number)}" not in names)
        yield await self._new_hosted_subnet(region, number)

    async def _new_hosted_subnet(self, region: str, number: int) -> str:
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


def _attachment(interface: Interface, region: str) -> NetworkAttachment:
    network = interface.subnet_id.split("/")[-3]
    return NetworkAttachment(
        subnet_id=interface.subnet_id,
        private_ip_address=interface.private_ip_address,
        region=region,
        detail=f"{interface.private_ip_address} in {network}",
    )


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

"""Step 3: the network. The interface is made before the VM, since ARM wants it when the VM is created."""

from dataclasses import dataclass
from typing import Any

from temporalio import activity

from activities import naming
from activities.errors import not_yet
from activities.long_running import Operations, ensure
from activities.signatures import AttachNetworkInput, CloudPcReference, NetworkAttachment
from cloud.clients import CloudClients

HOSTED_NETWORK_TAG = "cloudPcNetwork"
"""Tag of a virtual network that serves as the Microsoft-hosted network of its region; value `microsoftHosted`."""
_SUBNET = "cloud-pcs"
_ADDRESS_SPACE = "10.64.0.0/16"
_SUBNET_PREFIX = "10.64.0.0/17"


@dataclass(frozen=True)
class Interface:
    """A network interface that exists."""

    id: str
    """ARM id."""
    private_ip_address: str | None


class NetworkInterfaces:
    """Makes the network interfaces of Cloud PCs.

    Source: https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/create-or-update
    """

    def __init__(self, clients: CloudClients) -> None:
        self._interfaces = clients.network.network_interfaces
        self._group = clients.settings.resource_group
        self._poll_interval = clients.settings.poll_interval

    async def ensure(self, cloud_pc: CloudPcReference, subnet_id: str) -> Interface:
        """Return the Cloud PC's network interface; make it in the subnet when it does not exist."""
        configuration = {
            "name": "primary",
            "properties": {"primary": True, "privateIPAllocationMethod": "Dynamic", "subnet": {"id": subnet_id}},
        }
        body = {
            "location": cloud_pc.region,
            "tags": naming.tags(cloud_pc),
            "properties": {"ipConfigurations": [configuration]},
        }
        ids = (self._group, naming.network_interface_name(cloud_pc))
        made = await ensure(
            self._interfaces, ids, lambda: body, poll_interval=self._poll_interval, owner=cloud_pc.cloud_pc_id
        )
        return Interface(made.id, made.properties.ip_configurations[0].properties.private_ip_address)


class Network:
    """Makes network interfaces, and the region's Microsoft-hosted network when there is none.

    New virtual networks have no outbound access of their own, which the VM agent, Entra ID, Intune and
    Azure Virtual Desktop need: a NAT gateway belongs to the network. Nothing comes in: the machines have
    no public IP address and the security group denies every inbound connection.
    Source: https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access
    """

    def __init__(self, clients: CloudClients) -> None:
        self._network = clients.network
        self._interfaces = NetworkInterfaces(clients)
        self._group = clients.settings.resource_group
        self._poll_interval = clients.settings.poll_interval

    @activity.defn
    async def attach_network(self, request: AttachNetworkInput) -> NetworkAttachment:
        """Return the Cloud PC's network interface, made in the region's hosted network if need be."""
        cloud_pc = request.cloud_pc
        subnet_id = await self._existing_hosted_subnet(cloud_pc.region) or await self._new_hosted_subnet(
            cloud_pc.region
        )
        interface = await self._interfaces.ensure(cloud_pc, subnet_id)
        network = subnet_id.split("/")[-3]
        return NetworkAttachment(
            subnet_id=subnet_id,
            private_ip_address=interface.private_ip_address,
            detail=f"{interface.private_ip_address} in {network}",
        )

    async def _existing_hosted_subnet(self, region: str) -> str | None:
        networks: list[Any] = [network async for network in self._network.virtual_networks.list(self._group)]
        for network in networks:
            network_tags: dict[str, str] = network.tags or {}
            if network_tags.get(HOSTED_NETWORK_TAG) == "microsoftHosted" and network.location == region:
                if network.properties.provisioning_state != "Succeeded":
                    raise not_yet(f"the virtual network {network.name} is being changed", self._poll_interval)
                subnets: list[Any] = network.properties.subnets or []
                for subnet in subnets:
                    if subnet.name == _SUBNET:
                        return subnet.id
        return None

    async def _new_hosted_subnet(self, region: str) -> str:
        common = {"location": region, "tags": {"managedBy": naming.MANAGED_BY, HOSTED_NETWORK_TAG: "microsoftHosted"}}
        address = await self._make(
            self._network.public_ip_addresses,
            f"pip-cloud-pc-{region}",
            {**common, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}},
        )
        gateway = await self._make(
            self._network.nat_gateways,
            f"nat-cloud-pc-{region}",
            {**common, "sku": {"name": "Standard"}, "properties": {"publicIpAddresses": [{"id": address.id}]}},
        )
        security_group = await self._make(
            self._network.network_security_groups,
            f"nsg-cloud-pc-{region}",
            {**common, "properties": {"securityRules": [_DENY_INBOUND]}},
        )
        subnet = {
            "name": _SUBNET,
            "properties": {
                "addressPrefix": _SUBNET_PREFIX,
                "defaultOutboundAccess": False,
                "natGateway": {"id": gateway.id},
                "networkSecurityGroup": {"id": security_group.id},
            },
        }
        network = await self._make(
            self._network.virtual_networks,
            f"vnet-cloud-pc-{region}",
            {
                **common,
                "properties": {"addressSpace": {"addressPrefixes": [_ADDRESS_SPACE]}, "subnets": [subnet]},
            },
        )
        return next(subnet.id for subnet in network.properties.subnets if subnet.name == _SUBNET)

    async def _make(self, operations: Operations, name: str, body: dict[str, Any]) -> Any:
        return await ensure(operations, (self._group, name), lambda: body, poll_interval=self._poll_interval)


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

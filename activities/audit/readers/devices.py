"""The Entra devices of Cloud PCs: by the machine that they name, or, hybrid-joined, by the Cloud PC's name."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgraph.generated.devices.devices_request_builder import DevicesRequestBuilder

from activities.audit.readers.machines import Machines
from cloud.arm.operations import found
from cloud.clients import CloudClients
from cloud.concurrency import each
from cloud.graph.devices import Device, Devices
from cloud.graph.lists import advanced, listed
from domain import naming
from domain.audit import Inventory, Part
from models.audit import PartKind
from models.azure_network_connection import ActiveDirectoryDomain, AzureNetworkConnection
from models.cloud_pc import CloudPc
from models.provisioning_policy import DomainJoinType

AT_ONCE = 8
"""How many Cloud PCs, or devices, are asked about at the same time."""
_RESOURCE_ID = "[AzureResourceId]:"


async def read_devices(clients: CloudClients, group_id: str, machines: Machines) -> Inventory:
    """Read the Entra devices that name a machine of a resource group.

    Raises:
        APIError: They cannot be read.

    Source: https://learn.microsoft.com/graph/aad-advanced-queries

    """
    inventory = Inventory()
    start = f"{_RESOURCE_ID}{group_id}/"
    query = DevicesRequestBuilder.DevicesRequestBuilderGetQueryParameters(
        filter=f"physicalIds/any(p:startswith(p,'{start}'))",
        select=["id", "deviceId", "displayName", "physicalIds", "registrationDateTime"],
        count=True,
    )
    async for device in listed(clients.graph.devices, Device, advanced(query)):
        for physical_id in device.physical_ids or []:
            if physical_id.casefold().startswith(start.casefold()):
                _add(inventory, device, physical_id[len(_RESOURCE_ID) :], machines, clients.settings.graph_url)
    return inventory


@dataclass
class HybridDevices:
    """What is known of hybrid-joined machines.

    Attributes:
        inventory: Their devices.
        domains: The domain of each orphaned machine, by its ARM id; None where no connection that was given has it.

    """

    inventory: Inventory = field(default_factory=Inventory)
    domains: dict[str, ActiveDirectoryDomain | None] = field(default_factory=dict[str, ActiveDirectoryDomain | None])


async def read_hybrid_devices(
    clients: CloudClients,
    living: Iterable[CloudPc],
    orphans: Iterable[Part],
    connections: Iterable[AzureNetworkConnection],
    machines: Machines,
) -> HybridDevices:
    """Read the devices of hybrid-joined machines, which are known by the names of Cloud PCs alone.

    Args:
        clients: The worker's clients.
        living: Hybrid-joined Cloud PCs that there are.
        orphans: Machines that joined a domain and are orphans.
        connections: By which the domains of orphans are known.
        machines: Every machine that was read.

    Raises:
        APIError: Devices cannot be read.
        HttpResponseError: A network interface cannot be read.

    """
    made, devices = HybridDevices(), Devices(clients)
    subnets = {
        connection.subnet_id.casefold(): connection.domain
        for connection in connections
        if connection.connection_type == DomainJoinType.HYBRID_AZURE_AD_JOIN
    }

    async def read_living(pc: CloudPc) -> None:
        for device in await devices.named(pc.computer_name):
            if devices.is_synchronized(device):
                made.inventory.device_ids.add(device.device_id or "")

    async def read_orphan(machine: Part) -> None:
        for device in await devices.named(machine.computer_name):
            if devices.is_synchronized(device):
                _add(made.inventory, device, machine.id, machines, clients.settings.graph_url)
        made.domains[machine.id] = await _domain_of(clients, machine, subnets)

    await each(living, read_living, at_once=AT_ONCE)
    await each(orphans, read_orphan, at_once=AT_ONCE)
    return made


def _add(inventory: Inventory, device: Device, machine_id: str, machines: Machines, graph_url: str) -> None:
    inventory.device_ids.add(device.device_id or "")
    part = machines.part_of(
        machine_id,
        kind=PartKind.DEVICE,
        id=device.id,
        command=f"az rest --method DELETE --url {graph_url}/v1.0/devices/{device.id}",
        created=device.registration_date_time or device.on_premises_last_sync_date_time,
        device_id=device.device_id or "",
    )
    inventory.parts += [part] if part else []


async def _domain_of(
    clients: CloudClients, machine: Part, subnets: dict[str, ActiveDirectoryDomain]
) -> ActiveDirectoryDomain | None:
    """Return the domain that a machine's network reaches, by the subnets of connections in lower case."""
    if not subnets:
        return None
    group = clients.resource_groups.get(machine.resource_group_id)
    name = naming.network_interface_name(machine.computer_name)
    interface: Any = await found(group.network.network_interfaces.get(group.name, name))
    if interface is None:
        return None
    return subnets.get(str(interface.properties.ip_configurations[0].properties.subnet.id).casefold())

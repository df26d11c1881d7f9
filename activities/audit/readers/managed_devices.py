"""The managed devices of Intune: those of Cloud PCs with their primary users, and those of orphaned Entra devices."""

from collections.abc import Iterable
from dataclasses import replace

from activities.audit.readers.devices import AT_ONCE
from cloud.clients import CloudClients
from cloud.concurrency import each
from cloud.graph.devices import Devices
from cloud.graph.lists import found
from domain.audit import Inventory, Part
from models.audit import PartKind
from models.cloud_pc import CloudPc


async def read_managed_devices(clients: CloudClients, living: Iterable[CloudPc], orphans: Iterable[Part]) -> Inventory:
    """Read managed devices.

    Args:
        clients: The worker's clients.
        living: Cloud PCs whose users can use them.
        orphans: Entra devices that are orphans.

    Raises:
        APIError: They cannot be read.

    """
    inventory, devices = Inventory(), Devices(clients)
    url = f"{clients.settings.graph_url}/v1.0/deviceManagement/managedDevices"

    async def read_living(pc: CloudPc) -> None:
        users = await found(devices.primary_users(pc.managed_device_id or ""))
        if users is None:
            # Enrolled a second time, it is another managed device.
            managed = await devices.managed(pc.entra_device_id or "")
            users = await found(devices.primary_users(managed[0].id)) if managed else None
        if users is not None:
            inventory.managed.add(pc.id)
            inventory.primary_users[pc.id] = next(iter(users), None)

    async def read_orphan(device: Part) -> None:
        for managed in await devices.managed(device.device_id):
            inventory.parts.append(
                replace(
                    device,
                    kind=PartKind.MANAGED_DEVICE,
                    id=managed.id,
                    command=f"az rest --method DELETE --url {url}/{managed.id}",
                    created=managed.enrolled_date_time,
                )
            )

    await each(living, read_living, at_once=AT_ONCE)
    await each(orphans, read_orphan, at_once=AT_ONCE)
    return inventory

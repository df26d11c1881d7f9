"""Azure capacity that is kept for one Cloud PC."""

from typing import Any

from cloud.arm.operations import ensure, found, is_owned, remove
from cloud.clients import CloudClients
from domain import naming
from models.cloud_pc import CloudPcReference
from models.types import same_id


class CapacityReservations:
    """One capacity reservation group for each Cloud PC, with one reservation.

    It is billed as the machine would be, used or not, so it lives no longer than the machine.
    Source: https://learn.microsoft.com/azure/virtual-machines/capacity-reservation-overview
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval

    async def ensure(self, cloud_pc: CloudPcReference, vm_size: str, zone: str | None) -> str:
        """Reserve capacity for one machine and return the ARM id of the capacity reservation group.

        Raises:
            HttpResponseError: Azure has no such capacity, or refuses otherwise.

        """
        group = self._groups.get(cloud_pc.resource_group_id)
        zones = [zone] if zone else []
        common: dict[str, Any] = {"location": cloud_pc.region, "tags": naming.tags(cloud_pc), "zones": zones}
        ids = (
            group.name,
            naming.capacity_reservation_group_name(cloud_pc.computer_name),
            naming.CAPACITY_RESERVATION,
        )
        reservations: Any = group.compute.capacity_reservations
        groups: Any = group.compute.capacity_reservation_groups
        kept_group, kept = await found(groups.get(*ids[:2])), await found(reservations.get(*ids))
        if (kept_group and (kept_group.zones or []) != zones) or (kept and not same_id(kept.sku.name, vm_size)):
            # Of a candidate that was refused when the machine was to be made.
            await self.remove(cloud_pc)
        made = await groups.create_or_update(*ids[:2], common)
        body = {**common, "sku": {"name": vm_size, "capacity": 1}}
        await ensure(
            reservations,
            ids,
            lambda: body,
            poll_interval=self._poll_interval,
            replace_failed=True,
            owner=cloud_pc.cloud_pc_id,
        )
        return str(made.id)

    async def remove(self, cloud_pc: CloudPcReference) -> None:
        """Release what was reserved; nothing is done where nothing was."""
        group = self._groups.get(cloud_pc.resource_group_id)
        ids = (group.name, naming.capacity_reservation_group_name(cloud_pc.computer_name))
        reservations: Any = group.compute.capacity_reservations
        groups: Any = group.compute.capacity_reservation_groups
        kept = await found(groups.get(*ids))
        if kept is None or not is_owned(kept, cloud_pc.cloud_pc_id):
            return
        reservation = (*ids, naming.CAPACITY_RESERVATION)
        await remove(reservations, reservation, poll_interval=self._poll_interval, owner=None)
        await remove(groups, ids, poll_interval=self._poll_interval, owner=None)

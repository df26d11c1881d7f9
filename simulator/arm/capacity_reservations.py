"""Microsoft.Compute: on-demand capacity reservations, which hold room for machines before there are any.

Source: learn.microsoft.com/azure/virtual-machines/capacity-reservation-overview
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from simulator.arm.allocation import allocation_failure, check_quota, check_zones, refused_later, size_of, zone_of
from simulator.arm.call import Call
from simulator.arm.capacity import ALLOCATION_FAILURES, Capacity
from simulator.arm.compute_resource_type import (
    ComputeResourceType,
    instance_status,
    other_subscription,
    property_change_not_allowed,
)
from simulator.arm.errors import ArmError, invalid_parameter, invalid_reference
from simulator.arm.ids import parent_of, part_of
from simulator.arm.resource_type import object_in
from simulator.arm.store import Resource, ResourceStore

GROUPS = "Microsoft.Compute/capacityReservationGroups"
RESERVATIONS = "Microsoft.Compute/capacityReservationGroups/capacityReservations"


class CapacityReservationGroups(ComputeResourceType):
    """Groups of reservations, in which a machine finds the one that fits it; a group itself holds no room."""

    type = GROUPS

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the zones, which cannot be changed."""
        check_zones(self.store.capacity, resource)
        if existing and existing.body.get("zones") != resource.body.get("zones"):
            raise property_change_not_allowed("zones")
        for unreadable in ("capacityReservations", "virtualMachinesAssociated", "instanceView"):
            resource.properties.pop(unreadable, None)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the group with its reservations and their machines, on demand with its instance view."""
        reservations = self.store.children(resource.id, RESERVATIONS)
        machines = [machine for reservation in reservations for machine in machines_of(reservation)]
        properties = {
            **resource.properties,
            "capacityReservations": _references(reservation.id for reservation in reservations),
            "virtualMachinesAssociated": _references(machines),
        }
        if _wants_instance_view(call):
            views = [
                {"name": reservation.name, **_instance_view(self.store, reservation, self.cloud.clock.timestamp())}
                for reservation in reservations
            ]
            properties["instanceView"] = {"capacityReservations": views}
        return {**resource.body, "properties": properties}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while there are reservations in it."""
        self.refuse_nested(resource)


class CapacityReservations(ComputeResourceType):
    """Reservations: room for so many machines of one size, in one zone or in none.

    What a reservation remembers in `private`: ids of the `machines` that are associated with it, the `quantity` that
    counts against the quota, how many are `allocated`, and the code with which it `refused` to be.
    """

    type = RESERVATIONS
    create_seconds = 20
    update_seconds = 20
    delete_seconds = 10

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check that it fits into its group, the quota, and what has run out."""
        capacity = self.store.capacity
        group = self.store.get(parent_of(resource.id))
        if group is None:
            raise invalid_reference(parent_of(resource.id), resource.id)
        sku = object_in(resource.body, "sku")
        quantity: Any = sku.get("capacity")
        if not isinstance(quantity, int) or quantity < 0:
            raise invalid_parameter("sku.capacity", "Required parameter 'sku.capacity' is missing (null) or invalid.")
        if existing:
            if str(sku.get("name", "")).lower() != existing.body["sku"]["name"].lower():
                raise property_change_not_allowed("sku.name")
            if zone_of(resource) != zone_of(existing):
                raise property_change_not_allowed("zones")
            resource.properties.update({**existing.properties, **resource.properties})
        size = size_of(capacity, resource, str(sku.get("name", "")))
        if not size.reservable:
            raise ArmError(400, "NotSupported", f"Capacity Reservation is not supported for VM size {size.name}.")
        self._check_place(resource, existing, group)
        private = resource.private
        before, machines = private.get("quantity", 0), private.setdefault("machines", [])
        more = capacity.cores(size, max(quantity, len(machines)) - max(before, len(machines)))
        check_quota(capacity, resource, more)
        private["refused"] = None
        if quantity > private.setdefault("allocated", 0):
            private["refused"] = refused_later(self.cloud.faults, capacity, resource, size, quantity - before)
        capacity.use(part_of(resource.id, "subscriptions"), resource.location, more)
        private["quantity"] = quantity
        resource.body["sku"] = {"name": size.name, "capacity": quantity}
        for unreadable in ("virtualMachinesAssociated", "instanceView"):
            resource.properties.pop(unreadable, None)
        now = self.cloud.clock.timestamp()
        resource.properties.setdefault("reservationId", self.cloud.new_id("capacityReservation"))
        resource.properties.setdefault("timeCreated", now)
        resource.properties.setdefault("platformFaultDomainCount", 3)
        return True

    def _check_place(self, resource: Resource, existing: Resource | None, group: Resource) -> None:
        if resource.location != group.location:
            raise invalid_parameter(
                "location",
                f"The location '{resource.location}' of capacity reservation '{resource.name}' is not the location "
                f"'{group.location}' of its capacity reservation group '{group.name}'.",
            )
        zone, eligible = zone_of(resource), group.body.get("zones") or [None]
        if zone not in eligible:
            raise invalid_parameter(
                "zones",
                f"The zone '{zone or ''}' of capacity reservation '{resource.name}' is not among the zones "
                f"'{','.join(group.body.get('zones') or [])}' of its capacity reservation group '{group.name}'.",
            )
        for other in self.store.children(group.id, RESERVATIONS):
            is_same_size = other.body["sku"]["name"].lower() == resource.body["sku"]["name"].lower()
            if other is not existing and is_same_size and zone_of(other) == zone:
                raise ArmError(
                    409,
                    "OperationNotAllowed",
                    f"Capacity reservation group '{group.name}' already has the capacity reservation '{other.name}' "
                    f"for VM size '{other.body['sku']['name']}'" + (f" in zone '{zone}'." if zone else "."),
                )

    async def finish(self, resource: Resource) -> None:
        """Set the room aside, all of it or nothing."""
        if code := resource.private["refused"]:
            raise allocation_failure(code)
        resource.private["allocated"] = resource.private["quantity"]
        resource.properties["provisioningTime"] = self.cloud.clock.timestamp()

    def failed(self, resource: Resource, error: ArmError) -> None:
        """Leave it with the room that it had before, and give back the quota of the rest."""
        self._count(resource, resource.private["allocated"])

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the reservation with its machines, on demand with its instance view."""
        properties = {**resource.properties, "virtualMachinesAssociated": _references(machines_of(resource))}
        if _wants_instance_view(call):
            properties["instanceView"] = _instance_view(self.store, resource, self.cloud.clock.timestamp())
        return {**resource.body, "properties": properties}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while machines are associated with it."""
        if machines := machines_of(resource):
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Capacity reservation '{resource.name}' cannot be deleted since virtual machines are associated with "
                f"it: {', '.join(machines)}. Disassociate them first. See https://aka.ms/CapacityReservation.",
            )

    def removed(self, resource: Resource) -> None:
        """Give the quota back."""
        machines_of(resource).clear()
        self._count(resource, 0)

    def _count(self, resource: Resource, quantity: int) -> None:
        private, machines = resource.private, len(machines_of(resource))
        less = max(quantity, machines) - max(private["quantity"], machines)
        private["quantity"] = quantity
        _use_cores(self.store.capacity, resource, less)

    async def list(self, call: Call, below: str) -> web.Response:
        """List the reservations of a group, without their instance views."""
        listed = [self.view(resource) for resource in self.store.list(self.type, below)]
        return web.json_response({"value": listed})


CAPACITY_RESERVATION_TYPES = (CapacityReservationGroups, CapacityReservations)


def machines_of(reservation: Resource) -> list[str]:
    """Return the ids of the machines that are associated with a reservation, to be read or changed."""
    return reservation.private["machines"]


def find_reservation(store: ResourceStore, machine: Resource, size_name: str) -> Resource | None:
    """Return the reservation that a machine's body asks for, or None where it names no group.

    Raises:
        ArmError: There is no such group, or it has no reservation for the machine's size, region and zone.

    """
    reference = object_in(object_in(machine.properties, "capacityReservation"), "capacityReservationGroup")
    group_id = str(reference.get("id") or "")
    if not group_id:
        return None
    group = store.get(group_id)
    if group is None or group.type != GROUPS:
        raise invalid_reference(group_id, machine.id)
    if part_of(group.id, "subscriptions") != part_of(machine.id, "subscriptions"):
        raise other_subscription(group.id)
    reference["id"] = group.id
    for reservation in store.children(group.id, RESERVATIONS):
        is_same_size = reservation.body["sku"]["name"].lower() == size_name.lower()
        if is_same_size and (reservation.location, zone_of(reservation)) == (machine.location, zone_of(machine)):
            return reservation
    zone = zone_of(machine)
    raise ArmError(
        409,
        "OperationNotAllowed",
        f"Virtual machine '{machine.name}' cannot be allocated: capacity reservation group '{group.name}' has no "
        f"capacity reservation for VM size '{size_name}' in location '{machine.location}'"
        + (f" and zone '{zone}'." if zone else " without a zone.")
        + " See https://aka.ms/CapacityReservation.",
    )


def has_room(store: ResourceStore, reservation: Resource) -> bool:
    """Return whether a reservation has set aside room that no machine takes."""
    return len(_allocated(store, reservation)) < reservation.private["allocated"]


def cores_to_join(capacity: Capacity, reservation: Resource) -> Counter[str]:
    """Return what one machine more takes of each usage: nothing up to the reserved quantity."""
    size = capacity.sizes[reservation.body["sku"]["name"].lower()]
    return capacity.cores(size) if len(machines_of(reservation)) >= reservation.private["quantity"] else Counter()


def join(capacity: Capacity, reservation: Resource, machine_id: str) -> None:
    """Associate a machine with a reservation."""
    capacity.use(part_of(reservation.id, "subscriptions"), reservation.location, cores_to_join(capacity, reservation))
    machines_of(reservation).append(machine_id)


def leave(capacity: Capacity, reservation: Resource, machine_id: str) -> None:
    """Disassociate a machine from its reservation."""
    machines_of(reservation).remove(machine_id)
    if len(machines_of(reservation)) >= reservation.private["quantity"]:
        _use_cores(capacity, reservation, -1)


def is_allocated(machine: Resource) -> bool:
    """Return whether a machine takes room: it is not deallocated, and there was room for it."""
    return machine.private.get("power_state") != "deallocated" and machine.private.get("error") not in (
        ALLOCATION_FAILURES
    )


def _use_cores(capacity: Capacity, reservation: Resource, machines: int) -> None:
    size = capacity.sizes[reservation.body["sku"]["name"].lower()]
    more = capacity.cores(size, machines)
    capacity.use(part_of(reservation.id, "subscriptions"), reservation.location, more)


def _allocated(store: ResourceStore, reservation: Resource) -> list[str]:
    found = (store.get(machine_id) for machine_id in machines_of(reservation))
    return [machine.id for machine in found if machine and is_allocated(machine)]


def _references(ids: Iterable[str]) -> list[dict[str, str]]:
    return [{"id": resource_id} for resource_id in ids]


def _wants_instance_view(call: Call | None) -> bool:
    return call is not None and "instanceview" in call.query.get("$expand", "").lower()


def _instance_view(store: ResourceStore, reservation: Resource, now: str) -> dict[str, Any]:
    state = reservation.properties["provisioningState"].lower()
    return {
        "utilizationInfo": {
            "currentCapacity": reservation.private["allocated"],
            "virtualMachinesAllocated": _references(_allocated(store, reservation)),
        },
        "statuses": [instance_status(f"ProvisioningState/{state}", f"Provisioning {state}", now)],
    }

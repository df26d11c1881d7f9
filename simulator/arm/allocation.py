"""Whether there is room for a machine or a capacity reservation: its size, its zone, the quota, what has run out."""

from collections.abc import Mapping

from simulator.arm.capacity import (
    ALLOCATION_FAILURES,
    CORES,
    QUOTA_EXCEEDED,
    SKU_NOT_AVAILABLE,
    VIRTUAL_MACHINES,
    Capacity,
    VirtualMachineSize,
)
from simulator.arm.errors import ArmError, invalid_parameter
from simulator.arm.ids import part_of
from simulator.arm.store import Resource
from simulator.faults import FaultKind
from simulator.faults_in_force import Faults


def zone_of(resource: Resource) -> str | None:
    """Return the availability zone that a machine or a reservation asks for, or None."""
    zones: list[str] = resource.body.get("zones") or []
    return zones[0] if zones else None


def size_of(capacity: Capacity, resource: Resource, name: str) -> VirtualMachineSize:
    """Return the VM size of a name for a machine or a reservation.

    Raises:
        ArmError: The size or the zone does not exist in the region, or the subscription cannot have it.

    """
    region = resource.location
    size = capacity.sizes.get(name.lower())
    if size is None:
        raise invalid_parameter(
            "vmSize",
            f"The requested VM size {name} is not available in the current region. The sizes available in the "
            f"current region are: {','.join(size.name for size in capacity.sizes.values())}. Find out more on the "
            "available VM sizes in each region at https://aka.ms/azure-regions.",
        )
    check_zones(capacity, resource)
    if len(resource.body.get("zones") or []) > 1:
        raise invalid_parameter("zones", f"Resource '{resource.name}' can be in one zone only.")
    zone = zone_of(resource)
    if not capacity.is_offered(size, region, zone):
        raise _sku_not_available(size, region, zone)
    return size


def check_zones(capacity: Capacity, resource: Resource) -> None:
    """Raise `ArmError` for a zone that the region of a resource does not have."""
    zones: list[str] = resource.body.get("zones") or []
    offered: list[str] = capacity.regions[resource.location]["zones"]
    if any(zone not in offered for zone in zones):
        raise ArmError(
            400,
            "AvailabilityZoneNotSupported",
            f"The zone(s) '{','.join(zones)}' for resource '{resource.type}/{resource.name}' is not supported. The "
            f"supported zones for location '{resource.location}' are '{','.join(offered)}'",
        )


def check_quota(capacity: Capacity, resource: Resource, more: Mapping[str, int]) -> None:
    """Raise `ArmError` when a resource's subscription would exceed its quota by using so much more."""
    subscription = part_of(resource.id, "subscriptions")
    for usage, count in capacity.exceeded(subscription, resource.location, more):
        raise _over_quota(capacity, resource, usage, capacity.limit(resource.location, usage), count)


def refused_later(
    faults: Faults, capacity: Capacity, resource: Resource, size: VirtualMachineSize, count: int = 1
) -> str | None:
    """Return the code with which making so many machines of a size is going to fail, or None.

    Raises:
        ArmError: 409, it is refused at once.

    """
    no_room = "ZonalAllocationFailed" if zone_of(resource) else "AllocationFailed"
    code = capacity.refusal(resource.location, size, zone_of(resource)) or faults.choose(
        FaultKind.CAPACITY, resource.id, (SKU_NOT_AVAILABLE, no_room)
    )
    if code is None and faults.strikes(FaultKind.QUOTA, resource.id):
        code = QUOTA_EXCEEDED
    if code == SKU_NOT_AVAILABLE:
        raise _sku_not_available(size, resource.location, zone_of(resource))
    if code == QUOTA_EXCEEDED:
        used = capacity.used[part_of(resource.id, "subscriptions"), resource.location, size.family]
        raise _over_quota(capacity, resource, size.family, used, size.vCPUs * count)
    return code


def allocation_failure(code: str) -> ArmError:
    """Return how an operation fails for which there is no room."""
    return ArmError(409, code, ALLOCATION_FAILURES[code])


def _sku_not_available(size: VirtualMachineSize, region: str, zone: str | None) -> ArmError:
    place = f"location '{region}'" + (f" zones '{zone}'" if zone else "")
    return ArmError(
        409,
        SKU_NOT_AVAILABLE,
        "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: "
        f"{size.name}' is currently not available in {place}. Please try another size or deploy to a different "
        "location or different zone. See https://aka.ms/azureskunotavailable for details.",
    )


def _over_quota(capacity: Capacity, resource: Resource, usage: str, limit: int, more: int) -> ArmError:
    what = {CORES: "Total Regional Cores", VIRTUAL_MACHINES: "Virtual Machines"}.get(usage, f"{usage} Cores")
    used = capacity.used[part_of(resource.id, "subscriptions"), resource.location, usage]
    return ArmError(
        409,
        QUOTA_EXCEEDED,
        f"Operation could not be completed as it results in exceeding approved {what} quota. Additional "
        f"details - Deployment Model: Resource Manager, Location: {resource.location}, Current Limit: {limit}, "
        f"Current Usage: {used}, Additional Required: {more}, (Minimum) New Limit Required: {used + more}. Submit a "
        "request for Quota increase at https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/ by specifying "
        "parameters listed in the 'Details' section for deployment to succeed. Please read more about quota limits "
        "at https://docs.microsoft.com/en-us/azure/azure-supportability/per-vm-quota-requests",
    )

"""Capacity that runs out, and capacity reservations, in the simulated Resource Manager, by the real SDK clients."""

from dataclasses import replace
from typing import Any

import pytest

from cloud.clients import CloudClients
from simulator.arm.capacity import ALLOCATION_FAILURES
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.cloud import SECOND_SUBSCRIPTION_ID, SUBSCRIPTION_ID
from simulator.server import SimulatorServer

from .arm import GROUP_ID, Arm, code_of, machine_body, network_id, refusal

SIZE, OTHER = "Standard_D2s_v5", "Standard_D4s_v5"
FAMILY = "standardDSv5Family"
CRG_ID = f"{GROUP_ID}/providers/Microsoft.Compute/capacityReservationGroups/crg"


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def put(arm: Arm, name: str, size: str = SIZE, **changes: Any) -> Any:
    """PUT a machine whose interface exists."""
    body = machine_body(name, hardwareProfile={"vmSize": size}, **changes)
    return await arm.clients.compute.virtual_machines.begin_create_or_update(GROUP, name, body)


async def reserved(arm: Arm, name: str, size: str = SIZE) -> Any:
    """PUT a machine in zone 1 with the capacity reservation group, its interface too."""
    await arm.interface(f"{name}-nic")
    return await put(arm, name, size, zones=["1"], capacityReservation={"capacityReservationGroup": {"id": CRG_ID}})


async def make_group(arm: Arm, *zones: str) -> Any:
    groups = arm.clients.compute.capacity_reservation_groups
    return await groups.create_or_update(GROUP, "crg", {"location": "westeurope", "zones": list(zones)})


async def reserve(arm: Arm, name: str = "one", size: str = SIZE, capacity: int = 1, **changes: Any) -> Any:
    reservations = arm.clients.compute.capacity_reservations
    body = {"location": "westeurope", "sku": {"name": size, "capacity": capacity}, "zones": ["1"], **changes}
    return await reservations.begin_create_or_update(GROUP, "crg", name, body)


def used(arm: Arm, usage: str) -> int:
    return arm.cloud.resources.capacity.used[SUBSCRIPTION_ID, "westeurope", usage]


# Capacity that runs out


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "SkuNotAvailable",
            f"Following SKUs have failed for Capacity Restrictions: {SIZE}' is currently not available",
        ),
        ("OperationNotAllowed", f"exceeding approved {FAMILY} Cores quota. Additional details - Deployment Model:"),
    ],
)
async def test_a_machine_is_refused_at_once(arm: Arm, code: str, words: str) -> None:
    arm.cloud.resources.capacity.refuse("westeurope", SIZE, code)
    await arm.interface("pc1-nic")
    error = await refusal(put(arm, "pc1"))
    assert (error.status_code, error.error.code) == (409, code) and words in error.message
    assert "Microsoft.Compute/virtualMachines" not in arm.made() and used(arm, "cores") == 0


@pytest.mark.parametrize("code", ALLOCATION_FAILURES)
async def test_a_machine_fails_for_which_there_is_no_room(arm: Arm, code: str) -> None:
    capacity, machines = arm.cloud.resources.capacity, arm.clients.compute.virtual_machines
    capacity.refuse("westeurope", SIZE.upper(), code)
    await arm.interface("pc1-nic")

    error = await refusal(put(arm, "pc1", tags={"a": "b"}))

    assert (error.status_code, error.error.code) == (200, code) and error.message.startswith(f"({code}) Allocation")
    machine = await machines.get(GROUP, "pc1", expand="instanceView")
    assert (machine.properties.provisioning_state, machine.tags) == ("Failed", {"a": "b"})
    assert [s.code for s in machine.properties.instance_view.statuses] == [f"ProvisioningState/failed/{code}"]
    assert not arm.cloud.guests and "Microsoft.Compute/disks" not in arm.made()
    assert arm.cloud.resources.get(network_id("networkInterfaces", "pc1-nic"))


async def test_a_machine_without_room_can_be_put_again_or_deleted(arm: Arm) -> None:
    capacity, machines = arm.cloud.resources.capacity, arm.clients.compute.virtual_machines
    capacity.refuse("westeurope", SIZE, "AllocationFailed")
    for name in ("pc1", "pc2"):
        await arm.interface(f"{name}-nic")
        await refusal(put(arm, name))
    assert await code_of(put(arm, "pc1")) == (200, "AllocationFailed")
    await (await machines.begin_delete(GROUP, "pc2")).result()

    capacity.refusals.clear()
    machine = await (await put(arm, "pc1")).result()

    assert machine.properties.provisioning_state == "Succeeded" and machine.id.lower() in arm.cloud.guests
    assert (await arm.clients.compute.disks.get(GROUP, "pc1-disk")).managed_by == machine.id
    assert (used(arm, "cores"), used(arm, "virtualMachines")) == (2, 1)
    assert arm.cloud.resources.get(network_id("networkInterfaces", "pc2-nic")) is None


async def test_one_zone_can_be_full(arm: Arm) -> None:
    arm.cloud.resources.capacity.refuse("westeurope", SIZE, "ZonalAllocationFailed", zone="1")
    for name in ("pc1", "pc2", "pc3"):
        await arm.interface(f"{name}-nic")
    assert await code_of(put(arm, "pc1", zones=["1"])) == (200, "ZonalAllocationFailed")
    await (await put(arm, "pc2", zones=["2"])).result()
    await (await put(arm, "pc3")).result()


async def test_what_cannot_be_refused(arm: Arm) -> None:
    refuse = arm.cloud.resources.capacity.refuse
    for wrong in (("atlantis", SIZE, "AllocationFailed"), ("westeurope", "x", "AllocationFailed")):
        with pytest.raises(ValueError, match="catalog"):
            refuse(*wrong)
    with pytest.raises(ValueError, match="no way to refuse"):
        refuse("westeurope", SIZE, "OSProvisioningTimedOut")


# Capacity reservations


async def test_a_reservation_holds_room_and_quota_for_machines(arm: Arm) -> None:
    groups, reservations = (
        arm.clients.compute.capacity_reservation_groups,
        arm.clients.compute.capacity_reservations,
    )
    assert (await make_group(arm, "1", "2")).zones == ["1", "2"]
    made = await (await reserve(arm, capacity=2)).result()
    assert (made.properties.provisioning_state, made.sku.capacity, made.zones) == ("Succeeded", 2, ["1"])
    assert made.properties.reservation_id and made.properties.provisioning_time
    assert (used(arm, "cores"), used(arm, FAMILY), used(arm, "virtualMachines")) == (4, 4, 0)

    # The room that is left goes to who reserved it.
    capacity = arm.cloud.resources.capacity
    capacity.refuse("westeurope", SIZE, "ZonalAllocationFailed")
    capacity.limits["westeurope", FAMILY] = 4
    machine = await (await reserved(arm, "pc1")).result()
    assert machine.properties.capacity_reservation.capacity_reservation_group.id == CRG_ID
    assert (used(arm, "cores"), used(arm, "virtualMachines")) == (4, 1)

    seen = await reservations.get(GROUP, "crg", "one", expand="instanceView")
    assert [vm.id for vm in seen.properties.virtual_machines_associated] == [machine.id]
    utilization = seen.properties.instance_view.utilization_info
    assert utilization.current_capacity == 2
    assert [vm.id for vm in utilization.virtual_machines_allocated] == [machine.id]
    group = await groups.get(GROUP, "crg", expand="instanceView")
    assert [r.id for r in group.properties.capacity_reservations] == [made.id]
    assert [vm.id for vm in group.properties.virtual_machines_associated] == [machine.id]
    [view] = group.properties.instance_view.capacity_reservations
    assert view.name == "one" and view.statuses[0].code == "ProvisioningState/succeeded"
    assert [r.name async for r in reservations.list_by_capacity_reservation_group(GROUP, "crg")] == ["one"]
    assert [g.name async for g in groups.list_by_resource_group(GROUP)] == ["crg"]
    assert [g.name async for g in groups.list_by_subscription()] == ["crg"]

    await (await arm.clients.compute.virtual_machines.begin_deallocate(GROUP, "pc1")).result()
    seen = await reservations.get(GROUP, "crg", "one", expand="instanceView")
    assert seen.properties.virtual_machines_associated
    assert not seen.properties.instance_view.utilization_info.virtual_machines_allocated


async def test_machines_beyond_the_quantity_need_quota_and_room_of_their_own(arm: Arm) -> None:
    await make_group(arm, "1")
    await (await reserve(arm)).result()
    await (await reserved(arm, "pc1")).result()
    capacity = arm.cloud.resources.capacity
    capacity.limits["westeurope", FAMILY] = 2
    assert await code_of(reserved(arm, "pc2")) == (409, "OperationNotAllowed")
    capacity.limits.clear()
    capacity.refuse("westeurope", SIZE, "AllocationFailed")
    assert await code_of(reserved(arm, "pc2")) == (200, "AllocationFailed")
    capacity.refusals.clear()
    await (await reserved(arm, "pc2")).result()
    assert used(arm, "cores") == 4

    for name, left in (("pc1", 2), ("pc2", 2)):
        await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, name)).result()
        assert used(arm, "cores") == left
    await (await reserve(arm, capacity=3)).result()
    assert used(arm, "cores") == 6


@pytest.mark.parametrize(
    ("size", "zones"), [(OTHER, ["1"]), (SIZE, ["2"]), (SIZE, [])], ids=["size", "zone", "without a zone"]
)
async def test_a_machine_must_fit_a_reservation(arm: Arm, size: str, zones: list[str]) -> None:
    await make_group(arm, "1", "2")
    await (await reserve(arm)).result()
    await arm.interface("pc1-nic")
    profile = {"capacityReservationGroup": {"id": CRG_ID}}
    error = await refusal(put(arm, "pc1", size, zones=zones, capacityReservation=profile))
    assert (error.status_code, error.error.code) == (409, "OperationNotAllowed")
    assert f"no capacity reservation for VM size '{size}'" in error.message
    profile = {"capacityReservationGroup": {"id": CRG_ID + "x"}}
    assert await code_of(put(arm, "pc1", capacityReservation=profile)) == (400, "InvalidResourceReference")


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ((400, "InvalidParameter"), {"size": "Standard_Nope"}),
        ((400, "InvalidParameter"), {"capacity": -1}),
        ((400, "InvalidParameter"), {"location": "northeurope"}),
        ((400, "InvalidParameter"), {"zones": ["2"]}),
        ((400, "InvalidParameter"), {"zones": []}),
        ((400, "AvailabilityZoneNotSupported"), {"zones": ["4"]}),
        ((409, "SkuNotAvailable"), {"size": "Standard_D2als_v6"}),
        ((409, "OperationNotAllowed"), {"name": "again"}),
        ((409, "PropertyChangeNotAllowed"), {"size": OTHER, "name": "one"}),
        ((400, "NotSupported"), {"size": "Standard_B1ms", "name": "small"}),
    ],
)
async def test_reservations_that_are_refused(arm: Arm, expected: tuple[int, str], changes: dict[str, Any]) -> None:
    sizes = arm.cloud.resources.capacity.sizes
    sizes["standard_b1ms"] = replace(sizes["standard_b1ms"], reservable=False)
    await make_group(arm, "1")
    await (await reserve(arm)).result()
    assert await code_of(reserve(arm, **{"name": "two", **changes})) == expected
    assert used(arm, "cores") == 2
    skus = [sku async for sku in arm.clients.compute.resource_skus.list(filter="location eq 'westeurope'")]
    capable = {s.name: {c.name: c.value for c in s.capabilities}["CapacityReservationSupported"] for s in skus}
    assert (capable["Standard_B1ms"], capable[SIZE]) == ("False", "True")


async def test_a_reservation_is_refused_as_a_machine_is(arm: Arm) -> None:
    capacity = arm.cloud.resources.capacity
    await make_group(arm, "1")
    capacity.refuse("westeurope", SIZE, "ZonalAllocationFailed", zone="1")
    assert await code_of(reserve(arm)) == (200, "ZonalAllocationFailed")
    failed = await arm.clients.compute.capacity_reservations.get(GROUP, "crg", "one", expand="instanceView")
    assert failed.properties.provisioning_state == "Failed" and used(arm, "cores") == 0
    assert failed.properties.instance_view.utilization_info.current_capacity == 0
    capacity.refuse("westeurope", SIZE, "SkuNotAvailable", zone="1")
    assert await code_of(reserve(arm)) == (409, "SkuNotAvailable")

    capacity.refusals.clear()
    capacity.limits["westeurope", "cores"] = 3
    error = await refusal(reserve(arm, capacity=2))
    assert (error.status_code, error.error.code) == (409, "OperationNotAllowed")
    assert "exceeding approved Total Regional Cores quota" in error.message
    assert (await (await reserve(arm)).result()).properties.provisioning_state == "Succeeded"


async def test_what_is_in_use_is_not_deleted(arm: Arm) -> None:
    groups, reservations = (
        arm.clients.compute.capacity_reservation_groups,
        arm.clients.compute.capacity_reservations,
    )
    await make_group(arm, "1")
    await (await reserve(arm)).result()
    await (await reserved(arm, "pc1")).result()
    assert await code_of(reservations.begin_delete(GROUP, "crg", "one")) == (409, "OperationNotAllowed")
    assert await code_of(groups.begin_delete(GROUP, "crg")) == (409, "CannotDeleteResource")

    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    await (await reservations.begin_delete(GROUP, "crg", "one")).result()
    await (await groups.begin_delete(GROUP, "crg")).result()
    await (await groups.begin_delete(GROUP, "crg")).result()
    assert used(arm, "cores") == used(arm, "virtualMachines") == 0
    assert not [kind for kind in arm.made() if "capacityReservation" in kind]


async def test_a_machine_leaves_a_reservation_when_it_is_deallocated_or_nothing_is_reserved(arm: Arm) -> None:
    machines = arm.clients.compute.virtual_machines
    await make_group(arm, "1")
    await (await reserve(arm)).result()
    await (await reserved(arm, "pc1")).result()
    leave = {"properties": {"capacityReservation": {"capacityReservationGroup": {"id": None}}}}
    assert await code_of(machines.begin_update(GROUP, "pc1", leave)) == (409, "OperationNotAllowed")
    await (await reserve(arm, capacity=0)).result()
    await (await machines.begin_update(GROUP, "pc1", leave)).result()
    reservation = await arm.clients.compute.capacity_reservations.get(GROUP, "crg", "one")
    assert not reservation.properties.virtual_machines_associated
    assert (used(arm, "cores"), used(arm, "virtualMachines")) == (2, 1)
    # And stays out when it is changed otherwise.
    await (await machines.begin_update(GROUP, "pc1", {"tags": {"a": "b"}})).result()
    assert used(arm, "cores") == 2


async def test_quota_is_counted_for_each_subscription(arm: Arm) -> None:
    await arm.machine("pc1")
    branch = arm.of(f"/subscriptions/{SECOND_SUBSCRIPTION_ID}/resourceGroups/rg-branch")
    for clients, count in ((arm.clients, 1), (branch, 0)):
        usages = {usage.name.value: usage.current_value async for usage in clients.compute.usage.list("westeurope")}
        assert usages["virtualMachines"] == count

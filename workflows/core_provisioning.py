"""Stage 1, core provisioning: every step must succeed."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from contract import steps
from contract.activity import CloudPcInput
from contract.core_provisioning import (
    AllocateCapacityInput,
    AllocatedCapacity,
    AssignPrimaryUserInput,
    AttachNetworkInput,
    ChooseComputerNameInput,
    CreateVirtualMachineInput,
    EnrollInIntuneInput,
    EntraDevice,
    JoinDomainInput,
    JoinEntraIdInput,
    RefusedCandidate,
    VirtualMachine,
)
from contract.errors import ActivityFailedError, ErrorClass
from models.cloud_pc import CloudPcRequest
from models.provisioning_policy import ProvisioningPolicy
from workflows.cloud_pc.record import CloudPcRecord, place_failure

_A = TypeVar("_A")
_B = TypeVar("_B")
_PROPOSALS = 5
"""How many computer names are proposed at once."""


async def provision_core(record: CloudPcRecord, request: CloudPcRequest) -> None:
    """Make a machine that is joined to Entra ID, enrolled in Intune and its user's own.

    Raises:
        ActivityFailedError: A step failed for good; what the steps before it made still exists.

    """
    await _choose_computer_name(record)
    machine = await _make_machine(record, request)
    record.update(virtual_machine_id=machine.id, private_ip_address=machine.private_ip_address)
    device = await _join(record, request.policy, machine)
    record.update(entra_device_id=device.device_id)
    managed = await record.run(
        steps.ENROLL_IN_INTUNE,
        EnrollInIntuneInput(cloud_pc=record.reference, device_id=device.device_id),
    )
    record.update(managed_device_id=managed.id)
    primary = await record.run(
        steps.ASSIGN_PRIMARY_USER,
        AssignPrimaryUserInput(managed_device_id=managed.id, user=request.user),
    )
    record.update(primary_user=primary.user_principal_name)


async def _choose_computer_name(record: CloudPcRecord) -> None:
    # One that was begun before this step existed goes on under the name that it has.
    if record.leaves_out(steps.CHOOSE_COMPUTER_NAME):
        record.choose_name(record.cloud_pc.computer_name)
        return
    more = (record.propose_computer_name() for _ in range(_PROPOSALS - 1))
    chosen = await record.run(
        steps.CHOOSE_COMPUTER_NAME,
        ChooseComputerNameInput(cloud_pc=record.reference, proposals=(record.cloud_pc.computer_name, *more)),
    )
    record.choose_name(chosen.computer_name)


async def _make_machine(record: CloudPcRecord, request: CloudPcRequest) -> VirtualMachine:
    """Make the machine at the first of the policy's places that has a usable network and capacity."""
    *others, last = request.policy.domain_join_configurations
    refusals: list[str] = []
    for place in others:
        record.enter(place)
        try:
            return await _make_machine_here(record, request)
        except ActivityFailedError as failure:
            if failure.activity != steps.ATTACH_NETWORK.name and failure.why.error_class != ErrorClass.CAPACITY:
                raise
            refusals.append(f"{place.name}: {failure.why.code}: {failure.why.message}")
        # Nothing may be left where the Cloud PC is not.
        await record.run(
            steps.DELETE_VIRTUAL_MACHINE,
            CloudPcInput(cloud_pc=record.reference),
        )
    record.enter(last)
    try:
        return await _make_machine_here(record, request)
    except ActivityFailedError as failure:
        raise place_failure(failure, refusals, last.name) from failure


async def _make_machine_here(record: CloudPcRecord, request: CloudPcRequest) -> VirtualMachine:
    """Make the machine with the first of the plan's sizes and zones that Azure does not refuse."""
    connection = record.connection
    attach = AttachNetworkInput(cloud_pc=record.reference, connection=connection)
    if connection is None:
        # ARM wants the network interface when the VM is created, so it is made first, beside the capacity check.
        capacity, network = await _both(_allocate(record, request, ()), record.run(steps.ATTACH_NETWORK, attach))
    else:
        network = await record.run(steps.ATTACH_NETWORK, attach)
        record.update(region=network.region)
        capacity = await _allocate(record, request, ())
    record.update(network_id=network.subnet_id, private_ip_address=network.private_ip_address)
    refused: tuple[RefusedCandidate, ...] = ()
    while True:
        record.update(vm_size=capacity.vm_size)
        try:
            return await record.run(
                steps.CREATE_VIRTUAL_MACHINE,
                CreateVirtualMachineInput(
                    cloud_pc=record.reference,
                    service_plan=request.service_plan,
                    vm_size=capacity.vm_size,
                    zone=capacity.zone,
                    subnet_id=network.subnet_id,
                    image=request.policy.image,
                    capacity_reservation_group_id=capacity.capacity_reservation_group_id,
                ),
            )
        except ActivityFailedError as failure:
            if failure.why.error_class != ErrorClass.CAPACITY:
                raise
            reason = f"{failure.why.code}: {failure.why.message}"
        refused += (RefusedCandidate(vm_size=capacity.vm_size, zone=capacity.zone, reason=reason),)
        capacity = await _allocate(record, request, refused)


async def _allocate(
    record: CloudPcRecord, request: CloudPcRequest, refused: tuple[RefusedCandidate, ...]
) -> AllocatedCapacity:
    return await record.run(
        steps.ALLOCATE_CAPACITY,
        AllocateCapacityInput(
            cloud_pc=record.reference,
            service_plan=request.service_plan,
            refused=refused,
            capacity_reservation=request.policy.capacity_reservation,
        ),
    )


async def _join(record: CloudPcRecord, policy: ProvisioningPolicy, machine: VirtualMachine) -> EntraDevice:
    cloud_pc, domain = record.reference, record.domain
    if domain is None:
        return await record.run(
            steps.JOIN_ENTRA_ID,
            JoinEntraIdInput(cloud_pc=cloud_pc, virtual_machine_id=machine.id),
        )
    await record.run(steps.JOIN_DOMAIN, JoinDomainInput(cloud_pc=cloud_pc, domain=domain))
    device = await record.run(
        steps.WAIT_FOR_ENTRA_DEVICE,
        CloudPcInput(cloud_pc=cloud_pc),
        within=timedelta(minutes=policy.hybrid_join_timeout_in_minutes),
    )
    if not record.leaves_out(steps.REMOVE_DOMAIN_JOIN_EXTENSION):
        await record.run(steps.REMOVE_DOMAIN_JOIN_EXTENSION, CloudPcInput(cloud_pc=cloud_pc))
    return device


async def _both(first: Awaitable[_A], second: Awaitable[_B]) -> tuple[_A, _B]:
    """Wait for both even when one fails, so that nothing is being made while it is removed."""
    tasks = (asyncio.ensure_future(first), asyncio.ensure_future(second))
    await asyncio.gather(*tasks, return_exceptions=True)
    return tasks[0].result(), tasks[1].result()

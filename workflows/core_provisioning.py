"""Stage 1, core provisioning: every step must succeed."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow

from activities import signatures
from models.cloud_pc import CloudPcRequest, Step
from models.provisioning_policy import ProvisioningPolicy
from workflows.record import CloudPcRecord, StepFailedError

_A = TypeVar("_A")
_B = TypeVar("_B")
_PROPOSALS = 5
"""How many computer names are proposed at once."""


async def provision_core(record: CloudPcRecord, request: CloudPcRequest) -> None:
    """Make a machine that is joined to Entra ID, enrolled in Intune and its user's own.

    Raises:
        StepFailedError: A step failed for good; what the steps before it made still exists.

    """
    await _choose_computer_name(record)
    machine = await _make_machine(record, request)
    record.update(virtual_machine_id=machine.id, private_ip_address=machine.private_ip_address)
    device = await _join(record, request.policy, machine)
    record.update(entra_device_id=device.device_id)
    managed = await record.run(
        Step.ENROLL_IN_INTUNE,
        signatures.enroll_in_intune,
        signatures.EnrollInIntuneInput(cloud_pc=record.reference, device_id=device.device_id),
    )
    record.update(managed_device_id=managed.id)
    primary = await record.run(
        Step.ASSIGN_PRIMARY_USER,
        signatures.assign_primary_user,
        signatures.AssignPrimaryUserInput(managed_device_id=managed.id, user=request.user),
    )
    record.update(primary_user=primary.user_principal_name)


async def _choose_computer_name(record: CloudPcRecord) -> None:
    # Cloud PCs that were begun before this step existed go on under the name that they have.
    if not workflow.patched("choose-computer-name"):
        record.not_applicable(Step.CHOOSE_COMPUTER_NAME, "begun before there was this step")
        return
    more = (record.propose_computer_name() for _ in range(_PROPOSALS - 1))
    chosen = await record.run(
        Step.CHOOSE_COMPUTER_NAME,
        signatures.choose_computer_name,
        signatures.ChooseComputerNameInput(cloud_pc=record.reference, proposals=(record.cloud_pc.computer_name, *more)),
    )
    record.rename(chosen.computer_name)


async def _make_machine(record: CloudPcRecord, request: CloudPcRequest) -> signatures.VirtualMachine:
    """Make the machine at the first of the policy's places that has a usable network and capacity."""
    *others, last = request.policy.domain_join_configurations
    refusals: list[str] = []
    for place in others:
        record.enter(place)
        try:
            return await _make_machine_here(record, request)
        except StepFailedError as failure:
            if failure.detail.step != Step.ATTACH_NETWORK and failure.error_class != signatures.ErrorClass.CAPACITY:
                raise
            refusals.append(f"{place.name}: {failure.detail.code}: {failure.detail.message}")
        # Nothing may be left where the Cloud PC is not.
        await record.run(
            Step.DELETE_VIRTUAL_MACHINE,
            signatures.delete_virtual_machine,
            signatures.CloudPcInput(cloud_pc=record.reference),
        )
    record.enter(last)
    try:
        return await _make_machine_here(record, request)
    except StepFailedError as failure:
        raise failure.after(refusals, last.name) from failure


async def _make_machine_here(record: CloudPcRecord, request: CloudPcRequest) -> signatures.VirtualMachine:
    """Make the machine with the first of the plan's sizes and zones that Azure does not refuse."""
    connection = record.connection
    attach = signatures.AttachNetworkInput(cloud_pc=record.reference, connection=connection)
    if connection is None:
        # ARM wants the network interface when the VM is created, so it is made first, beside the capacity check.
        capacity, network = await _both(
            _allocate(record, request, ()), record.run(Step.ATTACH_NETWORK, signatures.attach_network, attach)
        )
    else:
        network = await record.run(Step.ATTACH_NETWORK, signatures.attach_network, attach)
        record.update(region=network.region)
        capacity = await _allocate(record, request, ())
    record.update(network_id=network.subnet_id, private_ip_address=network.private_ip_address)
    refused: tuple[signatures.RefusedCandidate, ...] = ()
    while True:
        record.update(vm_size=capacity.vm_size)
        try:
            return await record.run(
                Step.CREATE_VIRTUAL_MACHINE,
                signatures.create_virtual_machine,
                signatures.CreateVirtualMachineInput(
                    cloud_pc=record.reference,
                    service_plan=request.service_plan,
                    vm_size=capacity.vm_size,
                    zone=capacity.zone,
                    subnet_id=network.subnet_id,
                    image=request.policy.image,
                    capacity_reservation_group_id=capacity.capacity_reservation_group_id,
                ),
            )
        except StepFailedError as failure:
            if failure.error_class != signatures.ErrorClass.CAPACITY:
                raise
            reason = f"{failure.detail.code}: {failure.detail.message}"
        refused += (signatures.RefusedCandidate(vm_size=capacity.vm_size, zone=capacity.zone, reason=reason),)
        capacity = await _allocate(record, request, refused)


async def _allocate(
    record: CloudPcRecord, request: CloudPcRequest, refused: tuple[signatures.RefusedCandidate, ...]
) -> signatures.AllocatedCapacity:
    return await record.run(
        Step.ALLOCATE_CAPACITY,
        signatures.allocate_capacity,
        signatures.AllocateCapacityInput(
            cloud_pc=record.reference,
            service_plan=request.service_plan,
            refused=refused,
            capacity_reservation=request.policy.capacity_reservation,
        ),
    )


async def _join(
    record: CloudPcRecord, policy: ProvisioningPolicy, machine: signatures.VirtualMachine
) -> signatures.EntraDevice:
    cloud_pc, domain = record.reference, record.domain
    if domain is None:
        return await record.run(
            Step.JOIN_ENTRA_ID,
            signatures.join_entra_id,
            signatures.JoinEntraIdInput(cloud_pc=cloud_pc, virtual_machine_id=machine.id),
        )
    await record.run(
        Step.JOIN_DOMAIN, signatures.join_domain, signatures.JoinDomainInput(cloud_pc=cloud_pc, domain=domain)
    )
    return await record.run(
        Step.WAIT_FOR_ENTRA_DEVICE,
        signatures.wait_for_entra_device,
        signatures.WaitForEntraDeviceInput(cloud_pc=cloud_pc),
        within=timedelta(minutes=policy.hybrid_join_timeout_in_minutes),
    )


async def _both(first: Awaitable[_A], second: Awaitable[_B]) -> tuple[_A, _B]:
    """Wait for both even when one fails, so that nothing is being made while it is taken away."""
    tasks = (asyncio.ensure_future(first), asyncio.ensure_future(second))
    await asyncio.gather(*tasks, return_exceptions=True)
    return tasks[0].result(), tasks[1].result()

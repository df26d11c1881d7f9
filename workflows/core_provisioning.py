"""Stage 1, core provisioning: every step must succeed."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from activities import signatures
from models.cloud_pc import CloudPcRequest, Step
from workflows.record import CloudPcRecord

_A = TypeVar("_A")
_B = TypeVar("_B")


async def provision_core(record: CloudPcRecord, request: CloudPcRequest) -> None:
    """Make a machine that is joined to Entra ID, enrolled in Intune and its user's own.

    Raises:
        StepFailedError: A step failed for good; what the steps before it made still exists.

    """
    cloud_pc = record.reference
    # ARM wants the network interface when the VM is created, so it is made first, beside the capacity check.
    capacity, network = await _both(
        record.run(
            Step.ALLOCATE_CAPACITY,
            signatures.allocate_capacity,
            signatures.AllocateCapacityInput(cloud_pc=cloud_pc, service_plan=request.service_plan),
        ),
        record.run(Step.ATTACH_NETWORK, signatures.attach_network, signatures.AttachNetworkInput(cloud_pc=cloud_pc)),
    )
    record.update(vm_size=capacity.vm_size, network_id=network.subnet_id, private_ip_address=network.private_ip_address)
    machine = await record.run(
        Step.CREATE_VIRTUAL_MACHINE,
        signatures.create_virtual_machine,
        signatures.CreateVirtualMachineInput(
            cloud_pc=cloud_pc,
            service_plan=request.service_plan,
            vm_size=capacity.vm_size,
            zone=capacity.zone,
            subnet_id=network.subnet_id,
            image=request.policy.gallery_image,
        ),
    )
    record.update(virtual_machine_id=machine.id, private_ip_address=machine.private_ip_address)
    device = await record.run(
        Step.JOIN_ENTRA_ID,
        signatures.join_entra_id,
        signatures.JoinEntraIdInput(cloud_pc=cloud_pc, virtual_machine_id=machine.id),
    )
    record.update(entra_device_id=device.device_id)
    managed = await record.run(
        Step.ENROLL_IN_INTUNE,
        signatures.enroll_in_intune,
        signatures.EnrollInIntuneInput(cloud_pc=cloud_pc, device_id=device.device_id),
    )
    record.update(managed_device_id=managed.id)
    primary = await record.run(
        Step.ASSIGN_PRIMARY_USER,
        signatures.assign_primary_user,
        signatures.AssignPrimaryUserInput(managed_device_id=managed.id, user=request.user),
    )
    record.update(primary_user=primary.user_principal_name)


async def _both(first: Awaitable[_A], second: Awaitable[_B]) -> tuple[_A, _B]:
    """Wait for both even when one fails, so that nothing is being made while it is taken away."""
    tasks = (asyncio.ensure_future(first), asyncio.ensure_future(second))
    await asyncio.gather(*tasks, return_exceptions=True)
    return tasks[0].result(), tasks[1].result()

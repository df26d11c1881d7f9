"""Removing a Cloud PC with all its traces; what is gone already is done."""

from temporalio import activity

from cloud.arm.capacity_reservations import CapacityReservations
from cloud.arm.host_pools import HostPools, session_host_name
from cloud.arm.operations import remove
from cloud.arm.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
    RoleAssignment,
    RoleAssignments,
)
from cloud.arm.virtual_machines import VirtualMachines
from cloud.clients import CloudClients
from cloud.errors import not_yet
from cloud.graph.devices import Device, Devices
from contract import steps
from contract.activity import CloudPcInput, StepResult
from contract.deprovisioning import RemoveComputerAccountInput, RevokeRolesInput
from domain import naming
from models.cloud_pc import CloudPcReference


class Deprovisioning:
    """Removes each thing by its deterministic name, so that nothing made by a crashed attempt is missed."""

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval
        self._machines = VirtualMachines(clients)
        self._reservations = CapacityReservations(clients)
        self._pools = HostPools(clients)
        self._roles = RoleAssignments(clients)
        self._devices = Devices(clients)

    @steps.REMOVE_COMPUTER_ACCOUNT.implemented_by
    async def remove_computer_account(self, request: RemoveComputerAccountInput) -> StepResult:
        """Say that the machine's account stays in its domain.

        The right to delete it would be the right to delete every Cloud PC's, and would have to be used inside a machine
        that its user may administer, for that is what reaches the domain.
        """
        name, domain = request.cloud_pc.computer_name, request.domain.name
        return StepResult(detail=f"{name} stays in {domain} if it has joined; the domain's own clean-up deletes it")

    @steps.DELETE_VIRTUAL_MACHINE.implemented_by
    async def delete_virtual_machine(self, request: CloudPcInput) -> StepResult:
        """Delete the machine, and the network interface and disk where they outlive it."""
        cloud_pc, name = request.cloud_pc, request.cloud_pc.computer_name
        group, owner = self._groups.get(cloud_pc.resource_group_id), cloud_pc.cloud_pc_id
        if await self._machines.is_somebody_elses(cloud_pc):
            return StepResult(detail=f"{name} belongs to somebody else")
        for operations, resource in (
            (group.compute.virtual_machines, name),
            (group.network.network_interfaces, naming.network_interface_name(name)),
        ):
            await remove(operations, (group.name, resource), poll_interval=self._poll_interval, owner=owner)
        if cloud_pc.is_name_chosen:
            # A disk has no tags of its own: it is known by the name, and the machine that it was made with is gone.
            disk = (group.name, naming.os_disk_name(name))
            await remove(group.compute.disks, disk, poll_interval=self._poll_interval, owner=None)
        await self._reservations.remove(cloud_pc)
        return StepResult(detail=f"{name} deleted")

    @steps.REMOVE_SESSION_HOST.implemented_by
    async def remove_session_host(self, request: CloudPcInput) -> StepResult:
        """Remove the machine from the host pool."""
        cloud_pc = request.cloud_pc
        host = await self._pools.session_host(cloud_pc)
        host = host or await self._pools.session_host(cloud_pc, everywhere=True)
        if host is None or await self._machines.is_somebody_elses(cloud_pc):
            return StepResult(detail="there was none")
        name = session_host_name(host)
        if not await self._pools.remove_session_host(cloud_pc, name):
            return StepResult(detail="there was none")
        return StepResult(detail=f"{name} left {self._pools.name_of(cloud_pc)}")

    @steps.REMOVE_ROLE_ASSIGNMENTS.implemented_by
    async def remove_role_assignments(self, request: CloudPcInput) -> StepResult:
        """Revoke the user's rights on the Cloud PC."""
        cloud_pc = request.cloud_pc
        machine_id = self._machines.id_of(cloud_pc)
        for scope, role in (
            (self._pools.application_group_id(cloud_pc), DESKTOP_VIRTUALIZATION_USER),
            (machine_id, VIRTUAL_MACHINE_USER_LOGIN),
            (machine_id, VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN),
        ):
            await self._roles.revoke(RoleAssignment(scope, role, cloud_pc.user_id))
        return StepResult(detail="revoked")

    @steps.REVOKE_ROLES.implemented_by
    async def revoke_roles(self, request: RevokeRolesInput) -> StepResult:
        """Revoke role assignments of an orphan; only those by the names that this product gives."""
        for role in request.roles:
            await self._roles.revoke(RoleAssignment(role.scope, role.role, role.user_id))
        return StepResult(detail=f"{len(request.roles)} revoked")

    @steps.DELETE_MANAGED_DEVICE.implemented_by
    async def delete_managed_device(self, request: CloudPcInput) -> StepResult:
        """Delete the Intune managed devices of the machine's Entra devices."""
        deleted = 0
        device_ids = {device.device_id for device in await self._our_devices(request.cloud_pc)}
        for device_id in filter(None, device_ids | {request.cloud_pc.entra_device_id}):
            for managed in await self._devices.managed(device_id):
                deleted += await self._devices.delete_managed(managed)
        return StepResult(detail=f"{deleted} deleted")

    @steps.DELETE_ENTRA_DEVICE.implemented_by
    async def delete_entra_device(self, request: CloudPcInput) -> StepResult:
        """Delete the machine's Entra devices and see that they are gone.

        A pending one is left: Entra Connect brings it as long as the domain has the computer account.

        Raises:
            ApplicationError: `NotYet` at the first look and while Entra ID shows a device: one that has just
                joined is not seen at once, and one that was deleted stays visible for a while.

        """
        devices = [each for each in await self._our_devices(request.cloud_pc) if not self._devices.is_pending(each)]
        for device in devices:
            await self._devices.delete(device)
        if devices or activity.info().attempt == 1:
            raise not_yet(f"Entra ID may still show {request.cloud_pc.computer_name}", self._poll_interval)
        return StepResult(detail="no device left")

    async def _our_devices(self, cloud_pc: CloudPcReference) -> list[Device]:
        """Return the Entra devices of the Cloud PC's machine, and never those of a namesake."""
        found = await self._devices.named(cloud_pc.computer_name)
        if found and await self._machines.is_somebody_elses(cloud_pc):
            return []
        return [device for device in found if self._devices.is_of(device, cloud_pc, self._machines.id_of(cloud_pc))]

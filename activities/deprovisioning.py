"""Taking a Cloud PC away with all its traces; what is gone already is done."""

from azure.core.exceptions import ResourceNotFoundError
from temporalio import activity

from activities import naming
from activities.assignment.host_pool import HostPools, session_host_name
from activities.assignment.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
    RoleAssignment,
    RoleAssignments,
)
from activities.core_provisioning.capacity_reservations import CapacityReservations
from activities.core_provisioning.domain_join import ComputerAccounts
from activities.devices import Device, Devices, deleted
from activities.errors import not_yet
from activities.long_running import is_owned, remove
from activities.signatures import CloudPcInput, CloudPcReference, RemoveComputerAccountInput, StepResult
from cloud.clients import CloudClients


class Deprovisioning:
    """Removes each thing by its deterministic name, so that nothing made by a crashed attempt is missed."""

    def __init__(self, clients: CloudClients) -> None:
        self._clients = clients
        self._groups = clients.resource_groups
        self._reservations = CapacityReservations(clients)
        self._accounts = ComputerAccounts(clients)
        self._pools = HostPools(clients)
        self._roles = RoleAssignments(clients)
        self._devices = Devices(clients)

    @activity.defn
    async def remove_computer_account(self, request: RemoveComputerAccountInput) -> StepResult:
        """Delete the machine's account from its domain, by the machine itself, which reaches the domain."""
        return StepResult(detail=await self._accounts.remove(request.cloud_pc, request.domain))

    @activity.defn
    async def delete_virtual_machine(self, request: CloudPcInput) -> StepResult:
        """Delete the machine, and what its deletion does not take along of network interface and disk."""
        cloud_pc = request.cloud_pc
        group = self._groups.get(cloud_pc.resource_group_id)
        interface, disk = naming.network_interface_name(cloud_pc), naming.os_disk_name(cloud_pc)
        poll_interval, owner = self._clients.settings.poll_interval, cloud_pc.cloud_pc_id
        if await self._is_somebody_elses(cloud_pc):
            return StepResult(detail=f"{cloud_pc.computer_name} belongs to somebody else")
        machines, interfaces, disks = (
            group.compute.virtual_machines,
            group.network.network_interfaces,
            group.compute.disks,
        )
        await remove(machines, (group.name, cloud_pc.computer_name), poll_interval=poll_interval, owner=owner)
        await remove(interfaces, (group.name, interface), poll_interval=poll_interval, owner=owner)
        # A disk has no tags of its own; the machine that it was made with is gone.
        await remove(disks, (group.name, disk), poll_interval=poll_interval, owner=None)
        await self._reservations.remove(cloud_pc)
        return StepResult(detail=f"{cloud_pc.computer_name} deleted")

    @activity.defn
    async def remove_session_host(self, request: CloudPcInput) -> StepResult:
        """Take the machine out of the host pool."""
        host = await self._pools.session_host(request.cloud_pc)
        host = host or await self._pools.session_host(request.cloud_pc, everywhere=True)
        if host is None or await self._is_somebody_elses(request.cloud_pc):
            return StepResult(detail="there was none")
        pool, name = naming.host_pool_name(request.cloud_pc), session_host_name(host)
        try:
            # By force: a host with an assigned user is not removed otherwise.
            await self._clients.desktop_virtualization.session_hosts.delete(
                self._clients.settings.resource_group, pool, name, force=True
            )
        except ResourceNotFoundError:
            return StepResult(detail="there was none")
        return StepResult(detail=f"{name} left {pool}")

    @activity.defn
    async def remove_role_assignments(self, request: CloudPcInput) -> StepResult:
        """Take the user's rights on the Cloud PC away."""
        cloud_pc = request.cloud_pc
        machine_id = self._virtual_machine_id(cloud_pc)
        for scope, role in (
            (self._pools.application_group_id(cloud_pc), DESKTOP_VIRTUALIZATION_USER),
            (machine_id, VIRTUAL_MACHINE_USER_LOGIN),
            (machine_id, VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN),
        ):
            await self._roles.revoke(RoleAssignment(scope, role, cloud_pc.user_id))
        return StepResult(detail="revoked")

    @activity.defn
    async def delete_managed_device(self, request: CloudPcInput) -> StepResult:
        """Delete the Intune managed devices of the machine's Entra devices."""
        managed_devices = self._clients.graph.device_management.managed_devices
        deleted_devices = 0
        device_ids = {device.device_id for device in await self._our_devices(request.cloud_pc)}
        for device_id in filter(None, device_ids | {request.cloud_pc.entra_device_id}):
            for managed in await self._devices.managed(device_id):
                deleted_devices += await deleted(managed_devices.by_managed_device_id(managed.id))
        return StepResult(detail=f"{deleted_devices} deleted")

    @activity.defn
    async def delete_entra_device(self, request: CloudPcInput) -> StepResult:
        """Delete the machine's Entra devices and see that they are gone.

        Raises:
            ApplicationError: `NotYet` at the first look and while Entra ID shows a device: one that has just
                joined is not seen at once, and one that was deleted stays visible for a while.

        """
        devices = await self._our_devices(request.cloud_pc)
        for device in devices:
            await self._devices.delete(device)
        if devices or activity.info().attempt == 1:
            raise not_yet(
                f"Entra ID may still show {request.cloud_pc.computer_name}", self._clients.settings.poll_interval
            )
        return StepResult(detail="no device left")

    async def _our_devices(self, cloud_pc: CloudPcReference) -> list[Device]:
        """Return the Entra devices of the Cloud PC's machine, and never those of a namesake."""
        found = await self._devices.named(cloud_pc.computer_name)
        if found and await self._is_somebody_elses(cloud_pc):
            return []
        return [device for device in found if self._devices.is_of(device, cloud_pc, self._virtual_machine_id(cloud_pc))]

    async def _is_somebody_elses(self, cloud_pc: CloudPcReference) -> bool:
        """Tell whether a machine of this name was made for somebody else: then nothing by that name is ours."""
        group = self._groups.get(cloud_pc.resource_group_id)
        try:
            machine = await group.compute.virtual_machines.get(group.name, cloud_pc.computer_name)
        except ResourceNotFoundError:
            return False
        return not is_owned(machine, cloud_pc.cloud_pc_id)

    def _virtual_machine_id(self, cloud_pc: CloudPcReference) -> str:
        group = self._groups.get(cloud_pc.resource_group_id)
        return f"{group.id}/providers/Microsoft.Compute/virtualMachines/{cloud_pc.computer_name}"

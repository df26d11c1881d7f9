"""Taking a Cloud PC away with all its traces; what is gone already is done."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from azure.core.exceptions import ResourceNotFoundError
from msgraph.generated.models.device import Device
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
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
from activities.devices import Devices
from activities.errors import not_yet
from activities.long_running import is_owned, remove
from activities.signatures import CloudPcInput, CloudPcReference, StepResult
from cloud.clients import CloudClients


class Deprovisioning:
    """Removes each thing by its deterministic name, so that nothing made by a crashed attempt is missed."""

    def __init__(self, clients: CloudClients) -> None:
        self._clients = clients
        self._group = clients.settings.resource_group
        self._pools = HostPools(clients)
        self._roles = RoleAssignments(clients)
        self._devices = Devices(clients)

    @activity.defn
    async def delete_virtual_machine(self, request: CloudPcInput) -> StepResult:
        """Delete the machine, and what its deletion does not take along of network interface and disk."""
        cloud_pc = request.cloud_pc
        compute, network = self._clients.compute, self._clients.network
        interface, disk = naming.network_interface_name(cloud_pc), naming.os_disk_name(cloud_pc)
        poll_interval, owner = self._clients.settings.poll_interval, cloud_pc.cloud_pc_id
        if await self._is_somebody_elses(cloud_pc):
            return StepResult(detail=f"{cloud_pc.computer_name} belongs to somebody else")
        await remove(
            compute.virtual_machines, (self._group, cloud_pc.computer_name), poll_interval=poll_interval, owner=owner
        )
        await remove(network.network_interfaces, (self._group, interface), poll_interval=poll_interval, owner=owner)
        # A disk has no tags of its own; the machine that it was made with is gone.
        await remove(compute.disks, (self._group, disk), poll_interval=poll_interval, owner=None)
        return StepResult(detail=f"{cloud_pc.computer_name} deleted")

    @activity.defn
    async def remove_session_host(self, request: CloudPcInput) -> StepResult:
        """Take the machine out of the host pool."""
        host = await self._pools.session_host(request.cloud_pc)
        if host is None or await self._is_somebody_elses(request.cloud_pc):
            return StepResult(detail="there was none")
        pool, name = naming.host_pool_name(request.cloud_pc), session_host_name(host)
        try:
            # By force: a host with an assigned user is not removed otherwise.
            await self._clients.desktop_virtualization.session_hosts.delete(self._group, pool, name, force=True)
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
        deleted = 0
        for device in await self._our_devices(request.cloud_pc):
            for managed in await self._devices.managed(device.device_id or ""):
                deleted += await _deleted(managed_devices.by_managed_device_id(managed.id or ""))
        return StepResult(detail=f"{deleted} deleted")

    @activity.defn
    async def delete_entra_device(self, request: CloudPcInput) -> StepResult:
        """Delete the machine's Entra devices and see that they are gone.

        Raises:
            ApplicationError: `NotYet` at the first look and while Entra ID shows a device: one that has just
                joined is not seen at once, and one that was deleted stays visible for a while.

        """
        devices = await self._our_devices(request.cloud_pc)
        for device in devices:
            await _deleted(self._clients.graph.devices.by_device_id(device.id or ""))
        if devices or activity.info().attempt == 1:
            raise not_yet(
                f"Entra ID may still show {request.cloud_pc.computer_name}", self._clients.settings.poll_interval
            )
        return StepResult(detail="no device left")

    async def _our_devices(self, cloud_pc: CloudPcReference) -> list[Device]:
        """Return the Entra devices of the Cloud PC's machine, and never those of a namesake."""
        machine_id = self._virtual_machine_id(cloud_pc)
        found = await self._devices.named(cloud_pc.computer_name)
        if found and await self._is_somebody_elses(cloud_pc):
            return []
        return [device for device in found if self._devices.names_machine(device, machine_id)]

    async def _is_somebody_elses(self, cloud_pc: CloudPcReference) -> bool:
        """Tell whether a machine of this name was made for somebody else: then nothing by that name is ours."""
        try:
            machine = await self._clients.compute.virtual_machines.get(self._group, cloud_pc.computer_name)
        except ResourceNotFoundError:
            return False
        return not is_owned(machine, cloud_pc.cloud_pc_id)

    def _virtual_machine_id(self, cloud_pc: CloudPcReference) -> str:
        return (
            f"/subscriptions/{self._clients.settings.subscription_id}/resourceGroups/{self._group}"
            f"/providers/Microsoft.Compute/virtualMachines/{cloud_pc.computer_name}"
        )


class _Deletable(Protocol):
    @property
    def delete(self) -> Callable[[], Awaitable[None]]: ...


async def _deleted(item: _Deletable) -> bool:
    """Delete one Graph object and tell whether it was there."""
    try:
        await item.delete()
    except ODataError as error:
        if error.response_status_code != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True

"""How a Cloud PC's devices are found in Entra ID and Intune."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.device_management.managed_devices.managed_devices_request_builder import (
    ManagedDevicesRequestBuilder,
)
from msgraph.generated.devices.devices_request_builder import DevicesRequestBuilder
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from cloud.clients import CloudClients
from cloud.graph.lists import Entity, listed
from models.cloud_pc import CloudPcReference
from models.provisioning_policy import DomainJoinType
from models.types import same_id


class Device(Entity):
    """A device of Entra ID, as far as it is read here.

    Source: https://learn.microsoft.com/graph/api/resources/device
    """

    device_id: str | None = None
    physical_ids: list[str] | None = None
    trust_type: str | None = None
    display_name: str | None = None
    alternative_security_ids: list[Any] | None = None
    registration_date_time: datetime | None = None
    on_premises_last_sync_date_time: datetime | None = None


class ManagedDevice(Entity):
    """A managed device of Intune, as far as it is read here.

    Source: https://learn.microsoft.com/graph/api/resources/intune-devices-manageddevice
    """

    azure_a_d_device_id: str | None = None
    enrolled_date_time: datetime | None = None
    management_state: str | None = None


class Devices:
    """Looks devices up; answers are compared, since Graph ignores filters that it does not support."""

    def __init__(self, clients: CloudClients) -> None:
        self._graph = clients.graph

    async def named(self, computer_name: str) -> list[Device]:
        """Return the Entra devices of this name, those of other machines included.

        Source: https://learn.microsoft.com/graph/api/device-list
        """
        query = DevicesRequestBuilder.DevicesRequestBuilderGetQueryParameters(
            filter=f"displayName eq '{computer_name}'",
            select=[
                "id",
                "deviceId",
                "displayName",
                "physicalIds",
                "trustType",
                "alternativeSecurityIds",
                "registrationDateTime",
                "onPremisesLastSyncDateTime",
            ],
        )
        found = listed(self._graph.devices, Device, RequestConfiguration(query_parameters=query))
        return [device async for device in found if same_id(device.display_name, computer_name)]

    @staticmethod
    def names_machine(device: Device, virtual_machine_id: str) -> bool:
        """Tell whether the device is of this VM, and not of a namesake."""
        wanted = f"[AzureResourceId]:{virtual_machine_id}".casefold()
        return any(physical_id.casefold() == wanted for physical_id in device.physical_ids or [])

    @staticmethod
    def is_synchronized(device: Device) -> bool:
        """Tell whether the device came from Active Directory; such a one names no VM."""
        return device.trust_type == "ServerAd"

    @staticmethod
    def is_pending(device: Device) -> bool:
        """Tell whether Entra Connect has brought the device and no computer has registered it: it signs nobody in.

        Source: https://learn.microsoft.com/troubleshoot/azure/active-directory/pending-devices
        """
        return Devices.is_synchronized(device) and not device.alternative_security_ids

    def is_of(self, device: Device, cloud_pc: CloudPcReference, virtual_machine_id: str) -> bool:
        """Tell whether a device that has the Cloud PC's name is the Cloud PC's.

        A hybrid-joined one is known by the name alone, which was chosen because no device had it: until it is chosen, a
        device of that name is somebody else's.
        """
        if cloud_pc.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN:
            return cloud_pc.is_name_chosen and self.is_synchronized(device)
        return self.names_machine(device, virtual_machine_id)

    async def delete(self, device: Device) -> bool:
        """Delete the device and tell whether it was there."""
        return await _deleted(self._graph.devices.by_device_id(device.id))

    async def delete_managed(self, managed: ManagedDevice) -> bool:
        """Delete the managed device and tell whether it was there."""
        return await _deleted(self._graph.device_management.managed_devices.by_managed_device_id(managed.id))

    async def managed(self, device_id: str) -> list[ManagedDevice]:
        """Return the Intune managed devices of an Entra device; a second enrolment leaves the first behind.

        Source: https://learn.microsoft.com/graph/api/intune-devices-manageddevice-list
        """
        query = ManagedDevicesRequestBuilder.ManagedDevicesRequestBuilderGetQueryParameters(
            filter=f"azureADDeviceId eq '{device_id}'"
        )
        builder = self._graph.device_management.managed_devices
        found = listed(builder, ManagedDevice, RequestConfiguration(query_parameters=query))
        return [item async for item in found if item.azure_a_d_device_id == device_id]

    async def primary_users(self, managed_device_id: str) -> list[str]:
        """Return the ids of a managed device's primary users, none or one.

        Raises:
            ODataError: 404 where there is no such device.

        """
        builder = self._graph.device_management.managed_devices.by_managed_device_id(managed_device_id).users
        return [user.id async for user in listed(builder, Entity)]


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

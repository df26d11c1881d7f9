"""Step 4: join Microsoft Entra ID."""

from typing import Any

from cloud.arm.operations import ensure
from cloud.clients import CloudClients
from cloud.errors import failure, not_yet
from cloud.graph.devices import Devices
from contract import steps
from contract.core_provisioning import EntraDevice, JoinEntraIdInput

EXTENSION = "AADLoginForWindows"
"""Type, and name on the VM, of the extension that joins."""
MICROSOFT_INTUNE = "0000000a-0000-0000-c000-000000000000"
"""Application id of Intune: with it the extension enrols the device, with no user credential."""


class EntraJoin:
    """Joins machines by the extension of Entra ID, and believes Entra ID only.

    Sources: https://learn.microsoft.com/entra/identity/devices/howto-vm-sign-in-azure-ad-windows and
    https://learn.microsoft.com/azure/virtual-desktop/azure-ad-joined-session-hosts
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._devices = Devices(clients)
        self._poll_interval = clients.settings.poll_interval

    @steps.JOIN_ENTRA_ID.implemented_by
    async def join_entra_id(self, request: JoinEntraIdInput) -> EntraDevice:
        """Return the Entra device that names our VM.

        The extension reports success for joins that failed, and a guest whose name is taken tries
        again by itself about every 15 minutes: only the device object counts.

        Raises:
            ApplicationError: `NotYet` until the device is there.

        """
        name = request.cloud_pc.computer_name
        group = self._groups.get(request.cloud_pc.resource_group_id)
        await ensure(
            group.compute.virtual_machine_extensions,
            (group.name, name, EXTENSION),
            lambda: _body(request),
            poll_interval=self._poll_interval,
            replace_failed=True,
        )
        devices = await self._devices.named(name)
        for device in devices:
            if self._devices.names_machine(device, request.virtual_machine_id):
                return EntraDevice(device_id=device.device_id or "", detail=f"device {device.device_id}")
        namesakes = [device for device in devices if device.physical_ids]
        if namesakes:
            raise failure(
                "HostnameDuplicate", f"the device {namesakes[0].device_id} owns the name {name}: the join was refused"
            )
        raise not_yet(
            f"Entra ID shows no device of {name}",
            self._poll_interval,
            "let the Cloud PCs' network reach enterpriseregistration.windows.net and login.microsoftonline.com, "
            "then reprovision",
        )


def _body(request: JoinEntraIdInput) -> dict[str, Any]:
    return {
        "location": request.cloud_pc.region,
        "properties": {
            "publisher": "Microsoft.Azure.ActiveDirectory",
            "type": EXTENSION,
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "settings": {"mdmId": MICROSOFT_INTUNE},
        },
    }

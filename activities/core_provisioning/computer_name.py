"""Before the first step: a computer name that is nobody's yet."""

from azure.core.exceptions import ResourceNotFoundError
from msgraph.generated.models.device import Device
from temporalio import activity

from activities.devices import Devices
from activities.errors import failure
from activities.signatures import ChooseComputerNameInput, ComputerName
from cloud.clients import CloudClients


class ComputerNames:
    """Chooses computer names: Entra ID refuses to join a machine whose name a device of the tenant bears.

    Source: https://learn.microsoft.com/entra/identity/devices/howto-vm-sign-in-azure-ad-windows
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._devices = Devices(clients)

    @activity.defn
    async def choose_computer_name(self, request: ChooseComputerNameInput) -> ComputerName:
        """Return the first proposed name that no device of the tenant bears.

        On the way a stale device of our own, whose machine is gone, is removed; a foreign one is never touched.

        Raises:
            ApplicationError: `NameTaken`, when every name is somebody's.

        """
        for name in request.proposals:
            bearers = await self._devices.named(name)
            if not bearers:
                return ComputerName(computer_name=name, detail=name)
            for device in bearers:
                if await self._is_stale(device, request.cloud_pc.resource_group_id):
                    await self._devices.delete(device)
        raise failure("NameTaken", f"devices of the tenant bear the names {', '.join(request.proposals)}")

    async def _is_stale(self, device: Device, resource_group_id: str | None) -> bool:
        """Tell whether the device was a machine's of our resource group that does not exist any more."""
        group = self._groups.get(resource_group_id)
        machine_id = f"{group.id}/providers/Microsoft.Compute/virtualMachines/{device.display_name}"
        if not Devices.names_machine(device, machine_id):
            return False
        try:
            await group.compute.virtual_machines.get(group.name, device.display_name or "")
        except ResourceNotFoundError:
            return True
        return False

"""Before the first step: a computer name that is nobody's yet."""

from typing import Any

from cloud.arm.operations import found, is_owned
from cloud.clients import CloudClients
from cloud.errors import failure
from cloud.graph.devices import Devices
from contract import steps
from contract.core_provisioning import ChooseComputerNameInput, ComputerName
from domain import naming


class ComputerNames:
    """Chooses computer names: Entra ID refuses to join a machine whose name a device of the tenant has.

    Source: https://learn.microsoft.com/entra/identity/devices/howto-vm-sign-in-azure-ad-windows
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._devices = Devices(clients)

    @steps.CHOOSE_COMPUTER_NAME.implemented_by
    async def choose_computer_name(self, request: ChooseComputerNameInput) -> ComputerName:
        """Return the first proposed name that no device of the tenant has, but the Cloud PC's own.

        The Cloud PC has a machine already where its workflow was reset to before this step. On the way a stale
        device of our own, whose machine is gone, is removed; a foreign one is never touched.

        Raises:
            ApplicationError: `NameTaken`, when every name is somebody's.

        """
        for name in request.proposals:
            bearers = await self._devices.named(name)
            if not bearers:
                return ComputerName(computer_name=name, detail=name)
            group = self._groups.get(request.cloud_pc.resource_group_id)
            machine: Any = await found(group.compute.virtual_machines.get(group.name, name))
            if machine and is_owned(machine, request.cloud_pc.cloud_pc_id):
                return ComputerName(computer_name=name, detail=f"{name}, which the Cloud PC has already")
            machine_id = naming.virtual_machine_id(group.id, name)
            for device in bearers:
                if machine is None and Devices.names_machine(device, machine_id):
                    await self._devices.delete(device)
        raise failure("NameTaken", f"devices of the tenant bear the names {', '.join(request.proposals)}")

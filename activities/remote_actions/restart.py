"""What is done to the machine of a living Cloud PC when an admin asks for it."""

from cloud.arm.virtual_machines import VirtualMachines
from cloud.clients import CloudClients
from cloud.errors import failure
from contract import steps
from contract.activity import CloudPcInput, StepResult


class RemoteActions:
    """Works on machines that somebody may be using."""

    def __init__(self, clients: CloudClients) -> None:
        self._machines = VirtualMachines(clients)

    @steps.RESTART_VIRTUAL_MACHINE.implemented_by
    async def restart_virtual_machine(self, request: CloudPcInput) -> StepResult:
        """Restart the machine.

        Raises:
            ApplicationError: `NameTaken`: the machine of that name is somebody else's.
            HttpResponseError: Azure refuses, or there is no such machine.

        """
        name = request.cloud_pc.computer_name
        if await self._machines.is_somebody_elses(request.cloud_pc):
            raise failure("NameTaken", f"{name} belongs to somebody else")
        await self._machines.restart(request.cloud_pc)
        return StepResult(detail=f"{name} restarted")

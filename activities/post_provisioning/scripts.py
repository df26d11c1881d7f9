"""Post-provisioning steps that do more than run a file in the guest.

Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
"""

from cloud.arm.run_commands import GuestScripts, script_text
from cloud.arm.virtual_machines import VirtualMachines
from cloud.clients import CloudClients
from contract import steps
from contract.activity import AnyStep, StepResult
from contract.post_provisioning import AssignUserAsAdministratorInput, InstallLanguageInput
from models.cloud_pc import CloudPcReference


class PostProvisioning:
    """Runs scripts with parameters: each the file beside this module that has the step's name."""

    def __init__(self, clients: CloudClients) -> None:
        self._scripts = GuestScripts(clients)
        self._machines = VirtualMachines(clients)

    @steps.INSTALL_LANGUAGE.implemented_by
    async def install_language(self, request: InstallLanguageInput) -> StepResult:
        """Install the language and restart the machine, after which Windows speaks it."""
        detail = await self._run(steps.INSTALL_LANGUAGE, request.cloud_pc, {"Locale": request.locale})
        await self._machines.restart(request.cloud_pc)
        return StepResult(detail=detail)

    @steps.ASSIGN_USER_AS_ADMINISTRATOR.implemented_by
    async def assign_user_as_administrator(self, request: AssignUserAsAdministratorInput) -> StepResult:
        """Make the user a local administrator."""
        parameters = {"UserPrincipalName": request.user_principal_name}
        return StepResult(detail=await self._run(steps.ASSIGN_USER_AS_ADMINISTRATOR, request.cloud_pc, parameters))

    async def _run(self, step: AnyStep, cloud_pc: CloudPcReference, parameters: dict[str, str]) -> str:
        script = script_text("activities.post_provisioning", f"{step.name}.ps1")
        return await self._scripts.run(cloud_pc, step.activity_id, script, parameters=parameters)

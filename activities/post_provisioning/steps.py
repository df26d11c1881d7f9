"""Post-provisioning configuration, each step a script in the guest."""

from typing import Any

from azure.core.polling import AsyncLROPoller
from temporalio import activity

from activities.long_running import complete
from activities.post_provisioning.run_guest_script import GuestScripts, script_text
from activities.signatures import (
    AssignUserAsAdministratorInput,
    CloudPcReference,
    GuestScriptInput,
    InstallLanguageInput,
    StepResult,
)
from cloud.clients import CloudClients
from models.cloud_pc import Step


class PostProvisioning:
    """Runs each step's script, the file beside this module that bears the step's name.

    Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
    """

    def __init__(self, clients: CloudClients) -> None:
        self._scripts = GuestScripts(clients)
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval

    @activity.defn
    async def install_language(self, request: InstallLanguageInput) -> StepResult:
        """Install the language and start the machine again, by which Windows comes to speak it."""
        cloud_pc = request.cloud_pc
        script = script_text("activities.post_provisioning", f"{Step.INSTALL_LANGUAGE}.ps1")
        detail = await self._scripts.run(
            cloud_pc, Step.INSTALL_LANGUAGE.activity_id, script, parameters={"Locale": request.locale}
        )
        await self._restart(cloud_pc)
        return StepResult(detail=detail)

    async def _restart(self, cloud_pc: CloudPcReference) -> None:
        group = self._groups.get(cloud_pc.resource_group_id)
        machines: Any = group.compute.virtual_machines
        ids = (group.name, cloud_pc.computer_name)

        async def begin() -> AsyncLROPoller[None]:
            return await machines.begin_restart(*ids)

        async def resume(token: str) -> AsyncLROPoller[None]:
            return await machines.begin_restart(*ids, continuation_token=token)

        # A restart that a crash repeats does no harm: nobody works on the machine yet.
        await complete(f"restart {'/'.join(ids)}", resume=resume, begin=begin, poll_interval=self._poll_interval)

    @activity.defn
    async def hide_start_menu_power_icons(self, request: GuestScriptInput) -> StepResult:
        """Hide the Start menu's power icons and the sign-in screen's shutdown button."""
        return await self._run(Step.HIDE_START_MENU_POWER_ICONS, request.cloud_pc)

    @activity.defn
    async def disable_windows_reset(self, request: GuestScriptInput) -> StepResult:
        """Disable the recovery environment, and with it Windows reset."""
        return await self._run(Step.DISABLE_WINDOWS_RESET, request.cloud_pc)

    @activity.defn
    async def assign_user_as_administrator(self, request: AssignUserAsAdministratorInput) -> StepResult:
        """Make the user a local administrator."""
        return await self._run(
            Step.ASSIGN_USER_AS_ADMINISTRATOR, request.cloud_pc, {"UserPrincipalName": request.user_principal_name}
        )

    @activity.defn
    async def set_teams_vdi_mode(self, request: GuestScriptInput) -> StepResult:
        """Tell Teams that it runs on a virtual desktop."""
        return await self._run(Step.SET_TEAMS_VDI_MODE, request.cloud_pc)

    @activity.defn
    async def enable_time_zone_redirection(self, request: GuestScriptInput) -> StepResult:
        """Let sessions take the time zone of the user's own device."""
        return await self._run(Step.ENABLE_TIME_ZONE_REDIRECTION, request.cloud_pc)

    @activity.defn
    async def resize_os_disk_partition(self, request: GuestScriptInput) -> StepResult:
        """Grow the OS partition to the disk."""
        return await self._run(Step.RESIZE_OS_DISK_PARTITION, request.cloud_pc)

    @activity.defn
    async def disable_port_3389(self, request: GuestScriptInput) -> StepResult:
        """Block inbound port 3389."""
        return await self._run(Step.DISABLE_PORT_3389, request.cloud_pc)

    async def _run(
        self, step: Step, cloud_pc: CloudPcReference, parameters: dict[str, str] | None = None
    ) -> StepResult:
        script = script_text("activities.post_provisioning", f"{step}.ps1")
        return StepResult(detail=await self._scripts.run(cloud_pc, step.activity_id, script, parameters=parameters))

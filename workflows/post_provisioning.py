"""Stage 2, post-provisioning configuration: the language, then seven steps side by side, none of them fatal."""

import asyncio

from activities import signatures
from models.cloud_pc import CloudPcRequest, Step
from models.provisioning_policy import IMAGE_LOCALE, UserAccountType
from workflows.record import CloudPcRecord, StepFailedError

_GUEST_SCRIPTS = {
    Step.HIDE_START_MENU_POWER_ICONS: signatures.hide_start_menu_power_icons,
    Step.DISABLE_WINDOWS_RESET: signatures.disable_windows_reset,
    Step.SET_TEAMS_VDI_MODE: signatures.set_teams_vdi_mode,
    Step.ENABLE_TIME_ZONE_REDIRECTION: signatures.enable_time_zone_redirection,
    Step.RESIZE_OS_DISK_PARTITION: signatures.resize_os_disk_partition,
    Step.DISABLE_PORT_3389: signatures.disable_port_3389,
}


async def configure(record: CloudPcRecord, request: CloudPcRequest) -> None:
    """Set Windows up as Windows 365 does; a step that fails becomes a warning."""
    if request.policy.windows_setting.locale != IMAGE_LOCALE:
        # First and alone, for it ends in a restart.
        await _install_language(record, request.policy.windows_setting.locale)
    work = (
        *(_run_guest_script(record, step) for step in _GUEST_SCRIPTS),
        _assign_user_as_administrator(record, request),
    )
    # Cancelled, it waits for every script to end, so that nothing runs while the machine is taken away.
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def _install_language(record: CloudPcRecord, locale: str) -> None:
    language = signatures.InstallLanguageInput(cloud_pc=record.reference, locale=locale)
    try:
        await record.run(Step.INSTALL_LANGUAGE, signatures.install_language, language)
    except StepFailedError as failure:
        record.warn(failure)


async def _run_guest_script(record: CloudPcRecord, step: Step) -> None:
    try:
        await record.run(step, _GUEST_SCRIPTS[step], signatures.GuestScriptInput(cloud_pc=record.reference))
    except StepFailedError as failure:
        record.warn(failure)


async def _assign_user_as_administrator(record: CloudPcRecord, request: CloudPcRequest) -> None:
    step = Step.ASSIGN_USER_AS_ADMINISTRATOR
    if request.policy.user_account_type != UserAccountType.ADMINISTRATOR:
        record.not_applicable(step, "the policy's userAccountType is standardUser")
        return
    user = request.user
    name = user.on_premises_user_principal_name or user.user_principal_name
    try:
        await record.run(
            step,
            signatures.assign_user_as_administrator,
            signatures.AssignUserAsAdministratorInput(cloud_pc=record.reference, user_principal_name=name),
        )
    except StepFailedError as failure:
        record.warn(failure)

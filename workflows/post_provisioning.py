"""Stage 2, post-provisioning configuration: the language, then the other steps side by side, none of them fatal."""

import asyncio

from contract import steps
from contract.activity import CloudPcInput, GuestScript
from contract.errors import ActivityFailedError
from contract.post_provisioning import AssignUserAsAdministratorInput, InstallLanguageInput
from models.cloud_pc import CloudPcRequest, Stage
from models.provisioning_policy import UserAccountType
from workflows.cloud_pc.record import CloudPcRecord


async def configure(record: CloudPcRecord, request: CloudPcRequest) -> None:
    """Set Windows up as Windows 365 does; a step that fails becomes a warning."""
    if steps.INSTALL_LANGUAGE.applies(request.policy):
        # First and alone, for it ends in a restart.
        await _install_language(record, request.policy.windows_setting.locale)
    work = (
        *(_run_guest_script(record, step) for step in steps.GUEST_SCRIPTS if step.stage == Stage.POST_PROVISIONING),
        _assign_user_as_administrator(record, request),
    )
    # Cancelled, it waits for every script to end, so that nothing runs while the machine is removed.
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def _install_language(record: CloudPcRecord, locale: str) -> None:
    try:
        await record.run(steps.INSTALL_LANGUAGE, InstallLanguageInput(cloud_pc=record.reference, locale=locale))
    except ActivityFailedError as failure:
        record.warn(failure)


async def _run_guest_script(record: CloudPcRecord, step: GuestScript) -> None:
    if record.leaves_out(step):
        return
    try:
        await record.run(step, CloudPcInput(cloud_pc=record.reference))
    except ActivityFailedError as failure:
        record.warn(failure)


async def _assign_user_as_administrator(record: CloudPcRecord, request: CloudPcRequest) -> None:
    step, user = steps.ASSIGN_USER_AS_ADMINISTRATOR, request.user
    if request.policy.user_account_type != UserAccountType.ADMINISTRATOR:
        record.not_applicable(step, "the policy's userAccountType is standardUser")
        return
    name = user.on_premises_user_principal_name or user.user_principal_name
    try:
        await record.run(step, AssignUserAsAdministratorInput(cloud_pc=record.reference, user_principal_name=name))
    except ActivityFailedError as failure:
        record.warn(failure)

"""Stage 3, assignment: the user can sign in and reach the Cloud PC, with no inbound port."""

from contract import steps
from contract.activity import CloudPcInput
from contract.assignment import AssignUserInput, GrantSignInInput, RegisterSessionHostInput
from contract.errors import ActivityFailedError
from models.cloud_pc import CloudPcRequest
from models.provisioning_policy import UserAccountType
from workflows.cloud_pc.record import CloudPcRecord


async def assign(record: CloudPcRecord, request: CloudPcRequest, virtual_machine_id: str) -> None:
    """Make the machine a session host, let the user sign in, and assign it to them.

    Raises:
        ActivityFailedError: A step failed for good.

    """
    cloud_pc, policy = record.reference, request.policy
    session_host = await record.run(
        steps.REGISTER_SESSION_HOST,
        RegisterSessionHostInput(
            cloud_pc=cloud_pc,
            policy_display_name=policy.display_name,
            enable_single_sign_on=policy.enable_single_sign_on,
        ),
    )
    record.update(host_pool=session_host.host_pool, session_host=session_host.name)
    await record.run(
        steps.GRANT_SIGN_IN,
        GrantSignInInput(
            cloud_pc=cloud_pc,
            virtual_machine_id=virtual_machine_id,
            administrator=policy.user_account_type == UserAccountType.ADMINISTRATOR,
        ),
    )
    await record.run(
        steps.ASSIGN_USER,
        AssignUserInput(
            cloud_pc=cloud_pc,
            session_host=session_host.name,
            user_principal_name=request.user.user_principal_name,
        ),
    )
    sign_in = "single sign-on" if policy.enable_single_sign_on else "sign-in with the user's Entra account"
    record.update(
        connection=f"{request.user.user_principal_name} opens Windows App (https://windows.cloud.microsoft) and "
        f"chooses {policy.display_name}: {sign_in}, no inbound port"
    )
    # Last, when Azure's budget of changes to one VM (12, refilled by 4 a minute) has recovered from the scripts.
    try:
        await record.run(steps.REMOVE_RUN_COMMANDS, CloudPcInput(cloud_pc=cloud_pc))
    except ActivityFailedError as failure:
        # The user has their Cloud PC; a script left behind is no reason to remove it.
        record.warn(failure)

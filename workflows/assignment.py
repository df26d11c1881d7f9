"""Stage 3, assignment: the user can sign in and reach the Cloud PC, with no inbound port."""

from activities import signatures
from models.cloud_pc import CloudPcRequest, Step
from models.provisioning_policy import UserAccountType
from workflows.record import CloudPcRecord, StepFailedError


async def assign(record: CloudPcRecord, request: CloudPcRequest, virtual_machine_id: str) -> None:
    """Make the machine a session host, let the user sign in, and assign it to them.

    Raises:
        StepFailedError: A step failed for good.

    """
    cloud_pc, policy = record.reference, request.policy
    session_host = await record.run(
        Step.REGISTER_SESSION_HOST,
        signatures.register_session_host,
        signatures.RegisterSessionHostInput(
            cloud_pc=cloud_pc,
            policy_display_name=policy.display_name,
            enable_single_sign_on=policy.enable_single_sign_on,
        ),
    )
    record.update(host_pool=session_host.host_pool, session_host=session_host.name)
    await record.run(
        Step.GRANT_SIGN_IN,
        signatures.grant_sign_in,
        signatures.GrantSignInInput(
            cloud_pc=cloud_pc,
            virtual_machine_id=virtual_machine_id,
            administrator=policy.user_account_type == UserAccountType.ADMINISTRATOR,
        ),
    )
    await record.run(
        Step.ASSIGN_USER,
        signatures.assign_user,
        signatures.AssignUserInput(
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
        await record.run(
            Step.REMOVE_RUN_COMMANDS, signatures.remove_run_commands, signatures.CloudPcInput(cloud_pc=cloud_pc)
        )
    except StepFailedError as failure:
        # The user has their Cloud PC; a script that lies about is no reason to take it away.
        record.warn(failure)

"""Taking away what exists of a Cloud PC: for a reprovision, after a failed attempt, at the end of its life."""

from activities import signatures
from models.cloud_pc import Stage, Step
from workflows.record import CloudPcRecord, StepFailedError

_ORDER = {
    # The machine first: while it runs, its agents may still register what has just been removed.
    Step.DELETE_VIRTUAL_MACHINE: signatures.delete_virtual_machine,
    Step.REMOVE_SESSION_HOST: signatures.remove_session_host,
    Step.REMOVE_ROLE_ASSIGNMENTS: signatures.remove_role_assignments,
    # Found by the Entra device, so before it.
    Step.DELETE_MANAGED_DEVICE: signatures.delete_managed_device,
    Step.DELETE_ENTRA_DEVICE: signatures.delete_entra_device,
}


async def take_away(record: CloudPcRecord) -> list[StepFailedError]:
    """Remove the Cloud PC with all its traces; what is already gone is no failure.

    A step that fails does not keep the others from being tried.

    Returns:
        The failures; empty when nothing is left.

    """
    record.expect(Stage.DEPROVISIONING)
    failures: list[StepFailedError] = []
    if record.domain:
        # While the machine runs: it is what reaches the domain. What the account still existed for, the
        # synchronisation would bring back into Entra ID.
        request = signatures.RemoveComputerAccountInput(cloud_pc=record.reference, domain=record.domain)
        try:
            await record.run(Step.REMOVE_COMPUTER_ACCOUNT, signatures.remove_computer_account, request)
        except StepFailedError as failure:
            failures.append(failure)
    for step, activity in _ORDER.items():
        try:
            await record.run(step, activity, signatures.CloudPcInput(cloud_pc=record.reference))
        except StepFailedError as failure:
            failures.append(failure)
    return failures

"""Removing what exists of a Cloud PC: for a reprovision, after a failed attempt, at the end of its life."""

from typing import Any

from contract import steps
from contract.activity import CloudPcInput, Step
from contract.deprovisioning import RemoveComputerAccountInput
from contract.errors import ActivityFailedError
from models.cloud_pc import Stage
from workflows.cloud_pc.record import CloudPcRecord


async def deprovision(record: CloudPcRecord) -> list[ActivityFailedError]:
    """Remove the Cloud PC with all its traces; what is already gone is no failure.

    A step that fails does not keep the others from being tried.

    Returns:
        The failures; empty when nothing is left.

    """
    record.expect(Stage.DEPROVISIONING)
    failures: list[ActivityFailedError] = []
    for step in steps.steps_of(Stage.DEPROVISIONING):
        request = _request_of(step, record)
        if request is None:
            continue
        try:
            await record.run(step, request)
        except ActivityFailedError as failure:
            failures.append(failure)
    return failures


def _request_of(step: Step[Any, Any], record: CloudPcRecord) -> CloudPcInput | None:
    """Return a step's input, or None where the Cloud PC does not need it."""
    if step is not steps.REMOVE_COMPUTER_ACCOUNT:
        return CloudPcInput(cloud_pc=record.reference)
    if record.domain is None:
        return None
    return RemoveComputerAccountInput(cloud_pc=record.reference, domain=record.domain)

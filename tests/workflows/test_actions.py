"""What can be asked of a Cloud PC: every row of the table, in every way and at every time."""

import asyncio
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowUpdateFailedError

import starter
from contract import steps
from models.cloud_pc import CloudPc, CloudPcStatus
from models.remote_actions import KEPT, Accepted, ActionState, RemoteActionResult
from tests.workflows.conftest import Handle, Lab, policy
from tests.workflows.operator import delay, release, until_started
from workflows.cloud_pc.actions import (
    ACTIONS,
    CANCEL_GRACE_PERIOD,
    DEPROVISION,
    END_GRACE_PERIOD,
    REPROVISION,
    RESTART,
    START_GRACE_PERIOD,
    RemoteAction,
)
from workflows.cloud_pc.workflow import CloudPcWorkflow

RESTARTS = r"/virtualMachines/[^/]+/restart$"
WAITING = (DEPROVISION, REPROVISION, RESTART)
"""The actions that wait for their turn, and that can be asked for in every Cloud PC that is settled."""


def payload(action: RemoteAction[Any]) -> dict[str, Any]:
    """What an action is asked with."""
    return {"reason": "why", "requestedBy": "kim"} | ({"gracePeriodInHours": 5} if action is START_GRACE_PERIOD else {})


async def asked(handle: Handle, action: RemoteAction[Any], **more: Any) -> Accepted:
    return await handle.execute_update(action.name, payload(action) | more, result_type=Accepted)


async def refused(handle: Handle, action: RemoteAction[Any], **more: Any) -> str:
    """Ask by update and by signal; both are refused with the same words, which are returned."""
    with pytest.raises(WorkflowUpdateFailedError) as error:
        await asked(handle, action, **more)
    await handle.signal(action.name, payload(action) | more)
    pc = await handle.query(CloudPcWorkflow.cloud_pc)
    [*_, last] = pc.refused_signals
    assert (last.signal, last.error) == (action.name, str(error.value.cause))
    return last.error


def states(pc: CloudPc) -> list[tuple[str, ActionState]]:
    return [(action.action_name, action.action_state) for action in pc.remote_actions]


async def provisioned(lab: Lab) -> Handle:
    handle = await lab.start()
    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED
    return handle


async def test_every_action_is_a_signal_and_an_update_with_a_description(lab: Lab) -> None:
    handle = await provisioned(lab)
    metadata: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    signals = {each.name: each.description for each in metadata.definition.signal_definitions}
    updates = {each.name: each.description for each in metadata.definition.update_definitions}
    for action in ACTIONS:
        assert action.summary in signals[action.name] and action.summary in updates[action.name]
    assert set(updates) == {action.name for action in ACTIONS}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
async def test_an_action_names_a_field_that_it_does_not_know(lab: Lab, action: RemoteAction[Any]) -> None:
    handle = await provisioned(lab)
    assert "reson: no such field; did you mean reason?" in await refused(handle, action, reson="typo")
    assert "reason" in await refused(handle, action, reason="two\nlines")
    assert (await handle.query(CloudPcWorkflow.cloud_pc)).remote_actions == ()


async def test_restart(lab: Lab) -> None:
    handle = await provisioned(lab)
    accepted = await asked(handle, RESTART)
    assert accepted == Accepted(cloud_pc_id=handle.id, operation="restart", when="now", action_id=1)
    pc = await lab.until(handle, lambda pc: states(pc) == [("restart", ActionState.DONE)])
    [result] = pc.remote_actions
    assert (result.reason, result.requested_by, result.status_detail) == ("why", "kim", None)
    assert result.last_updated_date_time >= result.start_date_time
    assert (pc.status, pc.attempt) == (CloudPcStatus.PROVISIONED, 1)
    assert len(lab.requests("POST", "/restart")) == 1


async def test_a_restart_that_fails_says_why_and_changes_nothing(lab: Lab) -> None:
    handle = await provisioned(lab)
    lab.fail("POST", RESTARTS, "ScopeLocked", 409)
    await asked(handle, RESTART)
    pc = await lab.until(handle, lambda pc: states(pc) == [("restart", ActionState.FAILED)])
    detail = pc.remote_actions[0].status_detail
    assert detail and detail.code == "ScopeLocked"
    assert pc.status == CloudPcStatus.PROVISIONED and pc.status_detail is None
    await asked(handle, RESTART)
    await lab.until(handle, lambda pc: states(pc)[-1] == ("restart", ActionState.DONE))


async def test_a_machine_of_somebody_else_is_not_restarted(lab: Lab) -> None:
    handle = await provisioned(lab)
    [id] = lab.exists("Microsoft.Compute/virtualMachines")
    machine = lab.resource(id)
    machine.body["tags"]["cloudPcId"] = "another"
    await asked(handle, RESTART)
    pc = await lab.until(handle, lambda pc: states(pc) == [("restart", ActionState.FAILED)])
    detail = pc.remote_actions[0].status_detail
    assert detail and detail.code == "NameTaken"
    assert lab.requests("POST", "/restart") == []
    machine.body["tags"]["cloudPcId"] = handle.id


async def test_equal_restarts_that_wait_are_one(lab: Lab) -> None:
    handle = await provisioned(lab)
    delay(lab, steps.RESTART_VIRTUAL_MACHINE)
    await asked(handle, RESTART)
    await until_started(handle, steps.RESTART_VIRTUAL_MACHINE)
    later = [await asked(handle, RESTART, reason=reason) for reason in ("again", "and again")]
    assert {each.when for each in later} == {"afterCurrentAttempt"} and later[0].action_id == later[1].action_id
    release(lab)
    pc = await lab.until(handle, lambda pc: states(pc) == [("restart", ActionState.DONE)] * 2)
    assert pc.remote_actions[1].reason == "and again"
    assert len(lab.requests("POST", "/restart")) == 2


async def test_what_outranks_cancels_what_waits(lab: Lab) -> None:
    handle = await provisioned(lab)
    delay(lab, steps.RESTART_VIRTUAL_MACHINE)
    await asked(handle, RESTART)
    await until_started(handle, steps.RESTART_VIRTUAL_MACHINE)
    for action in (RESTART, REPROVISION, DEPROVISION):
        await asked(handle, action)
    pc = await handle.query(CloudPcWorkflow.cloud_pc)
    assert states(pc) == [
        ("restart", ActionState.ACTIVE),
        ("restart", ActionState.CANCELED),
        ("reprovision", ActionState.CANCELED),
        ("deprovision", ActionState.PENDING),
    ]
    assert pc.pending_operation == "deprovision"
    why = pc.remote_actions[1].status_detail
    assert why and why.message == "reprovision came, which outranks it"
    for action in (RESTART, REPROVISION):
        assert "is being deprovisioned" in await refused(handle, action)
    release(lab)
    ended = await lab.ended(handle)
    assert states(ended)[0] == ("restart", ActionState.DONE)
    assert states(ended)[-1] == ("deprovision", ActionState.DONE)
    lab.nothing_left()


@pytest.mark.parametrize("action", WAITING, ids=lambda action: action.name)
async def test_an_action_in_the_middle_of_an_attempt(lab: Lab, action: RemoteAction[Any]) -> None:
    delay(lab, steps.JOIN_ENTRA_ID)
    handle = await lab.start()
    await until_started(handle, steps.JOIN_ENTRA_ID)
    if action is RESTART:
        assert "the Cloud PC is provisioning; restart needs one that is" in await refused(handle, action)
        release(lab)
        await lab.settled(handle)
        return
    accepted = await asked(handle, action)
    assert accepted.when == "afterCurrentAttempt"
    pc = await handle.query(CloudPcWorkflow.cloud_pc)
    assert states(pc) == [(action.name, ActionState.PENDING)] and pc.pending_operation == action.name
    release(lab)
    if action is DEPROVISION:
        assert states(await lab.ended(handle)) == [("deprovision", ActionState.DONE)]
    else:
        assert states(await lab.settled(handle, attempt=2)) == [("reprovision", ActionState.DONE)]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
async def test_an_action_while_the_cloud_pc_is_being_deprovisioned(lab: Lab, action: RemoteAction[Any]) -> None:
    handle = await provisioned(lab)
    delay(lab, steps.DELETE_VIRTUAL_MACHINE)
    await asked(handle, DEPROVISION)
    await until_started(handle, steps.DELETE_VIRTUAL_MACHINE)
    if CloudPcStatus.DEPROVISIONING in action.states:
        await asked(handle, action)
    else:
        assert "is being deprovisioned" in await refused(handle, action)
    release(lab)
    ended = await lab.ended(handle)
    assert ended.status == CloudPcStatus.NOT_PROVISIONED
    assert {state for _, state in states(ended)} == {ActionState.DONE}
    lab.nothing_left()


async def test_actions_of_a_failed_cloud_pc(lab: Lab) -> None:
    lab.fail("PUT", r"extensions/AADLoginForWindows$")
    handle = await lab.start()
    assert (await lab.settled(handle)).status == CloudPcStatus.FAILED
    assert "the Cloud PC is failed; restart needs one that is" in await refused(handle, RESTART)
    assert "in no grace period; use deprovision" in await refused(handle, END_GRACE_PERIOD)
    await asked(handle, REPROVISION)
    assert states(await lab.settled(handle, attempt=2)) == [("reprovision", ActionState.DONE)]


async def test_a_reprovision_whose_attempt_fails_has_failed(lab: Lab) -> None:
    handle = await provisioned(lab)
    lab.fail("PUT", r"extensions/AADLoginForWindows$")
    await asked(handle, REPROVISION)
    pc = await lab.settled(handle, attempt=2)
    assert pc.status == CloudPcStatus.FAILED and states(pc) == [("reprovision", ActionState.FAILED)]
    detail = pc.remote_actions[0].status_detail
    assert detail and pc.status_detail and detail.code == pc.status_detail.code == "BadRequest"


async def test_a_deprovision_that_cannot_remove_everything_has_failed(lab: Lab) -> None:
    handle = await provisioned(lab)
    lab.fail("DELETE", r"virtualMachines/[^/]+$", "ScopeLocked", 409)
    await asked(handle, DEPROVISION)
    pc = await lab.until(handle, lambda pc: pc.status == CloudPcStatus.FAILED)
    assert states(pc) == [("deprovision", ActionState.FAILED)]
    await asked(handle, DEPROVISION)
    assert states(await lab.ended(handle)) == [("deprovision", ActionState.FAILED), ("deprovision", ActionState.DONE)]
    lab.nothing_left()


async def test_a_deprovision_in_the_middle_of_a_reprovision_ends_it(lab: Lab) -> None:
    handle = await provisioned(lab)
    delay(lab, steps.DELETE_VIRTUAL_MACHINE)
    await asked(handle, REPROVISION)
    await until_started(handle, steps.DELETE_VIRTUAL_MACHINE)
    await asked(handle, DEPROVISION)
    release(lab)
    ended = await lab.ended(handle)
    assert states(ended) == [("reprovision", ActionState.CANCELED), ("deprovision", ActionState.DONE)]
    assert ended.attempt == 1
    lab.nothing_left()


async def test_a_reprovision_in_the_middle_of_a_removal_is_made_with_it(lab: Lab) -> None:
    handle = await provisioned(lab)
    delay(lab, steps.DELETE_VIRTUAL_MACHINE)
    await asked(handle, REPROVISION)
    await until_started(handle, steps.DELETE_VIRTUAL_MACHINE)
    await asked(handle, REPROVISION, userAccountType="administrator", reason="as administrator")
    release(lab)
    pc = await lab.settled(handle, attempt=2)
    assert states(pc) == [("reprovision", ActionState.DONE)] * 2
    assert pc.reason == "as administrator"
    assert all(step.state == "succeeded" for step in pc.steps)


async def test_a_cancellation_in_the_middle_of_a_restart_removes_the_cloud_pc(lab: Lab) -> None:
    handle = await provisioned(lab)
    delay(lab, steps.RESTART_VIRTUAL_MACHINE)
    await asked(handle, RESTART)
    await until_started(handle, steps.RESTART_VIRTUAL_MACHINE)
    await handle.cancel()
    release(lab)
    await lab.until_closed(handle)
    pc = await handle.query(CloudPcWorkflow.cloud_pc)
    # The restart itself ends as Azure says; it may have been over when the cancellation came.
    assert states(pc)[0] in [("restart", ActionState.CANCELED), ("restart", ActionState.DONE)]
    assert states(pc)[1] == ("deprovision", ActionState.DONE)
    assert pc.remote_actions[1].requested_by == "a cancellation of the workflow"
    lab.nothing_left()


async def test_the_grace_period_is_begun_and_cancelled_once(lab: Lab) -> None:
    handle = await provisioned(lab)
    for action in (START_GRACE_PERIOD, START_GRACE_PERIOD, CANCEL_GRACE_PERIOD, CANCEL_GRACE_PERIOD):
        assert (await asked(handle, action)).when == "now"
    pc = await handle.query(CloudPcWorkflow.cloud_pc)
    assert states(pc) == [("startGracePeriod", ActionState.DONE), ("cancelGracePeriod", ActionState.DONE)]


async def test_the_last_actions_are_kept_and_outlive_a_reprovision(lab: Lab) -> None:
    handle = await provisioned(lab)
    for _ in range(KEPT // 2 + 1):
        await handle.signal(START_GRACE_PERIOD.name, payload(START_GRACE_PERIOD))
        await handle.signal(CANCEL_GRACE_PERIOD.name, {})
    await asked(handle, REPROVISION)
    pc = await lab.settled(handle, attempt=2)
    ids = [action.id for action in pc.remote_actions]
    assert ids == list(range(4, KEPT + 4))
    assert states(pc)[-1] == ("reprovision", ActionState.DONE)
    [run] = [result for result in pc.remote_actions if result.action_name == "reprovision"]
    assert isinstance(run, RemoteActionResult) and run.reason == "why"


async def test_every_action_for_admins_has_a_command(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [action for action in ACTIONS if action.command]
    assert {action.command for action in made} <= set(starter.cli.commands)

    async def connect() -> Any:
        return lab.client

    monkeypatch.setattr(starter, "connect", connect)
    handle = await lab.start(policy(id=lab.task_queue[5:45]))
    await lab.settled(handle)

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(starter.main, list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    code, out, _ = await run("restart", handle.id, "--reason", "hangs", "--wait")
    assert code == 0 and "restart done" in out and ": hangs" in out
    lab.fail("POST", RESTARTS, "ScopeLocked", 409)
    code, out, _ = await run("restart", handle.id, "--wait")
    assert code == 1 and "restart failed" in out
    code, _, err = await run("end-grace-period", handle.id)
    assert (code, err) == (1, f"error: {handle.id}: the Cloud PC is in no grace period; use deprovision\n")

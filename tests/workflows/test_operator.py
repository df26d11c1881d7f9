"""The operator's hand: resetting, and completing, failing, pausing steps by hand, never doubles and never loses."""

import uuid
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contract import steps
from contract.steps import steps_of
from models.cloud_pc import CloudPc, CloudPcStatus, Stage, StepState
from models.provisioning_policy import UserAccountType
from simulator.active_directory import JOIN_PASSWORD
from tests.crash.invariants import broken
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, Handle, Lab, connection, joining, policy, step
from tests.workflows.operator import (
    begin_anew,
    complete,
    delay,
    fail,
    hold,
    pause,
    release,
    reset,
    unpause,
    until_paused,
    until_pending,
    until_started,
    workflow_tasks,
)
from tests.workflows.requests_of_steps import FATAL, NOT_FATAL, REQUEST_OF
from workflows import messages
from workflows.audit import AuditRequest, AuditWorkflow


@pytest.fixture
def max_cached_workflows() -> int:
    """What these tests do to a workflow is replayed anyway."""
    return 1000


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (b'{"detail": "made by hand"}', "id: missing"),
        (b'{"id": "/x", "privateIpAddress": null}', "id: '/x'"),
        (b'"yes"', "input"),
        (b"null", "input"),
        (b"not JSON", "input"),
    ],
    ids=["fields", "id", "text", "null", "bytes"],
)
async def test_a_step_that_is_completed_with_a_result_of_no_use_runs_again(lab: Lab, result: bytes, said: str) -> None:
    hold(lab, steps.CREATE_VIRTUAL_MACHINE)
    handle = await lab.start()
    await until_pending(handle, steps.CREATE_VIRTUAL_MACHINE)
    await complete(lab, handle, steps.CREATE_VIRTUAL_MACHINE, result)
    told = await lab.until(handle, lambda pc: "by hand" in step(pc, steps.CREATE_VIRTUAL_MACHINE).detail)
    assert said in step(told, steps.CREATE_VIRTUAL_MACHINE).detail
    release(lab)
    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED


async def test_each_step_can_be_paused_begun_anew_and_let_go_on(lab: Lab) -> None:
    made = policy(userAccountType="administrator", windowsSetting={"locale": "de-DE"})
    assignment = list(steps_of(Stage.ASSIGNMENT))
    # In the order in which they run.
    listed = [*(s for s in FATAL if s not in assignment), *(s for s in NOT_FATAL if s not in assignment), *assignment]
    for held in listed:
        hold(lab, held)
    handle = await lab.start(made)
    for held in listed:
        await until_pending(handle, held)
        await pause(lab, handle, held)
        await until_paused(handle, held)
        lab.cloud.faults.rules = [rule for rule in lab.cloud.faults.rules if rule.path != REQUEST_OF[held][1]]
        await begin_anew(lab, handle, held, keep_paused=True)
        paused = await until_pending(handle, held)
        assert paused.paused and paused.attempt == 1, held
        await unpause(lab, handle, held)
    pc = await lab.settled(handle)
    assert pc.status == CloudPcStatus.PROVISIONED
    assert list(broken(lab.cloud, [(pc, UserAccountType.ADMINISTRATOR)])) == []


async def test_a_fatal_step_that_is_failed_by_hand_takes_everything_away(lab: Lab) -> None:
    handle: Handle | None = None
    for attempt, failing in enumerate(FATAL, start=1):
        delay(lab, failing)
        if handle is None:
            handle = await lab.start()
        else:
            await lab.signal(handle, "reprovision", b"{}")
        await until_started(handle, failing)
        await fail(lab, handle, failing)
        release(lab)
        pc = await lab.settled(handle, attempt)
        assert pc.status == CloudPcStatus.FAILED and pc.status_detail
        assert (pc.status_detail.step, pc.status_detail.message) == (failing.name, "gave up")
        assert pc.status_detail.leftovers == ()
        lab.nothing_left()


async def test_steps_that_are_failed_by_hand_after_core_provisioning_are_warnings(lab: Lab) -> None:
    made = policy(userAccountType="administrator", windowsSetting={"locale": "de-DE"})
    for failing in NOT_FATAL:
        delay(lab, failing)
    handle = await lab.start(made)
    for failing in NOT_FATAL:
        await until_started(handle, failing)
        await fail(lab, handle, failing)
    pc = await lab.settled(handle)
    assert pc.status == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert {warning.step for warning in pc.warnings} == {listed.name for listed in NOT_FATAL}


async def test_a_step_that_is_completed_by_hand_is_done(lab: Lab) -> None:
    hold(lab, steps.DISABLE_WINDOWS_RESET)
    handle = await lab.start()
    await until_pending(handle, steps.DISABLE_WINDOWS_RESET)
    await complete(lab, handle, steps.DISABLE_WINDOWS_RESET, b'{"detail": "by remote assistance"}')
    first = await lab.settled(handle)
    assert first.status == CloudPcStatus.PROVISIONED
    assert step(first, steps.DISABLE_WINDOWS_RESET).detail == "by remote assistance"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one CloudPcRequest"),
        ([{}, {}], "give one CloudPcRequest"),
        ([{"id": "x"}], "policy: missing; add it"),
        (["no object"], "input"),
        ([RawValue(Payload(metadata={"encoding": b"binary/odd"}, data=b"x"))], "invalid JSON"),
    ],
    ids=["none", "two", "incomplete", "text", "encoding"],
)
@pytest.mark.parametrize("kind", ["CloudPcWorkflow", "ProvisionWorkflow", "DoctorWorkflow"])
async def test_a_malformed_start_ends_with_a_clear_failure(
    lab: Lab, kind: str, arguments: list[Any], said: str
) -> None:
    if kind != "CloudPcWorkflow":
        said = {"give one CloudPcRequest": "give one ", "policy: missing; add it": ": missing; add it"}.get(said, said)
    with pytest.raises(WorkflowFailureError) as ended:
        await lab.client.execute_workflow(
            kind, args=arguments, id=f"malformed-{uuid.uuid4()}", task_queue=lab.task_queue, result_type=dict
        )
    cause = ended.value.cause
    assert isinstance(cause, ApplicationError) and cause.type == messages.INVALID_INPUT
    assert said in cause.message and "\n" not in cause.message


@pytest.mark.parametrize("kind", ["hosted", "hybrid"])
async def test_a_reset_to_any_workflow_task_neither_doubles_nor_loses(
    lab: Lab, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "hybrid":
        monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, JOIN_PASSWORD)
        handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    else:
        handle = await lab.start(policy(userAccountType="administrator"))
    first = await lab.settled(handle)
    assert first.status == CloudPcStatus.PROVISIONED
    # Each reset makes another history.
    number = 0
    while number < len(tasks := await workflow_tasks(handle)):
        await reset(lab, handle, event_id := tasks[number])
        number += 1
        again = await lab.settled(handle)
        assert again.status == CloudPcStatus.PROVISIONED, (event_id, again.status_detail)
        assert again.computer_name == first.computer_name
        assert list(broken(lab.cloud, [(again, again_account(again))])) == [], event_id


def again_account(pc: CloudPc) -> Any:
    applies = step(pc, steps.ASSIGN_USER_AS_ADMINISTRATOR).state != StepState.NOT_APPLICABLE
    return UserAccountType.ADMINISTRATOR if applies else UserAccountType.STANDARD_USER


async def test_a_reset_of_an_earlier_run_leaves_what_the_audit_finds(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    run_id = (await handle.describe()).run_id
    await lab.signal(handle, "reprovision", b"{}")
    second = await lab.settled(handle, attempt=2)
    earlier = lab.client.get_workflow_handle(handle.id, run_id=run_id)
    await reset(lab, handle, (await workflow_tasks(earlier))[0], run_id)
    # The earlier run's wish is given to it again, so it is made twice.
    third = await lab.settled(handle, attempt=2)
    assert third.computer_name != second.computer_name
    result = await lab.client.execute_workflow(
        AuditWorkflow.run, AuditRequest(), id=f"audit-{uuid.uuid4()}", task_queue=lab.task_queue
    )
    assert {finding.computer_name for finding in result.findings} == {second.computer_name}

"""What an operator does with the temporal CLI, by the calls to the server that it makes."""

import asyncio
import uuid
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    ResetWorkflowExecutionRequest,
    RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskFailedByIdRequest,
    UnpauseActivityRequest,
)

from contract.activity import AnyStep
from simulator.faults import Fault
from tests.workflows.conftest import Handle, Lab
from tests.workflows.requests_of_steps import REQUEST_OF


async def reset(lab: Lab, handle: Handle, event_id: int, run_id: str = "") -> None:
    """Reset the workflow's current run, or another, to a workflow task, as `temporal workflow reset` does."""
    await lab.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=lab.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=run_id),
            reason="by hand",
            workflow_task_finish_event_id=event_id,
            request_id=str(uuid.uuid4()),
        )
    )


async def workflow_tasks(handle: Handle) -> list[int]:
    """The ids of the events that a workflow can be reset to."""
    history = await handle.fetch_history()
    return [e.event_id for e in history.events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]


def execution(handle: Handle) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=handle.id)


def json_payload(data: bytes) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


async def until_pending(handle: Handle, wanted: AnyStep, attempt: int = 1) -> Any:
    """Wait until a step's activity is waiting for or in an attempt, as `temporal workflow describe` shows it."""
    async with asyncio.timeout(20):
        while True:
            description = await handle.describe()
            for activity in description.raw_description.pending_activities:
                if activity.activity_id == wanted.activity_id and activity.attempt >= attempt:
                    return activity
            await asyncio.sleep(0.03)


def hold(lab: Lab, held: AnyStep) -> None:
    """Keep a step from coming to its end: Azure or Graph is not available to it."""
    method, path = REQUEST_OF[held]
    lab.fail(method, path, "ServiceUnavailable", status=503, times=10_000)


def delay(lab: Lab, held: AnyStep) -> None:
    """Keep a step's activity in one attempt for a while: its request is answered late."""
    method, path = REQUEST_OF[held]
    lab.cloud.faults.add(Fault(method, path, when="after", how="late", seconds=2.0))


async def until_started(handle: Handle, wanted: AnyStep) -> None:
    """Wait until a step's activity is in an attempt: the server lets it be failed by hand only then."""
    async with asyncio.timeout(20):
        while (await until_pending(handle, wanted)).state != PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
            await asyncio.sleep(0.03)


def release(lab: Lab) -> None:
    """Let Azure and Graph answer again."""
    lab.cloud.faults.rules.clear()


async def complete(lab: Lab, handle: Handle, done: AnyStep, result: bytes) -> None:
    """Complete a step by hand, as `temporal activity complete` does."""
    await lab.client.workflow_service.respond_activity_task_completed_by_id(
        RespondActivityTaskCompletedByIdRequest(
            namespace=lab.client.namespace,
            workflow_id=handle.id,
            activity_id=done.activity_id,
            result=Payloads(payloads=[json_payload(result)]),
        )
    )


async def pause(lab: Lab, handle: Handle, paused: AnyStep) -> None:
    """Pause a step, as `temporal activity pause` does."""
    await lab.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=lab.client.namespace, execution=execution(handle), id=paused.activity_id, identity="tests"
        )
    )


async def until_paused(handle: Handle, paused: AnyStep) -> None:
    """Wait until no attempt of a paused step is in work any more: it would succeed in spite of the pause."""
    async with asyncio.timeout(20):
        while (await until_pending(handle, paused)).state != PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED:
            await asyncio.sleep(0.03)


async def unpause(lab: Lab, handle: Handle, paused: AnyStep) -> None:
    """Let a step go on, as `temporal activity unpause` does."""
    await lab.client.workflow_service.unpause_activity(
        UnpauseActivityRequest(namespace=lab.client.namespace, execution=execution(handle), id=paused.activity_id)
    )


async def begin_anew(lab: Lab, handle: Handle, wanted: AnyStep, *, keep_paused: bool) -> None:
    """Let a step begin anew, as `temporal activity reset` does."""
    await lab.client.workflow_service.reset_activity(
        ResetActivityRequest(
            namespace=lab.client.namespace,
            execution=execution(handle),
            id=wanted.activity_id,
            keep_paused=keep_paused,
        )
    )


async def fail(lab: Lab, handle: Handle, failing: AnyStep) -> None:
    """Fail a step for good, as `temporal activity fail` does."""
    await lab.client.workflow_service.respond_activity_task_failed_by_id(
        RespondActivityTaskFailedByIdRequest(
            namespace=lab.client.namespace,
            workflow_id=handle.id,
            activity_id=failing.activity_id,
            failure=Failure(
                message="gave up",
                application_failure_info=ApplicationFailureInfo(
                    non_retryable=True, details=Payloads(payloads=[json_payload(b'{"ticket": 17}')])
                ),
            ),
        )
    )

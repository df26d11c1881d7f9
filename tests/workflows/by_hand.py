"""A person in place of every activity: a worker that serves workflows only, and activities that are ended by hand.

A worker's answer and that of `temporal activity complete|fail` are the same request to the server, so a test can give
every activity whichever result or failure it likes, and needs no cloud.
"""

import asyncio
import contextlib
import json
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskFailedByIdRequest,
)
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from contract.activity import Service, service_queue
from worker import WORKFLOWS

MACHINE_ID = (
    "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg"
    "/providers/Microsoft.Compute/virtualMachines/PC"
)
USER = {"id": "ada00000-0000-4000-8000-000000000001", "userPrincipalName": "ada@contoso.com", "displayName": "Ada"}
_DONE: dict[str, Any] = {"detail": "by hand"}
_CHECKS: dict[str, Any] = {"checks": []}
_PLAN: dict[str, Any] = {
    "counts": {},
    "changes": [],
    "leftOff": 0,
    "created": {"CPC_E_2C_8GB_128GB": 1},
    "gracePeriodStarts": 0,
    "notes": [],
}
_ORPHAN: dict[str, Any] = {
    "workflowId": "",
    "cloudPc": {"cloudPcId": "x", "policyId": "x", "userId": USER["id"], "computerName": "PC", "region": "westeurope"},
    "roles": [{"scope": MACHINE_ID, "role": "r", "userId": USER["id"]}],
    "kinds": ["virtualMachine"],
    "findingIds": ["orphan"],
}

RESULTS: dict[str, Any] = {
    "choose_computer_name": {"computerName": "PC"},
    "allocate_capacity": {"vmSize": "Standard_D2as_v5", "zone": None},
    "attach_network": {"subnetId": f"{MACHINE_ID}", "privateIpAddress": "10.0.0.4", "region": "westeurope"},
    "create_virtual_machine": {"id": MACHINE_ID, "privateIpAddress": "10.0.0.4"},
    "join_entra_id": {"deviceId": "device"},
    "wait_for_entra_device": {"deviceId": "device"},
    "enroll_in_intune": {"id": "managed"},
    "assign_primary_user": {"userPrincipalName": USER["userPrincipalName"]},
    "register_session_host": {"hostPool": "hp", "name": "PC"},
    "find_user": {"user": USER},
    "check_sign_in": _CHECKS,
    "check_resource_group": _CHECKS | {"region": "westeurope"},
    **dict.fromkeys(
        ("check_azure_actions", "check_resource_providers", "check_capacity", "check_licenses", "check_single_sign_on"),
        _CHECKS,
    ),
    "audit": {"findings": [], "leftOff": 0, "orphaned": [], "cloudPcs": 1},
    "plan_fleet": _PLAN,
    "reconcile_fleet": {"plan": _PLAN, "isHeld": False},
    "check_room": {"requirements": []},
    "choose_cloud_pcs": {"cloudPcIds": ["a"]},
    "start_wave": None,
    "await_wave": {"reprovisioned": 1, "failed": [], "gone": 0},
}
"""A result of each activity whose result is more than that it is done."""

Answer = Callable[[PollActivityTaskQueueResponse, int], "Result | Failed"]


@dataclass(frozen=True)
class Result:
    """An activity is completed with this JSON."""

    data: bytes


@dataclass(frozen=True)
class Failed:
    """An activity is failed for good, with these details or none."""

    details: bytes | None = None


def right(task: PollActivityTaskQueueResponse, _number: int) -> Result:
    """Complete an activity as its worker would."""
    result = RESULTS.get(task.activity_type.name, _DONE)
    if task.activity_type.name == "audit":
        # What the repair of a test has agreed to; each has a Cloud PC of its own.
        result = result | {"orphaned": [_ORPHAN | {"workflowId": f"remains-{task.workflow_execution.workflow_id}"}]}
    return Result(json.dumps(result).encode())


@dataclass
class Hands:
    """What ends the activities of a queue.

    Attributes:
        client: The server's client.
        task_queue: The queue of the workflows.
        answers: How the activities of a workflow are ended, by the workflow's id; `right` where it is not there.
        seen: Of each activity that was handed out: workflow, name, activity id, queue.

    """

    client: Client
    task_queue: str
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, str, str, str]] = field(default_factory=list)
    _times: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def serve(self, queue: str) -> None:
        """End whatever waits on a queue."""
        while True:
            task = await self.client.workflow_service.poll_activity_task_queue(
                PollActivityTaskQueueRequest(
                    namespace=self.client.namespace, task_queue=TaskQueue(name=queue), identity="hand"
                )
            )
            if task.task_token:
                await self._end(task, queue)

    async def _end(self, task: PollActivityTaskQueueResponse, queue: str) -> None:
        workflow_id, name = task.workflow_execution.workflow_id, task.activity_type.name
        self.seen.append((workflow_id, name, task.activity_id, queue))
        self._times[workflow_id, name] += 1
        # A workflow that removes orphans is begun by another one.
        answer = self.answers.get(workflow_id.removeprefix("remains-"), right)(task, self._times[workflow_id, name])
        common: dict[str, Any] = {
            "namespace": self.client.namespace,
            "workflow_id": workflow_id,
            "run_id": task.workflow_execution.run_id,
            "activity_id": task.activity_id,
            "identity": "hand",
        }
        if isinstance(answer, Result):
            await self.client.workflow_service.respond_activity_task_completed_by_id(
                RespondActivityTaskCompletedByIdRequest(**common, result=Payloads(payloads=[_json(answer.data)]))
            )
            return
        details = Payloads(payloads=[_json(answer.details)]) if answer.details else None
        info = ApplicationFailureInfo(non_retryable=True, details=details)
        await self.client.workflow_service.respond_activity_task_failed_by_id(
            RespondActivityTaskFailedByIdRequest(
                **common, failure=Failure(message="gave up", application_failure_info=info)
            )
        )


def _json(data: bytes) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


@contextlib.asynccontextmanager
async def hands(client: Client) -> AsyncGenerator[Hands]:
    """Serve workflows, and end their activities by hand."""
    made = Hands(client, f"by-hand-{uuid.uuid4()}")
    queues = [service_queue(made.task_queue, service) for service in Service]
    async with Worker(client, task_queue=made.task_queue, workflows=WORKFLOWS):
        serving = [asyncio.create_task(made.serve(queue)) for queue in queues for _ in range(4)]
        try:
            yield made
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)


async def failed_tasks(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Return why workflow tasks of a run have failed."""
    return [
        event.workflow_task_failed_event_attributes.failure.message
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]

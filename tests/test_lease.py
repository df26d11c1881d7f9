"""What a worker does that has stood still, and whose work may be another one's."""

import asyncio
import contextlib
import dataclasses
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from cloud.execution import context, lease
from cloud.execution.heartbeat import heartbeats
from tests.attempt import environment, inside_boundary


async def _stands_still(seconds: float) -> None:
    with context.begin():
        await _stands_still_in_an_attempt(seconds)


async def _stands_still_in_an_attempt(seconds: float) -> None:
    async with heartbeats():
        await asyncio.sleep(0)
        lease.require("PUT")
        # As a suspended process does: nothing in it runs.
        time.sleep(seconds)
        # What an answer that came meanwhile takes until the code behind it runs.
        for _ in range(10):
            await asyncio.sleep(0)
        lease.require("GET")
        lease.require("PUT")


async def test_a_process_that_wakes_up_does_not_renew_it() -> None:
    with pytest.raises(lease.LeaseExpiredError):
        await environment(heartbeat_timeout=timedelta(seconds=0.5)).run(_stands_still, 0.2)


async def test_a_short_halt_leaves_it() -> None:
    await environment(heartbeat_timeout=timedelta(minutes=1)).run(_stands_still, 0.2)


async def _attempt_at(client: Client, task_queue: str) -> ActivityEnvironment:
    """Take an attempt from the server, and begin with it two seconds late."""
    task = await client.workflow_service.poll_activity_task_queue(
        PollActivityTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=task_queue))
    )
    made = ActivityEnvironment(client=client)
    made.info = dataclasses.replace(
        environment(heartbeat_timeout=timedelta(seconds=1)).info,
        task_token=task.task_token,
        started_time=datetime.now(UTC) - timedelta(seconds=2),
    )
    return made


async def test_an_attempt_that_waited_in_the_socket_of_a_worker_that_stood_still_does_nothing(
    temporal_client: Client,
) -> None:
    queue = str(uuid.uuid4())
    await temporal_client.start_activity(
        "step",
        id=queue,
        task_queue=queue,
        start_to_close_timeout=timedelta(minutes=1),
        heartbeat_timeout=timedelta(seconds=1),
        retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=1)),
    )
    late, current = await _attempt_at(temporal_client, queue), await _attempt_at(temporal_client, queue)
    done: list[ActivityEnvironment] = []

    async def work(attempt: ActivityEnvironment) -> None:
        done.append(attempt)

    with pytest.raises(ApplicationError, match="came late"):
        await inside_boundary(partial(work, late), late)
    await inside_boundary(partial(work, current), current)
    assert done == [current]


@pytest.mark.parametrize(("lateness", "ends"), [(0.0, False), (0.6, True)])
async def test_an_attempt_that_came_late_has_less_time(lateness: float, ends: bool) -> None:
    attempt = environment()
    attempt.info = dataclasses.replace(
        attempt.info,
        started_time=datetime.now(UTC) - timedelta(seconds=lateness),
        start_to_close_timeout=timedelta(seconds=2),
    )

    async def work() -> None:
        await asyncio.sleep(1.6)
        lease.require("PUT")

    with pytest.raises(ApplicationError, match="stood still") if ends else contextlib.nullcontext():
        await inside_boundary(work, attempt)

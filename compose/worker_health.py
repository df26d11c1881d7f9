"""Whether this container's worker serves: Temporal has lately seen it ask for tasks. For a health check."""

import asyncio
import socket
import sys
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from workflows.connection import ConnectionFailedError, connect
from workflows.plugin import TASK_QUEUE
from workflows.process import end_process

_LATELY = timedelta(minutes=2)
"""A worker that waits for tasks asks again every minute."""


async def problem() -> str | None:
    """Return why the worker does not serve, or None when it does."""
    try:
        client = await connect()
        for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
            answer = await client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=client.namespace, task_queue=TaskQueue(name=TASK_QUEUE), task_queue_type=kind
                )
            )
            # A worker is known as `pid@host`.
            seen = [
                poller.last_access_time.ToDatetime(tzinfo=UTC)
                for poller in answer.pollers
                if poller.identity.endswith(f"@{socket.gethostname()}")
            ]
            if not seen or max(seen) < datetime.now(UTC) - _LATELY:
                return f"{TaskQueueType.Name(kind)} {TASK_QUEUE} has not been asked for tasks from here"
    except (ConnectionFailedError, RPCError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    found = asyncio.run(problem())
    print(found or "serving", file=sys.stderr if found else sys.stdout)
    end_process(1 if found else 0)

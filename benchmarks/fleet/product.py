"""The product: a policy is applied to a group of licensed users, and all of them get their Cloud PC."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from benchmarks.fleet.stack import SERVICE_PLAN, Stack
from contract import search_attributes
from workflows.plugin import PLUGIN

PROVISIONED = f'{search_attributes.RUNNING} AND {search_attributes.STATUS.name}="provisioned"'
_PROCESSES = ("temporal", "worker", "simulator")
_SAMPLE = 20
"""How many Cloud PCs' histories are read."""


async def provision_fleet(
    stack: Stack, users: int, meanwhile: Callable[[Client], Awaitable[None]] | None = None
) -> dict[str, Any]:
    """Apply the policy and return what it took until every user had a Cloud PC.

    `progress` has how many were provisioned at which time, seconds since 1970.

    Args:
        stack: It is up.
        users: Members of the group.
        meanwhile: What else is done until then.

    """
    client = await Client.connect(stack.address, plugins=[PLUGIN])
    policy = stack.write_policy(stack.add_users(users))
    requests, cpu, resident = stack.requests(), stack.cpu(*_PROCESSES), stack.resident("worker")
    began = time.time()
    apply = await asyncio.create_subprocess_exec(
        *(sys.executable, "starter.py", "apply", str(policy)), env=stack.environment, stdout=asyncio.subprocess.DEVNULL
    )
    if await apply.wait():
        raise RuntimeError("starter.py apply failed")
    work = asyncio.ensure_future(meanwhile(client)) if meanwhile else None
    progress = [(began, 0)]
    while (done := (await client.count_workflows(PROVISIONED)).count) < users:
        if time.time() - began > 60 + 3 * users:
            raise RuntimeError(f"{done} of {users} are provisioned after {time.time() - began:.0f} s")
        if done - progress[-1][1] >= users / 100:
            progress.append((time.time(), done))
        await asyncio.sleep(0.5)
    progress.append((time.time(), users))
    fleet = {"users": users, "wall_s": time.time() - began, "progress": progress}
    if work:
        await work
        # The worker is another process by now.
        return {**fleet, **_machines(stack, users, began)}
    used = {name: 1000 * (after - cpu[name]) / users for name, after in stack.cpu(*_PROCESSES).items()}
    spent = stack.requests() - requests
    return {
        **fleet,
        "cpu_ms_per_cloud_pc": {**used, "all": sum(used.values())},
        "worker_mib_idle": resident,
        "worker_mib_per_1000": 1000 * (stack.resident("worker") - resident) / users,
        "requests_per_cloud_pc": {kind: number / users for kind, number in sorted(spent.items())},
        **_machines(stack, users, began),
        **await _histories(client),
    }


async def provision_one(stack: Stack) -> float:
    """Provision one user's Cloud PC and return the seconds from the workflow's start to `provisioned`."""
    client = await Client.connect(stack.address, plugins=[PLUGIN])
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "starter.py", "provision", str(stack.write_policy())),
        *("--user", "ada@contoso.com", "--service-plan", SERVICE_PLAN, "--wait"),
        env=stack.environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await done.wait():
        raise RuntimeError("starter.py provision failed")
    start, end = None, None
    async for execution in client.list_workflows():
        handle = client.get_workflow_handle(execution.id)
        async for event in handle.fetch_history_events():
            time = event.event_time.ToDatetime()
            start = min(start or time, time)
            if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                # The last one says `provisioned`.
                end = max(end or time, time)
    if start is None or end is None:
        raise RuntimeError("nothing was provisioned")
    return (end - start).total_seconds()


def _machines(stack: Stack, users: int, began: float) -> dict[str, Any]:
    """Return when the first and the last virtual machine was asked for, seconds; each once, or it is an error."""
    asked: dict[str, list[float]] = {}
    for entry in stack.simulator("GET", "ledger"):
        path: str = entry["path"]
        if entry["method"] == "PUT" and path.split("/")[-2] == "virtualMachines" and entry["effect"] == "created":
            asked.setdefault(path, []).append(datetime.fromisoformat(entry["time"]).timestamp() - began)
    machines = stack.simulator("GET", "inventory")["resources"]["Microsoft.Compute/virtualMachines"]
    if len(machines) != users or len(asked) != users or any(len(times) > 1 for times in asked.values()):
        raise RuntimeError(
            f"{len(machines)} machines of {users} users, asked for {sum(map(len, asked.values()))} times"
        )
    times = sorted(time for times in asked.values() for time in times)
    return {"first_vm_s": times[0], "last_vm_s": times[-1]}


async def _histories(client: Client) -> dict[str, float]:
    events, size = list[int](), list[int]()
    async for execution in client.list_workflows(PROVISIONED, page_size=_SAMPLE):
        described = (await client.get_workflow_handle(execution.id).describe()).raw_description
        events.append(described.workflow_execution_info.history_length)
        size.append(described.workflow_execution_info.history_size_bytes)
        if len(events) == _SAMPLE:
            break
    return {"history_events": statistics.median(events), "history_kb": statistics.median(size) / 1000}

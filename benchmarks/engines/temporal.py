"""The sixteen steps on Temporal: the dev server as the product runs it, the steps on a queue of their own."""

import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from os import getpid
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.engines.measure import STEPS, Engine, free_port, main, server, step_input, step_result
    from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL

_WORKFLOWS, _STEPS = "workflows", "steps"
_DURABILITY = (
    "SQLite, journal_mode=WAL, synchronous=NORMAL, the product's setting: each event is in the operating system's "
    "hands before the next step, which outlives every process, and on the disk only at a checkpoint; a power failure "
    "may lose the last steps. 1 to 2 fsyncs per workflow, none awaited by a step. The stock dev server syncs every "
    "transaction."
)


@activity.defn
async def step(given: dict[str, Any]) -> dict[str, Any]:
    """Do nothing, and say so."""
    return step_result(given)


@workflow.defn
class Steps:
    """The steps, one after the other."""

    @workflow.run
    async def run(self, workflow_id: str) -> int:
        """Return how many results there are."""
        results = [
            await workflow.execute_activity(
                step,
                step_input(workflow_id, number),
                task_queue=_STEPS,
                start_to_close_timeout=timedelta(minutes=1),
            )
            for number in range(STEPS)
        ]
        return len(results)


@asynccontextmanager
async def _open(directory: Path, _cache: Path) -> AsyncGenerator[Engine]:
    address = f"127.0.0.1:{(port := free_port())}"
    command = [
        *(str(TEMPORAL), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)),
        *("--ui-port", str(free_port()), "--log-level", "error"),
        *("--db-filename", str(directory / "temporal.db")),
        *DEV_SERVER_ARGUMENTS,
    ]

    async def is_ready() -> bool:
        health = [str(TEMPORAL), "operator", "cluster", "health", "--address", address]
        return subprocess.run(health, capture_output=True, check=False).returncode == 0  # noqa: S603, ASYNC221

    async with server(command, directory / "server.log", is_ready) as server_pid:
        client = await Client.connect(address)

        async def run(workflow_id: str) -> int:
            return await client.execute_workflow(Steps.run, workflow_id, id=workflow_id, task_queue=_WORKFLOWS)

        async with (
            Worker(client, task_queue=_WORKFLOWS, workflows=[Steps]),
            Worker(client, task_queue=_STEPS, activities=[step]),
        ):
            yield Engine(_version(), _DURABILITY, run, {"server": server_pid, "worker": getpid()})


def _version() -> str:
    cli = subprocess.run([str(TEMPORAL), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return f"{cli.stdout.strip()}, temporalio {version('temporalio')}"


if __name__ == "__main__":
    main(_open)

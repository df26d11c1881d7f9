"""The sixteen steps on DBOS: a library in the worker, with the SQLite system database that it comes with."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from os import getpid
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from benchmarks.engines.measure import STEPS, Engine, main, step_input, step_result

_DURABILITY = (
    "SQLite as DBOS opens it, with SQLite's defaults journal_mode=DELETE, synchronous=FULL: each result is a "
    "transaction that is on the disk before the next step, 4 fsyncs each, 72 per workflow, and none is shared between "
    "workflows. What the steps are given is not stored, only what they return."
)


@DBOS.step()
async def step(given: dict[str, Any]) -> dict[str, Any]:
    """Do nothing, and say so."""
    return step_result(given)


@DBOS.workflow()
async def steps(workflow_id: str) -> int:
    """Do the steps, one after the other, and return how many results there are."""
    results = [await step(step_input(workflow_id, number)) for number in range(STEPS)]
    return len(results)


async def _run(workflow_id: str) -> int:
    with SetWorkflowID(workflow_id):
        handle = await DBOS.start_workflow_async(steps, workflow_id)
    return await handle.get_result()


@asynccontextmanager
async def _open(directory: Path, _cache: Path) -> AsyncGenerator[Engine]:
    DBOS(
        config={
            "name": "engines",
            "system_database_url": f"sqlite:///{directory / 'dbos.sqlite'}",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    try:
        versions = f"dbos {version('dbos')}, SQLite {sqlite3.sqlite_version}"
        yield Engine(versions, _DURABILITY, _run, {"worker": getpid()})
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main(_open)

"""The sixteen steps on Restate: its server from npm, and a worker that the server calls over HTTP/2."""

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from os import getpid
from pathlib import Path
from typing import Any

import httpx
import restate
from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType]
from hypercorn.config import Config

from benchmarks.engines.measure import STEPS, Engine, free_port, main, server, step_input, step_result

_SERVER = "1.7.12"
_DURABILITY = (
    "One node with Restate's defaults: each result is appended to a log with one replica (RocksDB), whose write-ahead "
    "log is on the disk before the next step (log-server.rocksdb-disable-wal-fsync=false): 2 fsyncs per step, 35 per "
    "workflow alone, shared by what is waiting at the time, so fewer in a fleet. What the steps are given is not "
    "stored, only what they return."
)

_workflow = restate.Workflow("Steps")


async def step(given: dict[str, Any]) -> dict[str, Any]:
    """Do nothing, and say so."""
    return step_result(given)


@_workflow.main()
async def run(context: restate.WorkflowContext) -> int:
    """Do the steps, one after the other, and return how many results there are."""
    results = [
        await context.run_typed(f"step {number}", step, given=step_input(context.key(), number))
        for number in range(STEPS)
    ]
    return len(results)


@asynccontextmanager
async def _open(directory: Path, cache: Path) -> AsyncGenerator[Engine]:
    node, ingress, admin, worker = (f"127.0.0.1:{free_port()}" for _ in range(4))
    environment = {
        "RESTATE_BIND_ADDRESS": node,
        "RESTATE_INGRESS__BIND_ADDRESS": ingress,
        "RESTATE_ADMIN__BIND_ADDRESS": admin,
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "error",
    }
    command = [str(_server_binary(cache)), "--no-logo", "--base-dir", str(directory / "restate")]
    # The fleet may take long, and each of its workflows has a connection.
    async with httpx.AsyncClient(timeout=None, limits=httpx.Limits()) as client:  # noqa: S113

        async def is_ready() -> bool:
            try:
                answers = [
                    await client.get(f"http://{admin}/health"),
                    await client.get(f"http://{ingress}/restate/health"),
                ]
            except httpx.TransportError:
                return False
            return all(answer.is_success for answer in answers)

        async def run_one(workflow_id: str) -> int:
            answer = await client.post(f"http://{ingress}/Steps/{workflow_id}/run")
            return answer.raise_for_status().json()

        async with (
            _worker(worker),
            server(command, directory / "server.log", is_ready, environment) as server_pid,
        ):
            registered = await client.post(f"http://{admin}/deployments", json={"uri": f"http://{worker}"})
            registered.raise_for_status()
            versions = f"restate-server {_SERVER}, restate-sdk {version('restate-sdk')}"
            yield Engine(versions, _DURABILITY, run_one, {"server": server_pid, "worker": getpid()})


@asynccontextmanager
async def _worker(address: str) -> AsyncGenerator[None]:
    config, stop = Config(), asyncio.Event()
    config.bind = [address]
    config.loglevel = "ERROR"
    app: Any = restate.app([_workflow])
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        yield
    finally:
        stop.set()
        await serving


def _server_binary(cache: Path) -> Path:
    """Return the server's binary, installed into the cache if it is not there."""
    prefix, pattern = cache / f"restate-{_SERVER}", "node_modules/@restatedev/restate-server-*/bin/restate-server"
    if not any(prefix.glob(pattern)):
        prefix.mkdir(parents=True, exist_ok=True)
        package = f"@restatedev/restate-server@{_SERVER}"
        subprocess.run(  # noqa: S603
            ["npm", "install", "--prefix", str(prefix), "--ignore-scripts", "--no-audit", "--no-fund", package],  # noqa: S607
            check=True,
            capture_output=True,
        )
    return next(prefix.glob(pattern))


if __name__ == "__main__":
    main(_open)

"""What the engines have in common: the sixteen steps, and how runs of them are measured.

Each engine has one Python process, the worker, that also starts the workflows; a server stands beside it where the
engine has one. CPU time and memory are read from `/proc`: Linux only.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_seconds, peak_mib

STEPS = 16
"""Steps of a workflow, as many as a Cloud PC's way has."""

_WARM_UPS, _SINGLE_RUNS, _SYNCS = 3, 7, 20


@dataclass(frozen=True)
class Engine:
    """An engine that is up and has a worker.

    Attributes:
        version: Of its server and its SDK.
        durability: When what it stores is safe, and from what.
        run: Runs the workflow with the given identifier to its end and returns how many results it has.
        processes: Process identifiers by what the process is.

    """

    version: str
    durability: str
    run: Callable[[str], Awaitable[int]]
    processes: Mapping[str, int]


OpenEngine = Callable[[Path, Path], AbstractAsyncContextManager[Engine]]
"""Opens an engine that keeps its data in the first directory and what it downloads in the second."""


def step_input(workflow_id: str, number: int) -> dict[str, Any]:
    """Return a step's input, 0.4 kB of JSON."""
    return {
        "cloudPcId": workflow_id,
        "step": number,
        "userPrincipalName": "ada.lovelace@contoso.onmicrosoft.com",
        "computerName": f"CPC-ada-{number:05}",
        "servicePlan": "CPC_E_2C_8GB_128GB",
        "resourceGroup": "rg-cloud-pc-westeurope",
        "subnetId": "/subscriptions/0b1f6f9e-3c1c-4a54-9a59-2d6a7f1c8e11/resourceGroups/rg-network"
        "/providers/Microsoft.Network/virtualNetworks/vnet-cloud-pc/subnets/cloud-pcs",
    }


def step_result(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step's result, 0.2 kB of JSON: all that the step does."""
    return {
        "step": given["step"],
        "status": "succeeded",
        "resourceId": "/subscriptions/0b1f6f9e-3c1c-4a54-9a59-2d6a7f1c8e11/resourceGroups/rg-cloud-pc-westeurope"
        f"/providers/Microsoft.Compute/virtualMachines/{given['computerName']}",
    }


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def server(
    command: list[str], log: Path, is_ready: Callable[[], Awaitable[bool]], environment: Mapping[str, str] | None = None
) -> AsyncGenerator[int]:
    """Run a server until the body ends, and yield its process identifier once it is ready.

    Raises:
        RuntimeError: It ended, or was not ready within a minute.

    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **(environment or {})}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 60
        while not await is_ready():
            if process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start:\n{_end(log)}")
            await asyncio.sleep(0.1)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def main(open_engine: OpenEngine) -> None:
    """Measure an engine as the command line asks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workflows", type=int, default=100, help="started at once as the fleet")
    parser.add_argument("--cache", type=Path, help="folder that keeps what the engine downloads")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        directory = Path(name)
        result = asyncio.run(_measure(open_engine, directory, arguments.cache or directory, arguments.workflows))
    print(json.dumps(result, indent=None if arguments.json else 2))


async def _measure(open_engine: OpenEngine, directory: Path, cache: Path, workflows: int) -> dict[str, Any]:
    fsync_ms = _fsync_ms(directory)
    async with open_engine(directory, cache) as engine:
        for number in range(_WARM_UPS):
            await _timed(engine, [f"warm-up-{number}"])
        single = [1000 * await _timed(engine, [f"single-{number}"]) for number in range(_SINGLE_RUNS)]
        before = {name: cpu_seconds(pid) for name, pid in engine.processes.items()}
        wall = await _timed(engine, [f"fleet-{number}" for number in range(workflows)])
        cpu = {name: round(cpu_seconds(pid) - before[name], 2) for name, pid in engine.processes.items()}
        peak = {name: peak_mib(pid) for name, pid in engine.processes.items()}
    return {
        "version": engine.version,
        "latency_ms": {
            "median": round(statistics.median(single), 1),
            "min": round(min(single), 1),
            "max": round(max(single), 1),
        },
        "fleet": {
            "workflows": workflows,
            "wall_s": round(wall, 2),
            "per_s": round(workflows / wall, 1),
            "cpu_s_by_process": cpu,
            "peak_mib_by_process": peak,
        },
        "fsync_ms": fsync_ms,
        "durability": engine.durability,
    }


async def _timed(engine: Engine, workflow_ids: list[str]) -> float:
    """Return the seconds that the workflows take when started at once."""
    started = time.perf_counter()
    results = await asyncio.gather(*map(engine.run, workflow_ids))
    seconds = time.perf_counter() - started
    if set(results) != {STEPS}:
        raise RuntimeError(f"workflows ended with {sorted(set(results))} results, not {STEPS}")
    return seconds


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-2000:]


def _fsync_ms(directory: Path) -> float:
    """Return what it costs here to get 4 kB onto the disk: without it, the engines' figures say little."""
    seconds: list[float] = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return round(1000 * statistics.median(seconds), 2)

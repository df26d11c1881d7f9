"""What a fleet costs: `python -m benchmarks.fleet RESULTS.json`, and again where something ended it.

Everything that is compared is measured in one round, on the same machine one after the other; rounds are repeated, and
every figure is the median of its rounds. The document is written after each measurement, and what it has is not
measured again.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from temporalio.client import Client

from benchmarks.fleet.product import PROVISIONED, provision_fleet, provision_one
from benchmarks.fleet.stack import Stack
from local_stack import TEMPORAL
from simulator.fault_plan import RATES
from simulator.faults import FaultKind
from workflows.process import end_process

_LIVING = 30.0
"""How many times faster than Azure the cloud is of which one Cloud PC's critical path takes about 30 s."""
_COMPARED = 500
_STORM, _STORM_SECONDS = {**dict.fromkeys(RATES, 0.0), FaultKind.THROTTLE_STORM: 1.0}, 30
"""Every request to Azure and Graph is refused with 429, for so long."""
_BARE, _FLOOR = "benchmarks.fleet.bare", "benchmarks.fleet.floor"
_CONNECT = """
import asyncio, os
from temporalio.client import Client
asyncio.run(Client.connect(os.environ['TEMPORAL_ADDRESS']))
"""


def _one(speed: float) -> dict[str, Any]:
    """One Cloud PC, by the bare script and by the product, each in a new cloud."""
    with _simulator(speed) as stack:
        bare = stack.run(_BARE)["wall_s"]
    with Stack(speed=speed) as stack:
        product = asyncio.run(provision_one(stack))
    return {"bare_s": bare, "product_s": product, "overhead_ms": 1000 * (product - bare), "ratio": product / bare}


def _fleet(users: int) -> dict[str, Any]:
    with Stack() as stack:
        return asyncio.run(provision_fleet(stack, users))


def _against_floors(users: int) -> dict[str, Any]:
    """A fleet, against the sum of the engine's floor and the bare script's."""
    with _simulator() as stack:
        stack.start_temporal()
        floor = stack.run(_FLOOR, "--workflows", str(users))["wall_s"]
    with _simulator() as stack:
        group, before = stack.add_users(users), stack.requests()
        bare = stack.run(_BARE, "--group", group)["wall_s"]
        requests = {kind: number / users for kind, number in sorted((stack.requests() - before).items())}
    fleet = _fleet(users)
    return {
        **fleet,
        "floor_s": floor,
        "bare_s": bare,
        "ratio": fleet["wall_s"] / (floor + bare),
        "bare_requests_per_cloud_pc": requests,
    }


def _large(users: int) -> dict[str, Any]:
    """A large fleet, and what an admin waits for when looking at it."""
    with Stack() as stack:
        fleet = asyncio.run(provision_fleet(stack, users))
        commands = {
            "connect": (sys.executable, "-c", _CONNECT),
            "--help": (sys.executable, "starter.py", "--help"),
            "status": (sys.executable, "starter.py", "status", asyncio.run(_any_cloud_pc(stack))),
            "list": (sys.executable, "starter.py", "list"),
        }
        milliseconds = {
            name: statistics.median(1000 * stack.timed(*command) for _ in range(5))
            for name, command in commands.items()
        }
    return {**fleet, "commands_ms": milliseconds}


def _disturbed(users: int) -> dict[str, Any]:
    """A large fleet whose worker is killed twice, while a storm of 429 goes over the cloud."""
    with Stack() as stack:

        async def disturb(client: Client) -> None:
            await _until(client, users // 10)
            await kill_worker()
            await _until(client, users // 4)
            storm.append(time.time())
            stack.simulator("POST", "fault-plan", {"seed": 1, "rates": _STORM})
            await asyncio.sleep(_STORM_SECONDS)
            struck.update(stack.simulator("GET", "fault-plan"))
            stack.simulator("DELETE", "fault-plan")
            storm.append(time.time())
            await _until(client, users // 2)
            await kill_worker()

        async def kill_worker() -> None:
            kills.append(time.time())
            stack.kill_worker()
            await asyncio.to_thread(stack.start_worker)

        kills, storm, struck = list[float](), list[float](), dict[str, int]()
        fleet = asyncio.run(provision_fleet(stack, users, disturb))
        return {**fleet, "kills": kills, "storm": storm, "struck": struck}


async def _until(client: Client, provisioned: int) -> None:
    while (await client.count_workflows(PROVISIONED)).count < provisioned:
        await asyncio.sleep(0.5)


async def _any_cloud_pc(stack: Stack) -> str:
    client = await Client.connect(stack.address)
    return await anext(execution.id async for execution in client.list_workflows(PROVISIONED))


@contextlib.contextmanager
def _simulator(speed: float | None = None) -> Any:
    """Run the simulated cloud only."""
    stack = Stack() if speed is None else Stack(speed=speed)
    try:
        stack.start_simulator()
        yield stack
    finally:
        stack.stop()


def _machine() -> dict[str, str]:
    cli = subprocess.run([str(TEMPORAL), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return {
        "python": platform.python_version(),
        "temporal": cli.stdout.strip(),
        **{name: version(name) for name in ("temporalio", "azure-mgmt-compute", "msgraph-sdk")},
        "processor": f"{len(_cpus())} × {_cpus()[0]}",
    }


def _cpus() -> list[str]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]


def _median(values: list[Any]) -> Any:
    """Return the median of numbers; of documents, one with the medians of their fields that are not lists of times."""
    if isinstance(values[0], dict):
        names = [name for name, value in values[0].items() if not isinstance(value, list)]
        return {name: _median([value.get(name, 0) for value in values]) for name in names}
    return statistics.median(values)


def main() -> int:
    """Measure what the document does not have yet, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("results", type=Path, help="JSON document, read if it exists")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=2000, help="users of the largest fleet")
    parser.add_argument("--only", action="append", help="name of a measurement, such as one or 500; all by default")
    arguments = parser.parse_args()
    results: Path = arguments.results
    measurements: dict[str, Callable[[], dict[str, Any]]] = {
        "one": lambda: _one(_LIVING),
        "100": lambda: _fleet(100),
        str(_COMPARED): lambda: _against_floors(_COMPARED),
        str(arguments.large): lambda: _large(arguments.large),
        "disturbed": lambda: _disturbed(arguments.large),
    }
    document: dict[str, Any] = {"machine": _machine(), "rounds": {}}
    if results.exists():
        document = json.loads(results.read_text(encoding="utf-8"))
    for number in range(arguments.rounds):
        for name, measure in measurements.items():
            rounds: list[dict[str, Any]] = document["rounds"].setdefault(name, [])
            is_wanted = not arguments.only or name in arguments.only
            if is_wanted and len(rounds) <= number and (name != "disturbed" or number == 0):
                rounds.append(measure())
                print(f"{name}, round {number + 1}: {json.dumps(rounds[-1])}", file=sys.stderr, flush=True)
                document["medians"] = {name: _median(each) for name, each in document["rounds"].items() if each}
                results.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    end_process(main())

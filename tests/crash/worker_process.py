"""The worker as a process that can be killed, frozen and thawed.

Processes are forked from one that has imported everything, since importing the SDKs takes seconds.
"""

import asyncio
import dataclasses
import functools
import itertools
import multiprocessing
import os
import re
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.worker import Worker

import worker
from contract.activity import StepPolicy
from workflows import runner

TIME_SCALE = 20
"""How many times shorter the product's own timeouts and retry intervals are here."""
HEARTBEAT_TIMEOUT = runner.HEARTBEAT_TIMEOUT.total_seconds() / TIME_SCALE
"""Real seconds of silence after which a worker counts as dead."""
STICKY_TIMEOUT = timedelta(seconds=1)
WORKFLOW_TASK_TIMEOUT = timedelta(seconds=2)


def scale_time() -> None:
    """Make every timeout and interval of the activities `TIME_SCALE` times shorter, in this process."""
    options_of, policy = runner.options_of, runner.RETRY_POLICY
    assert policy.maximum_interval
    scaled = dataclasses.replace(
        policy,
        initial_interval=policy.initial_interval / TIME_SCALE,
        maximum_interval=policy.maximum_interval / TIME_SCALE,
    )

    def scaled_options_of(step_policy: StepPolicy) -> workflow.ActivityConfig:
        options = options_of(step_policy)
        for name in ("start_to_close_timeout", "schedule_to_close_timeout", "heartbeat_timeout"):
            if timeout := options.get(name):
                options[name] = timeout / TIME_SCALE
        options["retry_policy"] = scaled
        return options

    runner.options_of = scaled_options_of


def _serve(environment: dict[str, str], task_queue: str, log: Path) -> None:
    os.environ |= environment
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    scale_time()
    worker.make_worker = functools.partial(worker.make_worker, task_queue=task_queue)
    worker.Worker = functools.partial(Worker, sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT)
    worker.end_process(asyncio.run(worker.serve()))


class WorkerProcesses:
    """The workers of one run.

    Args:
        environment: Environment variables of the worker.
        task_queue: Task queue that they serve.
        log: File that they all write to.

    Attributes:
        running: Those that run, by their number.
        frozen: Those that stand still, by their number.

    """

    def __init__(self, environment: dict[str, str], task_queue: str, log: Path) -> None:
        self.task_queue = task_queue
        self._environment, self._log = environment, log
        self._context = multiprocessing.get_context("forkserver")
        self._numbers = itertools.count(1)
        self.running: dict[int, Any] = {}
        self.frozen: dict[int, Any] = {}

    def start(self) -> None:
        """Start one more worker."""
        number = next(self._numbers)
        # By which the requests to Azure tell who sent them.
        environment = self._environment | {"AZURE_HTTP_USER_AGENT": f"worker-{number}"}
        process = self._context.Process(target=_serve, args=(environment, self.task_queue, self._log), daemon=True)
        process.start()
        self.running[number] = process

    def sender_of(self, user_agent: str) -> int | None:
        """Return the number of the running worker that sent a request, or of any where the request does not tell."""
        found = re.search(r"worker-(\d+)", user_agent)
        number = int(found[1]) if found else next(iter(self.running), None)
        return number if number in self.running else None

    def kill(self, number: int) -> None:
        """Let a worker die as if the power went."""
        self.running.pop(number).kill()

    def freeze(self, number: int) -> None:
        """Let a worker stand still, as a suspended virtual machine does."""
        process = self.frozen[number] = self.running.pop(number)
        os.kill(process.pid, signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """Let a worker go on in the middle of what it did."""
        process = self.running[number] = self.frozen.pop(number)
        os.kill(process.pid, signal.SIGCONT)

    def revive(self, wanted: int) -> None:
        """See that as many workers run as are wanted, as a supervisor does: one may have ended by itself."""
        self.running = {number: process for number, process in self.running.items() if process.is_alive()}
        for _ in range(wanted - len(self.running)):
            self.start()

    def stop(self) -> None:
        """End them all."""
        left = [*self.running.values(), *self.frozen.values()]
        for process in left:
            process.kill()
        for process in left:
            process.join(10)


def prepare() -> None:
    """Start the process that workers are forked from, with everything imported that takes time."""
    multiprocessing.set_forkserver_preload(["tests.crash.preload"])
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=sys.exit)
    process.start()
    process.join()

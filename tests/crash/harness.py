"""Runs a scenario: a simulated cloud under a fault plan, workers and a server that die, then peace, then judgement."""

import asyncio
import contextlib
import math
import socket
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trustme
from aiohttp import web
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from contract import search_attributes
from domain.status import is_settled
from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL
from models.cloud_pc import CloudPc, CloudPcRequest, CloudPcStatus, User
from models.documents import load_service_plans
from models.provisioning_policy import UserAccountType
from simulator import cloud as simulated
from simulator.active_directory import JOIN_PASSWORD
from simulator.cloud import Cloud
from simulator.fault_plan import FaultPlan
from simulator.server import SimulatorServer
from tests.conftest import allow_list
from tests.crash.invariants import broken
from tests.crash.scenario import Blow, CloudPcPlan, Scenario, Wished
from tests.crash.worker_process import HEARTBEAT_TIMEOUT, WORKFLOW_TASK_TIMEOUT, WorkerProcesses
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, SETTLED, Handle
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.plugin import PLUGIN

_T = TypeVar("_T")

REQUEST_TIMEOUT = 3.0
"""Real seconds that a request may take."""
IDLE_SECONDS = 8
"""Real seconds without a request after which none is waited for."""
FAULT_SECONDS = 90
"""Real seconds that faults last at most."""
CONVERGENCE_SECONDS = 120
"""Real seconds in which everything must have come to rest when the faults are over."""


class DevServer:
    """A Temporal dev server on a database file, which can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._port: int = listener.getsockname()[1]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; its database is as it was."""
        with (self._directory / "temporal.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(TEMPORAL), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(self._port)),
                    *("--headless", "--log-level", "error", "--db-filename", str(self._directory / "temporal.db")),
                    *DEV_SERVER_ARGUMENTS,
                ],
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Let it die as if the power went."""
        assert self._process
        self._process.kill()
        self._process.wait()


@dataclass
class Outcome:
    """What came of a scenario."""

    broken: list[str]
    fired: Counter[str] = field(default_factory=Counter)
    statuses: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Stack:
    """A Temporal server and a client of it, on which scenarios run one after the other."""

    def __init__(self, directory: Path, authority: trustme.CA, server: DevServer, client: Client) -> None:
        self.directory = directory
        self.authority = authority
        self.server = server
        self.client = client


@asynccontextmanager
async def running_stack(directory: Path, authority: trustme.CA) -> AsyncGenerator[Stack, None]:
    """Start a Temporal server; everything it writes goes into the directory."""
    server = DevServer(directory)
    server.start()
    try:
        client = await patiently(lambda: Client.connect(server.address, plugins=[PLUGIN], identity="harness"))
        yield Stack(directory, authority, server, client)
    finally:
        server.kill()


async def patiently(call: Callable[[], Awaitable[_T]], seconds: float = 30) -> _T:
    """Make a call to the server until it answers, for the server may be dead just now.

    Raises:
        RPCError: It refuses, or does not answer in time.

    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except (RPCError, RuntimeError) as error:
            refused = isinstance(error, RPCError) and error.status in (
                RPCStatusCode.NOT_FOUND,
                RPCStatusCode.INVALID_ARGUMENT,
            )
            if refused or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.4)


class Run:
    """One scenario on a stack.

    Attributes:
        server: The simulated cloud's server.
        cloud: The simulated cloud.
        workers: The worker processes.
        struck: How often each blow struck.

    """

    def __init__(self, stack: Stack, scenario: Scenario, server: SimulatorServer, workers: WorkerProcesses) -> None:
        self._stack, self._scenario, self.workers = stack, scenario, workers
        self.server, self.cloud, self._client = server, server.cloud, stack.client
        self._queue = workers.task_queue
        self._strikes = list(scenario.strikes)
        self._requests = 0
        self._last_request = math.inf
        self._passed = 0
        self._struck: web.Request | None = None
        self._thaws: set[asyncio.Task[None]] = set()
        self._restarting: asyncio.Task[None] | None = None
        self.struck: Counter[str] = Counter()

    async def watch(self, moment: str, request: web.Request) -> None:
        """Strike at the requests and moments of the scenario; the simulated cloud calls it."""
        if moment == "before":
            self._requests += 1
            self._last_request = time.monotonic()
        if not self._strikes:
            return
        strike = self._strikes[0]
        if moment == "before":
            self._passed += 1
            if self._passed >= strike.requests and self._struck is None:
                self._struck = request
        if self._struck is request and moment == strike.moment:
            self._strikes.pop(0)
            self._passed, self._struck = 0, None
            self.strike(strike.blow, request)

    def strike(self, blow: Blow, request: web.Request) -> None:
        """Strike who sent the request, or the Temporal server."""
        if blow == "kill server":
            if self._restarting is None or self._restarting.done():
                self._restarting = asyncio.create_task(self._restart_server())
                self.struck[blow] += 1
            return
        number = self.workers.sender_of(request.headers.get("User-Agent", ""))
        if number is None:
            return
        self.struck[blow] += 1
        if blow == "kill worker":
            self.workers.kill(number)
        else:
            self.workers.freeze(number)
            task = asyncio.create_task(self._thaw(number))
            self._thaws.add(task)
        self.workers.start()

    async def _restart_server(self) -> None:
        await asyncio.to_thread(self._stack.server.kill)
        await asyncio.sleep(0.3)
        self._stack.server.start()

    async def _thaw(self, number: int) -> None:
        # Longer than the server takes to give the work to somebody else.
        await asyncio.sleep(2.5 * HEARTBEAT_TIMEOUT)
        self.workers.thaw(number)

    async def until_request(self, number: int) -> None:
        """Wait until so many requests have come to the cloud, or none comes any more, or it has been long enough."""
        end = time.monotonic() + FAULT_SECONDS
        while self._requests < number and time.monotonic() < min(end, self._last_request + IDLE_SECONDS):
            await asyncio.sleep(0.05)

    async def supervise(self) -> None:
        """Start a worker in place of one that has ended by itself."""
        while True:
            await asyncio.sleep(0.5)
            self.workers.revive(self._scenario.workers)

    async def live(self, plan: CloudPcPlan) -> None:
        """Start a Cloud PC and send what is wished of it."""
        await self._start(plan)
        for wished in plan.wishes:
            await self.until_request(wished.after)
            await asyncio.gather(*(self._wish(plan, wished) for _ in range(wished.times)))

    async def _wish(self, plan: CloudPcPlan, wished: Wished) -> None:
        if wished.wish == "start again":
            await self._start(plan)
            return
        handle, reason = self.handle_of(plan), {"reason": f"seed {self._scenario.seed}"}
        # It may be gone by now.
        with contextlib.suppress(RPCError):
            await patiently(handle.cancel if wished.wish == "cancel" else lambda: handle.signal(wished.wish, reason))

    async def _start(self, plan: CloudPcPlan) -> None:
        service_plan = load_service_plans().find("CPC_E_2C_8GB_128GB")
        assert service_plan
        found = next(u for u in self.cloud.directory.users.values() if u["userPrincipalName"] == plan.user)
        request = CloudPcRequest(
            id=self.id_of(plan),
            policy=plan.policy,
            connections=plan.connections,
            service_plan=service_plan,
            user=User(
                id=found["id"],
                user_principal_name=plan.user,
                display_name=found["displayName"],
                on_premises_user_principal_name=found.get("onPremisesUserPrincipalName"),
            ),
        )
        await patiently(
            lambda: self._client.start_workflow(
                CloudPcWorkflow.run,
                request,
                id=request.id,
                task_queue=self._queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
            )
        )

    def id_of(self, plan: CloudPcPlan) -> str:
        """Return the Cloud PC's id."""
        return f"{self._queue}-{plan.user.partition('@')[0]}"

    async def peace(self) -> None:
        """End faults and blows; whoever stands still goes on."""
        self._strikes.clear()
        self.stop_thawing()
        for number in list(self.workers.frozen):
            self.workers.thaw(number)
        if self._restarting:
            await self._restarting

    def handle_of(self, plan: CloudPcPlan) -> Handle:
        """Return the Cloud PC's workflow, whichever its current run is."""
        return self._client.get_workflow_handle_for(CloudPcWorkflow.run, self.id_of(plan))

    def stop_thawing(self) -> None:
        """Let nobody who stands still go on by itself."""
        for task in self._thaws:
            task.cancel()

    async def at_rest(
        self, plan: CloudPcPlan, *, ends: bool = False, within: float = CONVERGENCE_SECONDS
    ) -> tuple[CloudPc, UserAccountType]:
        """Wait until the Cloud PC is settled or gone, and return what is known of it.

        One whose taking away failed under the faults says so, and is deprovisioned again as the admin would do.

        Args:
            plan: The Cloud PC.
            ends: Whether it must be gone.
            within: Real seconds.

        Raises:
            TimeoutError: It is not in time.

        """
        handle = self.handle_of(plan)
        account = plan.policy.user_account_type
        async with asyncio.timeout(within):
            while True:
                description = await patiently(handle.describe)
                if description.status != WorkflowExecutionStatus.RUNNING:
                    return await patiently(lambda: handle.query(CloudPcWorkflow.cloud_pc)), account
                if not ends and description.typed_search_attributes.get(search_attributes.STATUS) in SETTLED:
                    pc = await patiently(lambda: handle.query(CloudPcWorkflow.cloud_pc))
                    if is_settled(pc):
                        left = pc.status_detail.leftovers if pc.status_detail else ()
                        if pc.status != CloudPcStatus.FAILED or not left:
                            return pc, account
                        await patiently(lambda: handle.signal("deprovision"))
                await asyncio.sleep(0.4)

    async def attempted(self, plan: CloudPcPlan, attempt: int) -> CloudPc:
        """Wait until an attempt of the Cloud PC has ended."""
        handle = self.handle_of(plan)
        async with asyncio.timeout(CONVERGENCE_SECONDS):
            while True:
                pc = await patiently(lambda: handle.query(CloudPcWorkflow.cloud_pc))
                if pc.attempt == attempt and is_settled(pc):
                    return pc
                await asyncio.sleep(0.4)

    async def failed_tasks(self, plan: CloudPcPlan) -> list[str]:
        """Return why workflow tasks of the Cloud PC's last run failed, other than by a death."""
        history = await patiently(self.handle_of(plan).fetch_history)
        return [
            f"workflow task failed: {event.workflow_task_failed_event_attributes.failure.message[:200]}"
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        ]


def environment_of(server: SimulatorServer, stack: Stack) -> dict[str, str]:
    """Return the environment of a worker on this cloud and Temporal server."""
    url = server.cloud.base_url
    return {
        "AZURE_AUTHORITY_HOST": url,
        "AZURE_RESOURCE_MANAGER_URL": url,
        "MICROSOFT_GRAPH_URL": url,
        "AZURE_TENANT_ID": simulated.TENANT_ID,
        "AZURE_CLIENT_ID": simulated.CLIENT_ID,
        "AZURE_CLIENT_SECRET": simulated.CLIENT_SECRET,
        "AZURE_SUBSCRIPTION_ID": simulated.SUBSCRIPTION_ID,
        "AZURE_RESOURCE_GROUP": simulated.RESOURCE_GROUP,
        "CLOUD_PC_POLL_INTERVAL": "0.3",
        "CLOUD_PC_AZURE_ACTIVITIES_PER_SECOND": "1000",
        "CLOUD_PC_GRAPH_ACTIVITIES_PER_SECOND": "1000",
        "CLOUD_PC_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT),
        "TEMPORAL_ADDRESS": stack.server.address,
        JOIN_PASSWORD_VARIABLE: JOIN_PASSWORD,
        **allow_list(server.cloud),
    }


@asynccontextmanager
async def begun(
    stack: Stack, scenario: Scenario, cloud: Cloud, environment: dict[str, str] | None = None
) -> AsyncGenerator[Run, None]:
    """Serve a simulated cloud and start workers on it; at the end, nothing of the run is left but its log."""
    # Everyone has an Intune licence: without one nobody's Cloud PC can be made.
    users = {user["userPrincipalName"]: user for user in cloud.directory.users.values()}
    for user in users.values():
        user["assignedLicenses"] = users["ada@contoso.com"]["assignedLicenses"]
    queue = f"seed-{scenario.seed}-{uuid.uuid4().hex[:6]}"
    async with SimulatorServer(cloud, stack.authority) as server:
        workers = WorkerProcesses(
            environment_of(server, stack) | (environment or {}), queue, stack.directory / f"{queue}.log"
        )
        made = Run(stack, scenario, server, workers)
        server.watcher = made.watch
        workers.revive(scenario.workers)
        supervisor = asyncio.create_task(made.supervise())
        try:
            yield made
        finally:
            supervisor.cancel()
            made.stop_thawing()
            workers.stop()
            for pc in scenario.cloud_pcs:
                with contextlib.suppress(RPCError):
                    await made.handle_of(pc).terminate("the run has ended")


async def run(stack: Stack, scenario: Scenario) -> Outcome:
    """Run a scenario to its end and judge what it left."""
    start = time.monotonic()
    cloud = Cloud(speed=scenario.cloud_speed, seed=scenario.seed)
    cloud.faults.plan = plan = FaultPlan(scenario.seed, cloud.clock, late_seconds=REQUEST_TIMEOUT + 1)
    outcome = Outcome([])
    async with begun(stack, scenario, cloud) as this:
        lives = [asyncio.create_task(this.live(pc)) for pc in scenario.cloud_pcs]
        await this.until_request(scenario.fault_requests)
        await this.peace()
        plan.stop()
        await asyncio.gather(*lives)
        try:
            settled = await asyncio.gather(*(this.at_rest(pc) for pc in scenario.cloud_pcs))
        except TimeoutError:
            outcome.broken.append(f"not at rest {CONVERGENCE_SECONDS} s after the faults ended")
        else:
            outcome.statuses = [_ending(pc) for pc, _ in settled]
            outcome.broken += [f"{status}, for no good reason" for pc, _ in settled if (status := _unexcused(pc))]
            outcome.broken += broken(this.cloud, settled)
        for pc in scenario.cloud_pcs:
            outcome.broken += await this.failed_tasks(pc)
    outcome.fired = Counter({kind.value: times for kind, times in plan.fired.items()}) + this.struck
    outcome.seconds = time.monotonic() - start
    return outcome


_GOOD_REASONS = frozenset({"HostnameDuplicate", "NoCapacity", "OSProvisioningClientError"})
"""With which codes a Cloud PC may end `failed`: no product comes through what the fault plan does there."""


def _unexcused(pc: CloudPc) -> str | None:
    detail = pc.status_detail
    is_excused = pc.status != CloudPcStatus.FAILED or (detail is not None and detail.code in _GOOD_REASONS)
    return None if is_excused else f"{_ending(pc)}: {detail.message if detail else ''}"


def _ending(pc: CloudPc) -> str:
    failure = pc.status_detail
    return f"{pc.status}: {failure.step} {failure.code}" if failure and pc.status == CloudPcStatus.FAILED else pc.status

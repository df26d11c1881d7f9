"""The worker process: connect, register, serve, stop cleanly on SIGTERM or Ctrl-C."""

import asyncio
import gc
import inspect
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.assignment.session_host import Assignment
from activities.audit.audit import Audit
from activities.core_provisioning.capacity import AllocateCapacity
from activities.core_provisioning.computer_name import ComputerNames
from activities.core_provisioning.domain_join import DomainJoin
from activities.core_provisioning.entra_join import EntraJoin
from activities.core_provisioning.intune_enrollment import IntuneEnrollment
from activities.core_provisioning.network import Network
from activities.core_provisioning.primary_user import PrimaryUserAssignment
from activities.core_provisioning.virtual_machine import VirtualMachineCreation
from activities.deprovisioning import Deprovisioning
from activities.doctor import Doctor
from activities.fleet import Fleet
from activities.guest_scripts import GuestScriptSteps
from activities.post_provisioning.scripts import PostProvisioning
from activities.remote_actions.restart import RemoteActions
from activities.users import Users
from cloud.clients import CloudClients, SignInError, cloud_clients
from cloud.execution.boundary import ActivityBoundary
from cloud.settings import Settings, SettingsError
from contract.activity import Service, activity_of, service_queue
from contract.steps import ACTIVITIES
from workflows.audit import AuditWorkflow, RemainsWorkflow, RepairWorkflow
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.connection import ConnectionFailedError, connect, require_search_attributes
from workflows.doctor import DoctorWorkflow
from workflows.plugin import TASK_QUEUE
from workflows.process import end_process
from workflows.provision import ProvisionWorkflow
from workflows.provisioning_policy import FleetPlanWorkflow, ProvisioningPolicyWorkflow
from workflows.rollout import RolloutWorkflow

WORKFLOWS = [
    CloudPcWorkflow,
    ProvisionWorkflow,
    ProvisioningPolicyWorkflow,
    FleetPlanWorkflow,
    RolloutWorkflow,
    DoctorWorkflow,
    AuditWorkflow,
    RepairWorkflow,
    RemainsWorkflow,
]
"""Every workflow that the worker serves."""

_IMPLEMENTATIONS: tuple[Callable[[CloudClients], object], ...] = (
    Users,
    ComputerNames,
    AllocateCapacity,
    Network,
    VirtualMachineCreation,
    EntraJoin,
    DomainJoin,
    IntuneEnrollment,
    PrimaryUserAssignment,
    GuestScriptSteps,
    PostProvisioning,
    Assignment,
    Deprovisioning,
    RemoteActions,
    Doctor,
    Audit,
    Fleet,
)
"""The classes whose methods are activities."""

_WORKFLOW_TASKS = 10
"""At the same time. A task is CPU of one Python process only; a hundred of them, all replaying after a crash, would
take longer than the 10 s after which the server gives up on each, and be begun again for ever."""

Implementation = Callable[..., Coroutine[Any, Any, Any]]


class ActivitiesError(Exception):
    """The table of activities and their implementations differ; the message names them."""


def activities(clients: CloudClients) -> list[Implementation]:
    """Return every activity, bound to the clients.

    Raises:
        ActivitiesError: A row of the table has no implementation, or an implementation no row.

    """
    found: dict[str, Implementation] = {}
    for make in _IMPLEMENTATIONS:
        made = make(clients)
        methods = [method for _, method in inspect.getmembers(made, inspect.iscoroutinefunction)]
        for method in [*methods, *(made.activities() if isinstance(made, GuestScriptSteps) else [])]:
            if name := activity_of(method):
                found[name] = method
    differing = {row.name for row in ACTIVITIES} ^ set(found)
    if differing:
        raise ActivitiesError(f"{', '.join(sorted(differing))}: in contract/steps.py or in activities/, not in both")
    return list(found.values())


@asynccontextmanager
async def make_worker(
    client: Client, clients: CloudClients, *, task_queue: str = TASK_QUEUE, max_cached_workflows: int = 2000
) -> AsyncGenerator[None]:
    """Serve the task queue of workflows, and beside it those of Azure and Graph, until the body ends.

    The server hands out the steps of Azure and of Graph at a rate that holds for all workers of the queue together:
    that is how they share one budget of requests. Every queue has every activity, for a step that an earlier version
    has scheduled waits on the first.

    Args:
        client: Made with `workflows.plugin.PLUGIN`.
        clients: Used by the activities as long as the worker runs.
        task_queue: Task queue to serve.
        max_cached_workflows: Living Cloud PCs that are kept in memory; others are replayed when they wake.

    """
    settings = clients.settings
    rates = {
        Service.AZURE: settings.azure_activities_per_second,
        Service.GRAPH: settings.graph_activities_per_second,
    }
    # One set of activities, for they remember what they have read.
    make = partial(
        Worker,
        client,
        activities=activities(clients),
        interceptors=[ActivityBoundary()],
        graceful_shutdown_timeout=timedelta(seconds=5),
    )
    workers = [
        *(
            make(task_queue=service_queue(task_queue, service), max_task_queue_activities_per_second=rate)
            for service, rate in rates.items()
        ),
        make(
            task_queue=service_queue(task_queue, Service.TEMPORAL),
            workflows=WORKFLOWS,
            max_cached_workflows=max_cached_workflows,
            max_concurrent_workflow_tasks=_WORKFLOW_TASKS,
        ),
    ]
    async with AsyncExitStack() as stack:
        for each in workers:
            await stack.enter_async_context(each)
        try:
            yield
        finally:
            await asyncio.gather(*(each.shutdown() for each in workers))


async def serve() -> int:
    """Serve until SIGTERM or Ctrl-C and return the exit code: 0, or 2 when the configuration is wrong."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        settings = Settings.from_environment(os.environ)
        _log_at(settings.log_level)
        client = await connect()
        await require_search_attributes(client)
        async with cloud_clients(settings) as clients, make_worker(client, clients):
            _spare_the_collector()
            logging.info("serving task queue %s of namespace %s", TASK_QUEUE, client.namespace)
            await stop.wait()
    except (SettingsError, SignInError, ConnectionFailedError, ActivitiesError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _spare_the_collector() -> None:
    """Let the garbage collector leave alone what lives as long as the worker, and come by less often.

    The SDKs' modules are 200 MiB of objects, and each request makes thousands that die by themselves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _log_at(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if level != "DEBUG":
        # At INFO these write every request with its headers.
        for noisy in ("azure", "httpx", "msal"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


if __name__ == "__main__":
    end_process(asyncio.run(serve()))

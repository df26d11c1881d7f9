"""The worker process: connect, register, serve, stop cleanly on SIGTERM or Ctrl-C."""

import asyncio
import gc
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
from activities.audit import Audit
from activities.boundary import ActivityBoundary
from activities.core_provisioning.allocate_capacity import AllocateCapacity
from activities.core_provisioning.computer_name import ComputerNames
from activities.core_provisioning.domain_join import DomainJoin
from activities.core_provisioning.entra_join import EntraJoin
from activities.core_provisioning.intune_enrollment import IntuneEnrollment
from activities.core_provisioning.network import Network
from activities.core_provisioning.primary_user import PrimaryUserAssignment
from activities.core_provisioning.virtual_machine import VirtualMachines
from activities.deprovisioning import Deprovisioning
from activities.doctor import Doctor
from activities.fleet import Fleet
from activities.post_provisioning.steps import PostProvisioning
from activities.users import Users
from cloud.clients import CloudClients, SignInError, cloud_clients
from cloud.settings import Settings, SettingsError
from workflows.activity_options import Service, service_queue
from workflows.audit import AuditWorkflow, RemainsWorkflow, RepairWorkflow
from workflows.cloud_pc import CloudPcWorkflow
from workflows.doctor import DoctorWorkflow
from workflows.process import end_process
from workflows.provision import ProvisionWorkflow
from workflows.provisioning_policy import FleetPlanWorkflow, ProvisioningPolicyWorkflow
from workflows.rollout import RolloutWorkflow
from workflows.temporal import TASK_QUEUE, ConnectionFailedError, connect, require_search_attributes

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

_WORKFLOW_TASKS = 10
"""At the same time. A task is CPU of one Python process only; a hundred of them, all replaying after a crash, would
take longer than the 10 s after which the server gives up on each, and be begun again for ever."""


def activities(clients: CloudClients) -> list[Callable[..., Coroutine[Any, Any, Any]]]:
    """Return every activity, bound to the clients."""
    post, assignment, deprovisioning = PostProvisioning(clients), Assignment(clients), Deprovisioning(clients)
    domain_join = DomainJoin(clients)
    doctor, audit, fleet = Doctor(clients), Audit(clients), Fleet(clients)
    return [
        Users(clients).find_user,
        ComputerNames(clients).choose_computer_name,
        AllocateCapacity(clients).allocate_capacity,
        Network(clients).attach_network,
        VirtualMachines(clients).create_virtual_machine,
        EntraJoin(clients).join_entra_id,
        domain_join.join_domain,
        domain_join.wait_for_entra_device,
        IntuneEnrollment(clients).enroll_in_intune,
        PrimaryUserAssignment(clients).assign_primary_user,
        post.install_language,
        post.hide_start_menu_power_icons,
        post.disable_windows_reset,
        post.assign_user_as_administrator,
        post.set_teams_vdi_mode,
        post.enable_time_zone_redirection,
        post.resize_os_disk_partition,
        post.disable_port_3389,
        assignment.register_session_host,
        assignment.grant_sign_in,
        assignment.assign_user,
        assignment.remove_run_commands,
        deprovisioning.remove_computer_account,
        deprovisioning.remove_session_host,
        deprovisioning.remove_role_assignments,
        deprovisioning.delete_managed_device,
        deprovisioning.delete_virtual_machine,
        deprovisioning.delete_entra_device,
        doctor.check_sign_in,
        doctor.check_resource_group,
        doctor.check_azure_actions,
        doctor.check_resource_providers,
        doctor.check_capacity,
        doctor.check_licenses,
        doctor.check_single_sign_on,
        audit.audit,
        audit.revoke_roles,
        fleet.plan_fleet,
        fleet.reconcile_fleet,
        fleet.check_room,
        fleet.choose_cloud_pcs,
        fleet.start_wave,
        fleet.await_wave,
    ]


@asynccontextmanager
async def make_worker(
    client: Client, clients: CloudClients, *, task_queue: str = TASK_QUEUE, max_cached_workflows: int = 2000
) -> AsyncGenerator[None]:
    """Serve the task queue of workflows, and beside it those of Azure and Graph, until the body ends.

    The server hands out the steps of Azure and of Graph at a rate that holds for all workers of the queue together:
    that is how they share one budget of requests. Every queue has every activity, for a step that an earlier version
    has scheduled waits on the first.

    Args:
        client: Made with `workflows.temporal.PLUGIN`.
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
            task_queue=task_queue,
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
    except (SettingsError, SignInError, ConnectionFailedError) as error:
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

"""One budget of requests for many workers: queues with a rate, and who is served first."""

import asyncio
import uuid
from dataclasses import replace

from temporalio.client import Client

from cloud.clients import CloudClients
from contract.activity import Service, service_queue
from contract.steps import step_named
from models.cloud_pc import CloudPcRequest, CloudPcStatus, StepStatus
from simulator.server import SimulatorServer
from tests.workflows.conftest import Handle, Lab, policy
from worker import make_worker
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.plugin import PLUGIN

RATE = 8.0


def service_of(status: StepStatus) -> Service | None:
    """Whose budget of requests a step spends."""
    row = step_named(status.step)
    return row.service if row else None


async def test_a_rollout_does_not_keep_a_reprovision_waiting(
    temporal_client: Client, simulator: SimulatorServer, clients: CloudClients
) -> None:
    settings = clients.settings.model_copy(update={"azure_activities_per_second": RATE})
    lab = Lab(temporal_client, replace(clients, settings=settings), simulator.cloud, f"test-{uuid.uuid4()}")

    async def start(rollout_id: str | None) -> Handle:
        request = CloudPcRequest(
            id=f"pc-{uuid.uuid4()}",
            policy=policy(),
            service_plan=lab.service_plan,
            user=lab.user(),
            attempt=2,
            rollout_id=rollout_id,
        )
        return await temporal_client.start_workflow(
            CloudPcWorkflow.run, request, id=request.id, task_queue=lab.task_queue
        )

    settled: list[str] = []

    async def until_settled(handle: Handle) -> None:
        pc = await lab.settled(handle, attempt=2, seconds=120)
        assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
        settled.append(handle.id)

    # Two workers share the rate.
    address = temporal_client.service_client.config.target_host
    second_client = await Client.connect(address, namespace=temporal_client.namespace, plugins=[PLUGIN])
    async with (
        make_worker(temporal_client, lab.clients, task_queue=lab.task_queue),
        make_worker(second_client, lab.clients, task_queue=lab.task_queue),
    ):
        rollout = [await start("r1") for _ in range(6)]
        begun = asyncio.get_running_loop().time()
        urgent = await start(None)
        await asyncio.gather(*(until_settled(handle) for handle in (*rollout, urgent)))
        seconds = asyncio.get_running_loop().time() - begun
        steps = 0
        for handle in (*rollout, urgent):
            pc = await handle.query(CloudPcWorkflow.cloud_pc)
            steps += sum(each.attempts or 0 for each in pc.steps if service_of(each) == Service.AZURE)
            await handle.terminate("the test has ended")

    assert settled[0] == urgent.id
    # The first second's tasks go out at once.
    assert steps / RATE - 3 < seconds


async def test_steps_wait_where_their_service_keeps_its_budget(lab: Lab) -> None:
    handle = await lab.start()
    pc = await lab.settled(handle)
    queues = {
        event.activity_task_scheduled_event_attributes.activity_id: (
            event.activity_task_scheduled_event_attributes.task_queue.name
        )
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    for status in pc.steps:
        row = step_named(status.step)
        assert row
        if row.activity_id in queues:
            assert queues[row.activity_id] == service_queue(lab.task_queue, row.service)
    assert len(queues) >= 15

"""How property tests run: the same examples every time, more of them on demand, and one Cloud PC for all of them."""

import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
import trustme
from aiohttp import web
from hypothesis import HealthCheck, settings
from temporalio.client import Client

from cloud.clients import CloudClients, cloud_clients
from cloud.settings import Settings
from models.cloud_pc import CloudPc, CloudPcStatus
from simulator import cloud as simulated
from simulator.cloud import Cloud
from simulator.server import SimulatorServer
from tests.workflows.conftest import Handle, Lab
from worker import make_worker

settings.register_profile(
    "properties",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
settings.load_profile("properties")


@dataclass(repr=False)
class Living:
    """A Cloud PC that is provisioned, and stays."""

    lab: Lab
    handle: Handle
    pc: CloudPc


class OddServer(SimulatorServer):
    """A simulated cloud whose answers can be altered on their way out."""

    alter: Callable[[web.StreamResponse], web.StreamResponse] | None = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = await super()._answer(request)
        is_token = "/oauth2/" in request.path
        return response if self.alter is None or is_token else self.alter(response)


@pytest_asyncio.fixture(scope="module")
async def simulator(authority: trustme.CA) -> AsyncGenerator[OddServer, None]:
    """One simulated cloud for all examples."""
    async with OddServer(Cloud(speed=float("inf")), authority) as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def clients(simulator: SimulatorServer) -> AsyncGenerator[CloudClients, None]:
    """The real SDK clients, for all examples."""
    url = simulator.cloud.base_url
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURE_AUTHORITY_HOST", url)
        patch.setenv("AZURE_TENANT_ID", simulated.TENANT_ID)
        patch.setenv("AZURE_CLIENT_ID", simulated.CLIENT_ID)
        patch.setenv("AZURE_CLIENT_SECRET", simulated.CLIENT_SECRET)
        made = Settings.from_environment(
            {
                "AZURE_SUBSCRIPTION_ID": simulated.SUBSCRIPTION_ID,
                "AZURE_RESOURCE_GROUP": simulated.RESOURCE_GROUP,
                "AZURE_RESOURCE_MANAGER_URL": url,
                "MICROSOFT_GRAPH_URL": url,
                "CLOUD_PC_POLL_INTERVAL": "0.05",
                "CLOUD_PC_AZURE_ACTIVITIES_PER_SECOND": "1000",
                "CLOUD_PC_GRAPH_ACTIVITIES_PER_SECOND": "1000",
            }
        )
        async with cloud_clients(made) as opened:
            yield opened


@pytest_asyncio.fixture(scope="module")
async def living(
    temporal_client: Client, simulator: SimulatorServer, clients: CloudClients
) -> AsyncGenerator[Living, None]:
    """One provisioned Cloud PC that all examples are sent to."""
    lab = Lab(temporal_client, clients, simulator.cloud, f"test-{uuid.uuid4()}")
    async with make_worker(temporal_client, clients, task_queue=lab.task_queue):
        handle = await lab.start()
        pc = await lab.settled(handle)
        assert pc.status == CloudPcStatus.PROVISIONED
        yield Living(lab, handle, pc)
        await handle.terminate("the tests have ended")

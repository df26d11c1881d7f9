"""What all tests share: one Temporal dev server, and a simulated cloud and a worker for each test."""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import trustme

# aiohttp builds its default TLS context when it is first imported.
_AUTHORITY = trustme.CA()
_DIRECTORY = Path(tempfile.mkdtemp(prefix="cloud-pc-tests-"))
_AUTHORITY.cert_pem.write_to_path(str(_DIRECTORY / "ca.pem"))
os.environ["SSL_CERT_FILE"] = str(_DIRECTORY / "ca.pem")

import pytest  # noqa: E402
import pytest_asyncio  # noqa: E402
from temporalio.client import Client  # noqa: E402
from temporalio.testing import WorkflowEnvironment  # noqa: E402

from cloud.clients import CloudClients, cloud_clients  # noqa: E402
from cloud.settings import Settings  # noqa: E402
from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL  # noqa: E402
from simulator import cloud as simulated  # noqa: E402
from simulator.active_directory import DOMAIN, JOIN_USER  # noqa: E402
from simulator.cloud import Cloud  # noqa: E402
from simulator.server import SimulatorServer  # noqa: E402
from workflows.plugin import PLUGIN  # noqa: E402


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The certificate authority that this process trusts."""
    return _AUTHORITY


@pytest_asyncio.fixture(scope="session")
async def temporal_client() -> AsyncGenerator[Client, None]:
    """A client of the real dev server, started once."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(TEMPORAL),
        dev_server_extra_args=DEV_SERVER_ARGUMENTS,
        plugins=[PLUGIN],
        # In recorded histories, in place of the machine's name.
        identity="tests",
    ) as environment:
        yield environment.client


@pytest.fixture
def speed() -> float:
    """How fast the simulated cloud is; a test module may override it."""
    return float("inf")


@pytest_asyncio.fixture
async def simulator(authority: trustme.CA, speed: float) -> AsyncGenerator[SimulatorServer, None]:
    """A simulated cloud of its own for each test, over real HTTPS."""
    async with SimulatorServer(Cloud(speed=speed), authority) as server:
        yield server


def allow_list(cloud: Cloud) -> dict[str, str]:
    """What a worker of the tests allows: the simulated join account's password, wherever it is kept, and everything."""
    secrets = ("CLOUD_PC_JOIN_PASSWORD", "CLOUD_PC_NOT_SET", f"{cloud.key_vault_url}/secrets/domain-join")
    domains = (DOMAIN, "corp.fabrikam.com")
    subscriptions = (simulated.SUBSCRIPTION_ID, simulated.SECOND_SUBSCRIPTION_ID)
    return {
        "CLOUD_PC_DOMAIN_SECRETS": ";".join(f"{s} {d} {JOIN_USER}" for s in secrets for d in domains),
        "CLOUD_PC_ALLOWED_RESOURCES": " ".join(f"/subscriptions/{id}" for id in subscriptions),
    }


@pytest_asyncio.fixture
async def clients(simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[CloudClients, None]:
    """The real SDK clients, as the worker makes them."""
    environment = {
        "AZURE_AUTHORITY_HOST": simulator.cloud.base_url,
        "AZURE_TENANT_ID": simulated.TENANT_ID,
        "AZURE_CLIENT_ID": simulated.CLIENT_ID,
        "AZURE_CLIENT_SECRET": simulated.CLIENT_SECRET,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment(
        {
            "AZURE_SUBSCRIPTION_ID": simulated.SUBSCRIPTION_ID,
            "AZURE_RESOURCE_GROUP": simulated.RESOURCE_GROUP,
            "AZURE_RESOURCE_MANAGER_URL": simulator.cloud.base_url,
            "MICROSOFT_GRAPH_URL": simulator.cloud.base_url,
            **allow_list(simulator.cloud),
            "CLOUD_PC_POLL_INTERVAL": "0.05",
            "CLOUD_PC_AZURE_ACTIVITIES_PER_SECOND": "1000",
            "CLOUD_PC_GRAPH_ACTIVITIES_PER_SECOND": "1000",
        }
    )
    async with cloud_clients(settings) as made:
        yield made


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which histories are recorded anew."""
    parser.addoption("--record", action="store_true", help="record workflow histories and fingerprints anew")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave before the interpreter's own end, which may abort or hang after Temporal clients were used.

    The processes of pytest-xdist have sent all they know by now.
    """
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(getattr(config, "_exit_status", 0)))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember the exit code for `pytest_unconfigure`."""
    session.config._exit_status = exitstatus  # type: ignore[attr-defined]

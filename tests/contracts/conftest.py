"""The published descriptions, and a laboratory whose exchanges are recorded."""

import pytest

from simulator.server import Exchange, SimulatorServer
from tests.contracts.descriptions import CONTRACTS, Descriptions
from tests.workflows.conftest import lab as lab


@pytest.fixture(scope="session")
def descriptions() -> Descriptions:
    """Everything that is described, read once."""
    if not CONTRACTS.is_dir():
        pytest.skip("the published API descriptions, ../shared/contracts, are not on this machine")
    return Descriptions(CONTRACTS)


@pytest.fixture
def max_cached_workflows() -> int:
    """Replays send nothing, so once is enough here."""
    return 1000


@pytest.fixture
def exchanges(descriptions: Descriptions, simulator: SimulatorServer) -> list[Exchange]:
    """What is sent to the simulated cloud and what it answers, from now on."""
    recorded: list[Exchange] = []
    simulator.observer = recorded.append
    return recorded

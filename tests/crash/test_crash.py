"""A fixed set of what the long run of the crash harness does; see `python -m tests.crash --help`."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from tests.crash.harness import Stack, run, running_stack
from tests.crash.scenario import scenario
from tests.crash.steps import JoinType, Moment, run_steps, struck_steps
from tests.crash.worker_process import prepare

SEEDS = (0, 6, 7, 14)
"""They have killed and frozen workers, doubled wishes, a cancellation, two Cloud PCs and a hybrid join among them."""
SEED_WITH_A_DYING_SERVER = 11


@pytest_asyncio.fixture(scope="module")
async def stack(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack, None]:
    prepare()
    directory: Path = tmp_path_factory.mktemp("crash")
    async with running_stack(directory, authority) as made:
        yield made


LIVES: list[tuple[JoinType, Moment]] = [("azureADJoin", "polling"), ("hybridAzureADJoin", "during")]
"""The long run has all four moments of both."""


async def test_every_step_survives_a_kill_in_its_middle(stack: Stack) -> None:
    outcomes = await asyncio.gather(*(run_steps(stack, *life) for life in LIVES))
    for life, outcome in zip(LIVES, outcomes, strict=True):
        assert outcome.broken == [], life
        assert set(outcome.struck) == set(struck_steps(*life)), life


async def test_whatever_dies_everything_is_right_in_the_end(stack: Stack) -> None:
    outcomes = await asyncio.gather(*(run(stack, scenario(seed)) for seed in SEEDS))
    assert [line for outcome in outcomes for line in outcome.broken] == []
    assert sum(outcome.fired["kill worker"] + outcome.fired["freeze worker"] for outcome in outcomes) > 0


async def test_a_temporal_server_that_dies_loses_nothing(stack: Stack) -> None:
    outcome = await run(stack, scenario(SEED_WITH_A_DYING_SERVER))
    assert outcome.broken == [] and outcome.fired["kill server"] > 0

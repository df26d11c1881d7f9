"""A fixed set of what the long run of the crash harness does; see `python -m tests.crash --help`."""

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from aiohttp import web

from models.cloud_pc import CloudPcStatus
from simulator.cloud import Cloud
from simulator.ledger import PATH
from tests.crash.harness import Stack, begun, run, running_stack
from tests.crash.invariants import broken
from tests.crash.scenario import FAST, CloudPcPlan, Scenario, scenario
from tests.crash.steps import JoinType, Moment, run_steps, struck_steps
from tests.crash.worker_process import prepare
from tests.workflows.conftest import policy

SEEDS = (6, 14)
"""They have killed and frozen workers, doubled wishes, two Cloud PCs and a hybrid join between them."""
SEED_WITH_A_DYING_SERVER = 11


@pytest_asyncio.fixture(scope="module")
async def stack(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack, None]:
    prepare()
    directory: Path = tmp_path_factory.mktemp("crash")
    async with running_stack(directory, authority) as made:
        yield made


LIVES: list[tuple[JoinType, Moment]] = [("hybridAzureADJoin", "during")]
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


async def test_a_worker_that_wakes_up_between_its_look_and_its_request_changes_nothing(stack: Stack) -> None:
    life = CloudPcPlan("ada@contoso.com", policy(), (), ())
    scenario = Scenario(seed=0, cloud_pcs=(life,), strikes=(), workers=1, fault_requests=0)
    async with begun(stack, scenario, Cloud(speed=FAST)) as run:

        async def freeze(moment: str, request: web.Request) -> None:
            looks = request.method == "GET" and re.search(r"/networkInterfaces/[^/]+$", request[PATH])
            if looks and moment == "after" and not run.workers.frozen:
                number = run.workers.sender_of(request.headers["User-Agent"])
                assert number is not None
                run.workers.freeze(number)
                run.workers.start()

        run.server.watcher = freeze
        await run.live(life)
        assert (await run.at_rest(life))[0].status == CloudPcStatus.PROVISIONED
        run.server.watcher = None
        await run.handle_of(life).signal("deprovision")
        gone = await run.at_rest(life, ends=True)
        [sleeper] = run.workers.frozen
        run.workers.thaw(sleeper)
        await asyncio.sleep(2)
        assert list(broken(run.cloud, [gone])) == []

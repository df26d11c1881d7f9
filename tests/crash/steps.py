"""Each step, with its worker killed before, during and after the effect of the step's request."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web

from contract import steps
from contract.activity import AnyStep
from simulator.cloud import Cloud
from simulator.ledger import PATH
from tests.crash.harness import Stack, begun, patiently
from tests.crash.invariants import PROVISIONED, broken
from tests.crash.scenario import FAST, SLOW, CloudPcPlan, Scenario
from tests.workflows.conftest import connection, joining, policy
from tests.workflows.requests_of_steps import DEPROVISIONING, FATAL, HYBRID, NOT_FATAL, REQUEST_OF

Moment = Literal["before", "during", "after", "polling"]
"""Before a request's effect, between effect and answer, after the answer, while its operation is awaited."""
JoinType = Literal["azureADJoin", "hybridAzureADJoin"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
STEPS: dict[JoinType, list[AnyStep]] = {
    "azureADJoin": [*FATAL, *NOT_FATAL, *DEPROVISIONING],
    "hybridAzureADJoin": [s for s in (*FATAL, *HYBRID, *NOT_FATAL, *DEPROVISIONING) if s != steps.JOIN_ENTRA_ID],
}
"""The steps of a Cloud PC's life, as the policy's domain join type has them."""
_POLL = re.compile(r"/locations/[^/]+/operations?/", re.IGNORECASE)
_MACHINE = re.compile(REQUEST_OF[steps.DELETE_VIRTUAL_MACHINE][1], re.IGNORECASE)
_HAS_OPERATION = re.compile(r"virtualMachines/|networkInterfaces/")
_LIFE_SECONDS = 300
"""Every kill costs the heartbeat timeout, or that of the whole attempt where the step does not heartbeat."""


def struck_steps(join_type: JoinType, moment: Moment) -> list[AnyStep]:
    """Return the steps that can be struck at a moment."""
    listed = STEPS[join_type]
    return [s for s in listed if _HAS_OPERATION.search(REQUEST_OF[s][1])] if moment == "polling" else listed


@dataclass
class StepsOutcome:
    """What came of a life in which every step was struck once.

    Attributes:
        struck: The steps whose worker died at the moment.
        attempts: How often each of them ran.
        broken: Invariants that did not hold.

    """

    struck: list[AnyStep] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


async def run_steps(stack: Stack, join_type: JoinType, moment: Moment) -> StepsOutcome:
    """Provision and deprovision a Cloud PC, with a kill at a moment of each step's request."""
    settings: dict[str, Any] = {"userAccountType": "administrator", "windowsSetting": {"locale": "de-DE"}}
    if join_type == "hybridAzureADJoin":
        life = CloudPcPlan("grace@contoso.com", joining(join_type, connection(), **settings), (connection(),), ())
    else:
        life = CloudPcPlan("ada@contoso.com", policy(**settings), (), ())
    speed = FAST if join_type == "hybridAzureADJoin" else SLOW
    scenario = Scenario(seed=0, cloud_pcs=(life,), strikes=(), workers=1, fault_requests=0, cloud_speed=speed)
    outcome, pending = StepsOutcome(), [(step, *REQUEST_OF[step]) for step in struck_steps(join_type, moment)]
    # The language's own restart is the one operation that the cloud does not know of any more when it has ended.
    pending.append((steps.INSTALL_LANGUAGE, "POST", r"/virtualMachines/[^/]+/restart$"))
    async with begun(stack, scenario, Cloud(speed=speed)) as run:
        marked: dict[int, AnyStep] = {}
        polls: Counter[str] = Counter()

        async def watch(when: str, request: web.Request) -> None:
            if when == "before" and (found := _struck_by(request, pending)):
                pending.remove(found)
                marked[id(request)] = found[0]
            elif when == "before" and moment == "polling" and marked and _POLL.search(request[PATH]):
                # The first poll comes at once, beside the heartbeat with the token.
                polls[request[PATH]] += 1
                if polls[request[PATH]] < 2:
                    return
                outcome.struck += marked.values()
                marked.clear()
                run.strike("kill worker", request)
            if when == moment and (struck := marked.pop(id(request), None)):
                outcome.struck.append(struck)
                run.strike("kill worker", request)

        run.server.watcher = watch
        await run.live(life)
        provisioned = await run.at_rest(life, within=_LIFE_SECONDS)
        outcome.attempts = {status.step: status.attempts or 0 for status in provisioned[0].steps}
        if provisioned[0].status not in PROVISIONED:
            outcome.broken.append(f"ended {provisioned[0].status}: {provisioned[0].status_detail}")
        outcome.broken += broken(run.cloud, [provisioned])
        await patiently(lambda: run.handle_of(life).signal("deprovision"))
        gone = await run.at_rest(life, ends=True, within=_LIFE_SECONDS)
        outcome.attempts |= {status.step: status.attempts or 0 for status in gone[0].steps}
        outcome.broken += broken(run.cloud, [gone])
        deletions = [e.path for e in run.cloud.ledger.entries if e.method == "DELETE" and _MACHINE.search(e.path)]
        if moment == "polling" and len(deletions) != 1:
            outcome.broken.append(f"an operation that was awaited was not taken up, but begun again: {deletions}")
        outcome.broken += await run.failed_tasks(life)
    return outcome


def _struck_by(request: web.Request, pending: list[tuple[AnyStep, str, str]]) -> tuple[AnyStep, str, str] | None:
    for step, method, path in pending:
        if request.method == method and re.search(path, request[PATH], re.IGNORECASE):
            return step, method, path
    return None


async def table(stack: Stack) -> tuple[str, int]:
    """Run every life and return the table of all steps in Markdown, and how many invariants were broken."""
    runs: list[tuple[JoinType, Moment]] = [(kind, moment) for kind in STEPS for moment in MOMENTS]
    outcomes = dict(zip(runs, await asyncio.gather(*(run_steps(stack, *run) for run in runs)), strict=True))
    lines = [f"| step | {' | '.join(f'{kind}, {moment}' for kind, moment in runs)} |", "|---" * (len(runs) + 1) + "|"]
    for step in dict.fromkeys(step for listed in STEPS.values() for step in listed):
        cells = [_cell(outcomes[run], step, step in struck_steps(*run)) for run in runs]
        lines.append(f"| `{step}` | {' | '.join(cells)} |")
    lines += [f"{kind}, {moment}: {line}" for (kind, moment), found in outcomes.items() for line in found.broken]
    return "\n".join(lines), sum(len(found.broken) for found in outcomes.values())


def _cell(outcome: StepsOutcome, step: AnyStep, applies: bool) -> str:
    if not applies:
        return ""
    if step not in outcome.struck:
        return "not struck"
    return f"right, attempt {outcome.attempts.get(step.name, 0)}" if not outcome.broken else "broken"

"""Recorded histories replay, and no workflow's commands change unnoticed.

After a change of workflow logic that is gated by `workflow.patched`, or that no history can hold,
record anew: `python -m pytest -n 0 tests/workflows/test_replay.py --record`.
"""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from tests.workflows.conftest import Lab
from tests.workflows.scenarios import SCENARIOS, fingerprint
from worker import WORKFLOWS
from workflows.plugin import PLUGIN

HISTORIES = Path(__file__).parent / "histories"
FINGERPRINTS = HISTORIES / "fingerprints.json"


def _with_workflows_inside(runner: WorkflowRunner | None) -> WorkflowRunner:
    assert isinstance(runner, SandboxedWorkflowRunner)
    restrictions = runner.restrictions.with_passthrough_modules("models", "contract")
    return dataclasses.replace(runner, restrictions=restrictions)


# The worker passes our modules through the sandbox, for their imports would cost each run 0.2 s. Here what workflows
# and decisions do is seen by it: a clock, chance or a file on a recorded path fails the replay.
IN_SANDBOX = SimplePlugin("in-sandbox", data_converter=PLUGIN.data_converter, workflow_runner=_with_workflows_inside)


@pytest.mark.parametrize("file", sorted(HISTORIES.rglob("*.history.json")), ids=lambda file: file.name.split(".")[0])
async def test_recorded_history_replays(file: Path) -> None:
    history = WorkflowHistory.from_json(file.name, file.read_text(encoding="utf-8"))
    await Replayer(workflows=WORKFLOWS, plugins=[PLUGIN]).replay_workflow(history)
    await Replayer(workflows=WORKFLOWS, plugins=[IN_SANDBOX]).replay_workflow(history)


@pytest.mark.parametrize("max_cached_workflows", [1000], ids=["cached"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_commands_are_as_recorded(lab: Lab, name: str, request: pytest.FixtureRequest) -> None:
    runs = await SCENARIOS[name](lab)
    prints = {f"{name}-{number}": fingerprint(run) for number, run in enumerate(runs, start=1)}
    if request.config.getoption("--record"):
        HISTORIES.mkdir(exist_ok=True)
        for number, run in enumerate(runs, start=1):
            # Stack traces hold the paths of the machine that recorded them.
            text = (
                re.sub(r'("stackTrace": )"[^"\\]*(?:\\.[^"\\]*)*"', r'\1""', json.dumps(run.to_json_dict(), indent=1))
                + "\n"
            )
            (HISTORIES / f"{name}-{number}.history.json").write_text(text, encoding="utf-8")
        known = json.loads(FINGERPRINTS.read_text()) if FINGERPRINTS.exists() else {}
        FINGERPRINTS.write_text(json.dumps(dict(sorted((known | prints).items())), indent=1) + "\n")
        return
    recorded = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    for run, commands in prints.items():
        assert commands == recorded[run], (
            f"the commands of {run} have changed: a Cloud PC that is alive would not replay. Put the change behind "
            "workflow.patched so that the recorded histories still replay, then record the new path (see above)."
        )


def test_every_recorded_run_has_history_and_fingerprint() -> None:
    recorded = set(json.loads(FINGERPRINTS.read_text(encoding="utf-8")))
    assert recorded == {file.name.removesuffix(".history.json") for file in HISTORIES.rglob("*.history.json")}
    assert {name.rpartition("-")[0] for name in recorded} == set(SCENARIOS)

"""Rules of structure that no linter checks, and that those it checks are checked."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import worker
from cloud.clients import CloudClients
from contract import steps
from contract.activity import activity_of
from contract.steps import steps_of
from models.cloud_pc import Stage

ROOT = Path(worker.__file__).parent
PRODUCT = ("models", "domain", "contract", "workflows", "activities", "cloud", "worker.py", "starter.py")


def lines_with(pattern: str, *places: str) -> list[str]:
    """The lines of Python files that a pattern finds, as `file: line`."""
    found: list[str] = []
    for place in places or PRODUCT:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for line in file.read_text(encoding="utf-8").splitlines():
                if re.search(pattern, line):
                    found.append(f"{file.relative_to(ROOT)}: {line.strip()}")
    return found


def test_an_activity_is_run_in_one_place() -> None:
    [line] = lines_with(r"(execute|start)_(local_)?activity", "workflows")
    assert line.startswith("workflows/runner.py: ")


@pytest.mark.parametrize(
    ("fact", "home"),
    [
        (r"\"-(nic|osdisk|crg)\"|\b(hp|ag|ws)-\{", "domain/naming.py"),
        (r"\{[a-z_.]*policy_id\}-\{[a-z_.]*user_id\}", "domain/naming.py"),
        (r"\{8\}\(-", "models/types.py"),
        (r"get_close_matches", "models/validation.py"),
        (r"ContextVar\(", "cloud/execution/context.py"),
        (r"\"AuthorizationFailed\".*\"Forbidden\"", "contract/errors.py"),
        (r"FailureDetails\.model_validate", "contract/errors.py"),
        (r"resource_skus\.list|usage\.list\(", "cloud/arm/vm_sizes.py"),
        (r"providers/Microsoft.(Compute/(virtualMachines|disks)|Network/networkInterfaces)/\{", "domain/naming.py"),
    ],
)
def test_a_fact_stands_once(fact: str, home: str) -> None:
    assert {line.partition(":")[0] for line in lines_with(fact)} == {home}


def test_arm_ids_are_split_by_their_parser() -> None:
    by_hand = lines_with(
        r"(split|partition)\(\"/(subscriptions|resourceGroups|providers|virtualNetworks|subnets)?/?\"\)"
    )
    # The id of a secret in a Key Vault is none of ARM's.
    assert {line.partition(":")[0] for line in by_hand} == {"models/types.py", "cloud/secrets.py"}


def test_what_is_not_there_is_told_from_what_failed_in_one_place_a_service() -> None:
    homes = {line.partition(":")[0] for line in lines_with(r"except ResourceNotFoundError:|!= HTTPStatus.NOT_FOUND")}
    # Removing what is gone is done; a primary user of a device that is not known everywhere yet is looked at again.
    assert homes == {
        "cloud/arm/operations.py",
        "cloud/arm/host_pools.py",
        "cloud/arm/role_assignments.py",
        "cloud/graph/lists.py",
        "cloud/graph/devices.py",
        "activities/core_provisioning/primary_user.py",
    }


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import random\n\nCHANCE = random.random()\n", "TID251"),
        ("from time import time\n\nNOW = time()\n", "TID251"),
        ("from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n", "TID251"),
        ("from datetime import datetime\n\nNOW = datetime.now()\n", "DTZ005"),
        ("import uuid\n\nID = uuid.uuid4()\n", "TID251"),
        ("import os\n\nHOME = os.environ\n", "TID251"),
    ],
)
@pytest.mark.parametrize("folder", ["workflows", "domain", "contract", "models"])
def test_what_would_not_replay_is_refused_by_the_linter(code: str, rule: str, folder: str) -> None:
    ruff = [Path(sys.executable).with_name("ruff"), "check", "--stdin-filename", f"{folder}/made_up.py", "-"]
    result = subprocess.run([*ruff, "--select", rule], input=code, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1 and rule in result.stdout, result.stdout


def test_a_row_without_implementation_keeps_the_worker_from_starting(
    clients: CloudClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = replace(steps.RESTART_VIRTUAL_MACHINE, name="made_up")
    monkeypatch.setattr(worker, "ACTIVITIES", (*steps.ACTIVITIES, forgotten))
    with pytest.raises(worker.ActivitiesError, match=r"^made_up: in contract/steps.py or in activities/, not in both"):
        worker.activities(clients)
    monkeypatch.setattr(worker, "ACTIVITIES", steps.ACTIVITIES[1:])
    with pytest.raises(worker.ActivitiesError, match=r"^choose_computer_name: "):
        worker.activities(clients)


def test_every_step_on_a_living_machine_is_of_an_action() -> None:
    table = (ROOT / "workflows" / "cloud_pc" / "actions.py").read_text(encoding="utf-8")
    names = {name for name, row in vars(steps).items() if row in steps.steps_of(Stage.REMOTE_ACTION)}
    assert names and all(f"steps.{name}" in table for name in names)


def test_every_activity_is_implemented_once(clients: CloudClients) -> None:
    assert sorted(filter(None, map(activity_of, worker.activities(clients)))) == sorted(
        row.name for row in steps.ACTIVITIES
    )


def test_an_implementation_of_other_types_is_refused() -> None:
    """By the type checker, which `make lint` runs over the product."""
    wrong = """
from contract import steps
from contract.activity import CloudPcInput, StepResult
from contract.core_provisioning import EntraDevice, JoinEntraIdInput


class Right:
    @steps.JOIN_ENTRA_ID.implemented_by
    async def join_entra_id(self, request: JoinEntraIdInput) -> EntraDevice: ...


class WrongInput:
    @steps.JOIN_ENTRA_ID.implemented_by
    async def join_entra_id(self, request: CloudPcInput) -> StepResult: ...
"""
    file = ROOT / "tests" / "made_up_by_test_structure.py"
    try:
        file.write_text(wrong, encoding="utf-8")
        pyright = [Path(sys.executable).with_name("pyright"), "--outputjson", file]
        found = json.loads(subprocess.run(pyright, capture_output=True, text=True, cwd=ROOT).stdout)
    finally:
        file.unlink()
    lines = {
        each["range"]["start"]["line"] for each in found["generalDiagnostics"] if each["rule"] == "reportArgumentType"
    }
    assert lines == {wrong.splitlines().index("class WrongInput:") + 1}


def test_the_starter_imports_no_azure_and_no_graph_code() -> None:
    program = "import starter, sys; print(' '.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(worker.__file__).parent, check=True
    )
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert not loaded & {
        "azure",
        "msgraph",
        "msgraph_core",
        "kiota_abstractions",
        "httpx",
        "aiohttp",
        "cloud",
        "simulator",
    }


def test_run_command_scripts_lie_beside_their_steps() -> None:
    activities = ROOT / "activities"
    assert {script.stem for script in (activities / "post_provisioning").glob("*.ps1")} == {
        step.name for step in steps_of(Stage.POST_PROVISIONING)
    }
    assert {script.stem for script in (activities / "remote_actions").glob("*.ps1")} == {
        step.name for step in steps.GUEST_SCRIPTS if step.stage == Stage.REMOTE_ACTION
    }

"""The programs as an admin runs them: starter, temporal CLI, worker and simulated cloud, each a process."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_stack import ROOT, TEMPORAL, LocalStack

PLAN = "CPC_E_2C_8GB_128GB"


class Admin:
    """What an admin does on a running stack."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack

    def starter(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "starter.py", *arguments],
            cwd=ROOT,
            env=self.stack.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout or done.stderr

    def temporal(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(TEMPORAL), *arguments],
            env=self.stack.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def simulator(self, path: str) -> Any:
        context = ssl.create_default_context(cafile=self.stack.environment["SSL_CERT_FILE"])
        with urllib.request.urlopen(f"{self.stack.simulator_url}/simulator/{path}", context=context) as answer:
            return json.load(answer)

    def until(self, reached: Callable[[], Any], seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := reached()):
            assert time.monotonic() < deadline, "not reached in time"
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def admin() -> Iterator[Admin]:
    with LocalStack(speed=300, defects=["recovery-environment"]) as stack:
        yield Admin(stack)


def leaked(admin: Admin, secret: str) -> list[str]:
    """The files of Temporal's database and the logs that hold a secret."""
    written = [file for file in admin.stack.directory.iterdir() if file.is_file()]
    return [file.name for file in written if secret.encode() in file.read_bytes()]


def test_a_life_by_starter_and_temporal_cli(admin: Admin) -> None:
    shown = admin.starter(
        "provision", "examples/policy.yaml", "--user", "ada@contoso.com", "--service-plan", PLAN, "--wait"
    )
    assert "Create VM" in shown and "provisionedWithWarnings" in shown and "disable_windows_reset" in shown

    first = json.loads(admin.starter("status", "ada@contoso.com", "--json"))
    assert first["status"] == "provisionedWithWarnings"
    assert len(first["steps"]) == 18
    for step in first["steps"]:
        if step["state"] != "notApplicable":
            assert step["startDateTime"] and step["durationInSeconds"] is not None and step["attempts"] >= 1

    admin.temporal("workflow", "signal", "-w", first["id"], "--name", "reprovision", "-i", '{"reason": "disk broken"}')
    admin.until(lambda: json.loads(admin.starter("status", first["id"], "--json"))["status"] == "provisioned")
    second = json.loads(admin.starter("status", first["id"], "--json"))
    assert second["attempt"] == 2
    inventory = json.dumps(admin.simulator("inventory"))
    assert first["computerName"] not in inventory and second["computerName"] in inventory
    assert first["entraDeviceId"] not in inventory and first["managedDeviceId"] not in inventory

    secret = admin.stack.environment["AZURE_CLIENT_SECRET"]
    assert leaked(admin, first["computerName"]), "the search finds what is written in clear"
    assert leaked(admin, secret) == ["simulator.log"], "where the simulated cloud tells it"

    query = 'ExecutionStatus="Running" AND CloudPcStatus="provisioned"'
    assert first["id"] in admin.temporal("workflow", "list", "--query", query)
    assert "Create VM" in admin.temporal("workflow", "metadata", "-w", first["id"])
    answer = json.loads(admin.temporal("workflow", "query", "-w", first["id"], "--type", "cloud_pc", "-o", "json"))
    assert answer["queryResult"][0]["status"] == "provisioned"
    [listed] = json.loads(admin.starter("list", "--status", "provisioned", "--json"))
    assert listed["computerName"] == second["computerName"]

    again = admin.starter("provision", "examples/policy.yaml", "--user", "ada@contoso.com", "--service-plan", PLAN)
    assert "exists already" in again

    third = admin.starter("reprovision", second["computerName"], "--reason", "again", "--wait")
    assert "attempt 3" in third

    admin.starter("deprovision", first["id"], "--wait")
    inventory = admin.simulator("inventory")
    assert not inventory["devices"] and not inventory["managedDevices"] and not inventory["guests"]
    assert "gone" not in admin.starter("list")


def test_a_fleet_by_starter_and_temporal_cli(admin: Admin) -> None:
    policy = "examples/policy-fleet.yaml"
    planned = admin.starter("plan", policy)
    assert "created ada@contoso.com" in planned and "no licence of a service plan" in planned
    assert "quota cores in westeurope: 4 needed" in planned
    applied = admin.starter("apply", policy, "--wait")
    assert "2 created" in applied
    watched = admin.starter("list", "--policy", "fleet", "--watch")
    assert "provisioning" in watched and "2 of 2 settled" in watched

    [listed] = json.loads(admin.starter("list", "--user", "ada@contoso.com", "--json"))
    assert listed["policyId"] == "fleet" and listed["failure"] is None
    troubled = listed["troubledSteps"]
    for step in troubled:
        assert listed["id"] in admin.starter("list", "--warning", step)
    assert json.loads(admin.starter("list", "--failed-step", "create_virtual_machine", "--json")) == []
    assert json.loads(admin.starter("list", "--policy", "fleet", "--summary", "--json"))["byStatus"]

    fleet = 'WorkflowType="CloudPcWorkflow" AND ExecutionStatus="Running" AND ProvisioningPolicyId="fleet"'
    batch = ["workflow", "signal", "--query", fleet, "--name", "reprovision", "-i", '{"reason": "patch"}']
    admin.temporal(*batch, "--reason", "CHG-1", "-y")
    admin.until(lambda: "attempt 2" in admin.starter("status", listed["id"]))
    admin.starter("list", "--policy", "fleet", "--watch")

    rolled = admin.starter("rollout", policy, "--everyone", "--wait", "--reason", "new image")
    assert "completed, 2 reprovisioned, 0 failed" in rolled
    assert "attempt 3: new image" in admin.starter("status", listed["id"])

    admin.temporal("workflow", "signal", "-w", "policy-fleet", "--name", "reconcile")
    admin.temporal("workflow", "cancel", "-w", "policy-fleet")
    for one in json.loads(admin.starter("list", "--policy", "fleet", "--json")):
        admin.starter("deprovision", one["id"], "--wait")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["apply", "missing.yaml"], 2, "missing.yaml"),
        (["list", "--watch", "--json"], 2, "--json"),
        (["rollout", "examples/policy.yaml", "--wave", "0"], 2, "--wave"),
        (["status", "nobody"], 3, "no such Cloud PC"),
        (
            ["provision", "examples/policy.yaml", "--user", "nobody@contoso.com", "--service-plan", PLAN],
            3,
            "UserNotFound",
        ),
        (
            ["provision", "examples/policy.yaml", "--user", "alan@contoso.com", "--service-plan", PLAN],
            1,
            "UserDisabled",
        ),
        (
            ["provision", "examples/policy.yaml", "--user", "ada@contoso.com", "--service-plan", "CPC_E_2C_8GB_128"],
            2,
            "did you mean CPC_E_2C_8GB_128GB?",
        ),
        (["provision", "absent.yaml", "--user", "ada@contoso.com", "--service-plan", PLAN], 2, "absent.yaml"),
        (["provison"], 2, "Did you mean"),
        (["list", "--status", "provisoned"], 2, "'--status'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said_in_one_line(admin: Admin, arguments: list[str], code: int, said: str) -> None:
    line = admin.starter(*arguments, code=code)
    assert said in line and line.startswith("error: ") and len(line.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [["check", "examples/policy.yaml"], ["check", "examples/policy.yaml", "--json"]])
def test_check_needs_no_server(arguments: list[str]) -> None:
    environment = os.environ | {"TEMPORAL_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "starter.py", *arguments], cwd=ROOT, env=environment, check=False, capture_output=True
    )
    assert done.returncode == 0


def test_without_a_server_there_is_no_answer() -> None:
    environment = os.environ | {"TEMPORAL_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "starter.py", "list"], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 4 and done.stderr.startswith("error: TEMPORAL_ADDRESS: ")


def test_a_worker_without_configuration_says_what_is_missing() -> None:
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "worker.py"], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "AZURE_SUBSCRIPTION_ID",
        "AZURE_RESOURCE_GROUP",
    ]


def test_a_worker_killed_while_the_vm_is_being_created() -> None:
    with LocalStack(speed=100) as stack:
        admin = Admin(stack)
        admin.starter("provision", "examples/policy.yaml", "--user", "ada@contoso.com", "--service-plan", PLAN)

        def creating() -> bool:
            return any(is_create(entry) and entry["operation"] == "InProgress" for entry in admin.simulator("ledger"))

        def is_create(entry: dict[str, Any]) -> bool:
            parent = entry["path"].rpartition("/")[0]
            return entry["method"] == "PUT" and parent.endswith("virtualMachines")

        admin.until(creating)
        stack.kill_worker()
        stack.start_worker()

        found = json.loads(admin.starter("status", "ada@contoso.com", "--wait", "--json"))
        assert found["status"] == "provisioned"
        creates = [entry for entry in admin.simulator("ledger") if is_create(entry)]
        assert [(entry["effect"], entry["operation"]) for entry in creates] == [("created", "Succeeded")]
        create = next(step for step in found["steps"] if step["step"] == "create_virtual_machine")
        assert create["attempts"] == 2


@pytest.mark.parametrize("ending", ["by itself", "by Ctrl-C"])
def test_the_demo_leaves_nothing_running(ending: str, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "local_stack.py", "demo", "--speed", "600" if ending == "by itself" else "5"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        if ending == "by Ctrl-C":
            while "Allocate" not in (line := demo.stdout.readline()):
                assert line, "the demo ended early"
            demo.send_signal(signal.SIGINT)
        said = demo.stdout.read()
    assert demo.wait(timeout=60) == (0 if ending == "by itself" else 130), said
    if ending == "by itself":
        assert "provisioned" in said and "workflow signal" in said and "Web UI" in said
    assert list(tmp_path.glob("cloud-pc-*")) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert left.stdout == ""

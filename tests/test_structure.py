"""Rules of structure that no linter checks."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import worker
from activities import signatures
from cloud.clients import CloudClients
from models.cloud_pc import STAGES, Step
from workflows.activity_options import ACTIVITY_OPTIONS


def test_activities_are_implemented_as_declared(clients: CloudClients) -> None:
    declared = {
        name: function
        for name, function in inspect.getmembers(signatures, inspect.iscoroutinefunction)
        if hasattr(function, "__temporal_activity_definition")
    }
    implemented: dict[str, Any] = {method.__name__: method for method in worker.activities(clients)}
    assert set(implemented) == set(declared)
    for name, method in implemented.items():
        ours, theirs = typing.get_type_hints(method), typing.get_type_hints(declared[name])
        assert ours == theirs, name


def test_every_step_is_an_activity_with_options() -> None:
    listed = [step for steps in STAGES.values() for step in steps]
    assert sorted(listed) == sorted(Step)
    assert set(ACTIVITY_OPTIONS) == set(Step)
    assert all(hasattr(signatures, step.value) for step in Step)


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
    folder = Path(worker.__file__).parent / "activities" / "post_provisioning"
    scripts = {script.stem for script in folder.glob("*.ps1")}
    assert scripts == {step.value for step in list(STAGES.values())[1]}

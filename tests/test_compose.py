"""The compose file and the images: that they agree with the programs. No container engine is needed."""

import os
import re
import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML
from temporalio.client import Client

from contract.search_attributes import SEARCH_ATTRIBUTES
from local_stack import ROOT, TEMPORAL
from simulator import cloud as simulated
from workflows.connection import require_search_attributes


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document: Any = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return document["services"]


def pinned(lock: str) -> set[str]:
    return set(re.findall(r"^[\w.-]+==\S+", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))


def test_the_namespace_gets_our_search_attributes(services: dict[str, Any]) -> None:
    listed = services["temporal-namespace"]["environment"]["SEARCH_ATTRIBUTES"].split()
    assert dict(attribute.split("=") for attribute in listed) == SEARCH_ATTRIBUTES


async def test_the_namespace_script_makes_what_the_worker_asks_for(
    temporal_client: Client, services: dict[str, Any]
) -> None:
    address = temporal_client.service_client.config.target_host
    environment = {
        "PATH": f"{TEMPORAL.parent}{os.pathsep}{os.environ['PATH']}",
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": "compose",
        "RETENTION": "1d",
        "SEARCH_ATTRIBUTES": services["temporal-namespace"]["environment"]["SEARCH_ATTRIBUTES"],
    }
    script = ["/bin/sh", str(ROOT / "compose" / "setup-namespace.sh")]
    for _ in range(2):
        done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    await require_search_attributes(await Client.connect(address, namespace="compose"))


def test_the_simulated_cloud_is_the_one_that_its_worker_asks(services: dict[str, Any]) -> None:
    environment = services["worker-simulated"]["environment"]
    command = services["simulator"]["command"]
    base_url = f"https://localhost:{command[command.index('--port') + 1]}"
    assert {name: environment[name] for name in environment if name.startswith(("AZURE_", "MICROSOFT_", "SSL_"))} == {
        "AZURE_AUTHORITY_HOST": base_url,
        "AZURE_RESOURCE_MANAGER_URL": base_url,
        "MICROSOFT_GRAPH_URL": base_url,
        "AZURE_TENANT_ID": simulated.TENANT_ID,
        "AZURE_CLIENT_ID": simulated.CLIENT_ID,
        "AZURE_CLIENT_SECRET": simulated.CLIENT_SECRET,
        "AZURE_SUBSCRIPTION_ID": simulated.SUBSCRIPTION_ID,
        "AZURE_RESOURCE_GROUP": simulated.RESOURCE_GROUP,
        "SSL_CERT_FILE": command[command.index("--ca-file") + 1],
    }


def test_images_are_pinned_and_what_they_copy_is_there(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    foreign = [service["image"] for service in services.values() if "build" not in service]
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
    bases = [base for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) if base not in stages]
    assert foreign and all(re.search(r":\d[\w.-]*$", image) for image in [*foreign, *bases])
    sources = [
        source
        for words in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for source in words.split()
    ]
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for source in sources:
        assert (ROOT / source).exists() and f"!{source}" in let_through, source


def test_the_worker_image_has_the_tested_packages_and_none_for_development() -> None:
    worker, all_packages = pinned("requirements-worker.lock"), pinned("requirements.lock")
    assert worker <= all_packages, "run make lock"
    assert not {package.partition("==")[0] for package in worker} & {"pytest", "ruff", "pyright", "trustme"}

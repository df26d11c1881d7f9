"""A deploy: workers of the commit before and of this one serve the same queue and finish each other's work."""

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from local_stack import ROOT
from models.cloud_pc import CloudPcStatus
from simulator.cloud import Cloud
from simulator.server import SimulatorServer
from tests.crash.harness import environment_of, running_stack
from tests.crash.invariants import broken
from tests.workflows.conftest import Lab, policy
from workflows.plugin import TASK_QUEUE


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The product as it was at the commit before."""
    try:
        changed = _git("status", "--porcelain", "--untracked-files=no")
        archive = _git("archive", "HEAD" if changed else "HEAD~1")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the commit before is not in this checkout: {error}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path / "previous", filter="data")
    return tmp_path / "previous"


@contextmanager
def worker_of(directory: Path, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker of a checkout until it serves, and kill it at the end."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "worker.py"], cwd=directory, env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def serving(log: Path) -> None:
    async with asyncio.timeout(60):
        while "serving task queue" not in log.read_text():
            await asyncio.sleep(0.1)


async def test_workers_of_two_commits_finish_each_others_work(
    previous: Path, authority: trustme.CA, tmp_path: Path
) -> None:
    """The old one begins, the new one comes beside it, at last the old one dies: as a rolling deploy goes."""
    cloud = Cloud(speed=200)
    async with running_stack(tmp_path, authority) as stack, SimulatorServer(cloud, authority) as server:
        environment = dict(os.environ) | environment_of(server, stack)
        lab = Lab(stack.client, None, cloud, TASK_QUEUE)  # type: ignore[arg-type] - no clients are needed
        logs = [tmp_path / "previous.log", tmp_path / "this.log"]
        with worker_of(previous, environment, logs[0]) as old:
            await serving(logs[0])
            first = await lab.start(policy())
            await lab.until(first, lambda pc: pc.virtual_machine_id is not None)
            with worker_of(ROOT, environment, logs[1]):
                await serving(logs[1])
                second = await lab.start(policy(), "grace@contoso.com")
                pcs = [await lab.settled(first), await lab.settled(second)]
                assert {pc.status for pc in pcs} == {CloudPcStatus.PROVISIONED}
                await lab.signal(first, "reprovision", b"{}")
                await lab.until(lab.latest(first), lambda pc: pc.attempt == 2)
                old.kill()
                # A step that died with the old one is missed when its heartbeat timeout or its own time is over.
                pcs[0] = await lab.settled(first, attempt=2, seconds=180)
                assert pcs[0].status == CloudPcStatus.PROVISIONED
                assert list(broken(cloud, [(pc, policy().user_account_type) for pc in pcs])) == []

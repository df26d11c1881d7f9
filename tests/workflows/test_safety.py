"""What must never happen to a Cloud PC or to what is not one, whoever errs; each was seen once."""

import asyncio
import uuid
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from cloud.clients import CloudClients
from contract import steps
from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL
from models.cloud_pc import CloudPcRequest, CloudPcStatus
from models.provisioning_policy import ProvisioningPolicy
from models.remote_actions import Accepted, Deprovision
from simulator.active_directory import JOIN_PASSWORD
from simulator.cloud import RESOURCE_GROUP, SUBSCRIPTION_ID
from simulator.server import SimulatorServer
from tests.workflows.by_hand import failed_tasks
from tests.workflows.conftest import BRANCH, JOIN_PASSWORD_VARIABLE, Lab, connection, entra_connection, joining, policy
from tests.workflows.operator import release, until_pending
from worker import make_worker
from workflows.audit import AuditRequest, AuditWorkflow, RepairRequest, RepairWorkflow
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.messages import INVALID_INPUT, invalid_input, required
from workflows.plugin import PLUGIN


@pytest.fixture(params=[1000], ids=["cached"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """The same paths are replayed in test_life."""
    return request.param


async def test_connections_of_one_display_name_are_told_apart_by_their_ids(
    clients: CloudClients, simulator: SimulatorServer
) -> None:
    """A Cloud PC that was made at the second place is still there after its history was begun anew."""
    few = [*DEV_SERVER_ARGUMENTS, "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=150"]
    places = [
        entra_connection("first", "snet-gone", displayName="Office"),
        entra_connection(
            "second",
            displayName="Office",
            subnetId=f"{BRANCH}/providers/Microsoft.Network/virtualNetworks/vnet-branch/subnets/snet-cloud-pcs",
            resourceGroupId=BRANCH,
        ),
    ]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(TEMPORAL), dev_server_extra_args=few, plugins=[PLUGIN]
    ) as server:
        lab = Lab(server.client, clients, simulator.cloud, "long")
        async with make_worker(server.client, clients, task_queue="long"):
            handle = await lab.start(joining("azureADJoin", *places), connections=places)
            first = await lab.settled(handle)
            assert first.virtual_machine_id and "/rg-branch/" in first.virtual_machine_id
            run_id = (await handle.describe()).run_id
            async with asyncio.timeout(60):
                while (await handle.describe()).run_id == run_id:
                    await lab.signal(handle, "reprovision", b'{"reasn": "misspelt"}')
            assert await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
            assert (await lab.ended(handle)).status == CloudPcStatus.NOT_PROVISIONED
            lab.nothing_left()


def _start_of(lab: Lab, cloud_pc: dict[str, Any] | None = None) -> CloudPcRequest:
    return CloudPcRequest(
        id=f"pc-{uuid.uuid4()}", policy=policy(), service_plan=lab.service_plan, user=lab.user(), **(cloud_pc or {})
    )


async def test_a_start_that_brings_a_cloud_pc_along_that_was_made_elsewhere_ends(lab: Lab) -> None:
    made = await lab.provisioned()
    elsewhere = made.model_copy(update={"region": "northeurope"})
    request = _start_of(lab).model_copy(update={"cloud_pc": elsewhere})
    handle = await lab.client.start_workflow(CloudPcWorkflow.run, request, id=request.id, task_queue=lab.task_queue)
    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, ApplicationError) and ended.value.cause.type == INVALID_INPUT
    assert "made at 0 of the policy's places" in ended.value.cause.message


async def test_a_continued_run_that_a_stricter_worker_cannot_read_goes_on_under_another(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    # As a later version may be: it refuses what was accepted once.
    monkeypatch.setattr("workflows.cloud_pc.workflow.required", _refusing_attempt(2))
    await lab.signal(handle, "reprovision", b"{}")
    async with asyncio.timeout(30):
        while not (failed := await failed_tasks(lab.latest(handle))):
            await asyncio.sleep(0.1)
    assert "cannot be used any more" in failed[0]
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    monkeypatch.undo()
    assert (await lab.settled(handle, attempt=2)).status == CloudPcStatus.PROVISIONED


def _refusing_attempt(number: int) -> Any:
    def refusing(request: Any, model: Any) -> Any:
        read = required(request, model)
        if read.attempt >= number:
            raise invalid_input("displayName: shorter than 6 characters")
        return read

    return refusing


async def test_a_burst_of_signals_leaves_the_cloud_pc_in_reach(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    for _ in range(20):
        await asyncio.gather(*(lab.signal(handle, "reprovision", b'{"reson": "typo"}') for _ in range(100)))
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    assert (await lab.ended(handle)).status == CloudPcStatus.NOT_PROVISIONED
    lab.nothing_left()


@pytest.mark.parametrize("how", ["every name is taken", "cancelled before a name was chosen"])
async def test_devices_of_somebody_who_has_the_proposed_name_are_left_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A hybrid-joined device is known by its name alone, and a proposal is no name yet."""
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, JOIN_PASSWORD)
    made = joining("hybridAzureADJoin", connection())
    owner = await lab.provisioned(made, "grace@contoso.com", [connection()])
    assert owner.status == CloudPcStatus.PROVISIONED
    devices = (dict(lab.cloud.directory.devices), dict(lab.cloud.directory.managed_devices))
    monkeypatch.setattr(ProvisioningPolicy, "computer_name", lambda *_: owner.computer_name)
    # The owner's machine is in another resource group, so that only the names of devices tell.
    other = connection("branch", resourceGroupId=f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}-2")
    if how != "every name is taken":
        lab.fail("GET", r"/devices$", "ServiceUnavailable", 503, times=10_000)
    handle = await lab.start(joining("hybridAzureADJoin", other), "alan@contoso.com", [other])
    if how != "every name is taken":
        await until_pending(handle, steps.CHOOSE_COMPUTER_NAME, attempt=2)
        await handle.cancel()
        await until_pending(handle, steps.DELETE_VIRTUAL_MACHINE)
        release(lab)
        await lab.until_closed(handle)
    else:
        failed = await lab.settled(handle)
        assert failed.status_detail and failed.status_detail.code == "NameTaken"
    assert (lab.cloud.directory.devices, lab.cloud.directory.managed_devices) == devices
    assert lab.requests("DELETE", f"/disks/{owner.computer_name}-osdisk") == []


async def test_a_repair_removes_no_more_computers_than_it_may(lab: Lab) -> None:
    """From a wrong or a rebuilt namespace a whole fleet looks orphaned."""
    for user in ("ada@contoso.com", "grace@contoso.com"):
        handle = await lab.start(user=user)
        await lab.settled(handle)
        await handle.terminate("the namespace is lost")
    machines = lab.exists("Microsoft.Compute/virtualMachines")
    await asyncio.sleep(1)
    request = AuditRequest(older_than_minutes=0)
    found = await lab.client.execute_workflow(
        AuditWorkflow.run, request, id=f"audit-{uuid.uuid4()}", task_queue=lab.task_queue
    )
    agreed = tuple(finding.id for finding in found.findings if not finding.kept)
    for most, is_gone in ((1, False), (2, True)):
        repaired = await lab.client.execute_workflow(
            RepairWorkflow.run,
            RepairRequest(**dict(request), finding_ids=agreed, max_computers=most),
            id=f"repair-{uuid.uuid4()}",
            task_queue=lab.task_queue,
        )
        assert {one.is_gone for one in repaired.repaired} == {is_gone}
        assert lab.exists("Microsoft.Compute/virtualMachines") == ([] if is_gone else machines)
        assert is_gone or all("more than --max 1" in one.detail for one in repaired.repaired)

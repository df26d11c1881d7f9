"""Every code of the error catalogue, at the step that it belongs to: class, status, remedy, and nothing left."""

from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import pytest
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from activities.core_provisioning.computer_name import ComputerNames
from contract import steps
from contract.activity import AnyStep
from contract.core_provisioning import ChooseComputerNameInput
from contract.error_catalogue import CATALOGUE, DEFAULT_REMEDY, Entry, find
from contract.errors import ErrorClass
from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL
from models.cloud_pc import CloudPcReference, CloudPcRequest, CloudPcStatus
from simulator.active_directory import JOIN_PASSWORD
from simulator.cloud import RESOURCE_GROUP, SUBSCRIPTION_ID
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, Lab, connection, joining
from tests.workflows.requests_of_steps import FATAL, HYBRID
from worker import make_worker
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.plugin import PLUGIN

ALL_REQUESTS = {**FATAL, steps.JOIN_DOMAIN: HYBRID[steps.JOIN_DOMAIN]}
OWN = ("adJoinCheck", "sourceImage", "Secret", "Subnet", "NameTaken", "HostnameDuplicate", "ScheduleToClose")
"""How the codes begin that this product gives itself; they come from what the cloud does, not from a fault."""
INJECTED = sorted(
    (
        entry
        for entry in CATALOGUE
        if entry.steps and entry.error_class != ErrorClass.TRANSIENT and not entry.code.startswith(OWN)
    ),
    key=lambda entry: entry.steps[0].name,
)


@pytest.fixture(params=[1000], ids=["cached"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """Failures of this kind replay in other tests."""
    return request.param


@pytest.mark.parametrize(
    ("failing", "entries"), [(step, list(group)) for step, group in groupby(INJECTED, lambda entry: entry.steps[0])]
)
async def test_every_code_fails_its_step_for_good(lab: Lab, failing: AnyStep, entries: list[Entry]) -> None:
    # Fewer candidates to be refused.
    lab.cloud.resources.capacity.regions["westeurope"]["zones"] = []
    for entry in entries:
        message = f"Refused: {entry.message or entry.cause}."
        # A hosted network that is gone is looked for once more.
        lasts = entry.error_class == ErrorClass.CAPACITY or failing == steps.ATTACH_NETWORK
        times = 100 if lasts else 1
        lab.fail(*ALL_REQUESTS[failing], code=entry.code, message=message, status=400, times=times)

        pc = await lab.provisioned()

        lab.cloud.faults.rules.clear()
        assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
        detail = pc.status_detail
        if entry.error_class == ErrorClass.CAPACITY:
            assert (detail.step, detail.code) == (steps.ALLOCATE_CAPACITY.name, "NoCapacity")
            assert entry.code in detail.message
        else:
            assert (detail.step, detail.code, detail.remedy) == (failing.name, entry.code, entry.remedy)
            assert entry.cause in detail.message or entry.message in detail.message
        assert detail.leftovers == ()
        lab.nothing_left()


def test_every_entry_can_be_found_and_says_what_to_do() -> None:
    for entry in CATALOGUE:
        assert find(entry.code, f"… {entry.message} …", entry.status or 400) == entry
        assert entry.cause and entry.remedy
    unknown = find("NeverHeardOf", "", 400)
    assert (unknown.error_class, unknown.remedy) == (ErrorClass.TERMINAL, DEFAULT_REMEDY)


async def test_the_hybrid_wait_ends_after_90_minutes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, JOIN_PASSWORD)
    lab.cloud.active_directory.synchronizes = False
    # As in a real tenant: a look every 4 minutes.
    settings = lab.clients.settings.model_copy(update={"poll_interval": 60.0})
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(TEMPORAL),
        dev_server_extra_args=[
            *DEV_SERVER_ARGUMENTS,
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
        ],
        plugins=[PLUGIN],
    ) as environment:
        clients = replace(lab.clients, settings=settings)
        async with make_worker(environment.client, clients, task_queue="skipping"):
            request = CloudPcRequest(
                id="hybrid",
                policy=joining("hybridAzureADJoin", connection()),
                connections=(connection(),),
                service_plan=lab.service_plan,
                user=lab.user("grace@contoso.com"),
            )
            handle = await environment.client.start_workflow(
                CloudPcWorkflow.run, request, id=request.id, task_queue="skipping"
            )
            skipped = replace(lab, client=environment.client)
            pc = await skipped.settled(environment.client.get_workflow_handle_for(CloudPcWorkflow.run, handle.id))

    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    detail = pc.status_detail
    assert (detail.step, detail.code) == (steps.WAIT_FOR_ENTRA_DEVICE.name, "ScheduleToClose")
    assert "has not appeared in Entra ID" in detail.message and "Entra Connect" in detail.remedy
    waited = next(step for step in pc.steps if step.step == steps.WAIT_FOR_ENTRA_DEVICE.name).duration_in_seconds or 0
    assert timedelta(minutes=85) <= timedelta(seconds=waited) <= timedelta(minutes=91)
    lab.nothing_left()


async def test_names_of_the_tenant_are_not_used_and_only_our_own_stale_device_goes(lab: Lab) -> None:
    directory = lab.cloud.directory
    group = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"
    elsewhere = f"{group}-of-somebody-else/providers/Microsoft.Compute/virtualMachines"
    ours = f"{group}/providers/Microsoft.Compute/virtualMachines"
    foreign = directory.join_device(display_name="CPC-A", vm_id=f"{elsewhere}/CPC-A", os_version="10.0")
    directory.join_device(display_name="CPC-B", vm_id=f"{ours}/CPC-B", os_version="10.0")
    cloud_pc = CloudPcReference(
        cloud_pc_id="pc", policy_id="p", user_id="u", computer_name="CPC-A", region="westeurope"
    )

    chosen = await ActivityEnvironment().run(
        ComputerNames(lab.clients).choose_computer_name,
        ChooseComputerNameInput(cloud_pc=cloud_pc, proposals=("CPC-A", "CPC-B", "CPC-C")),
    )

    assert chosen.computer_name == "CPC-C"
    left = [device["displayName"] for device in directory.devices.values() if device["displayName"].startswith("CPC-")]
    assert foreign["displayName"] in left and "CPC-B" not in left

"""Reprovisioning, deprovisioning, signals and updates: what an admin does with a Cloud PC."""

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from models.cloud_pc import Accepted, CloudPcStatus, Deprovision, Reprovision, StepState
from models.provisioning_policy import UserAccountType
from tests.workflows.conftest import Lab, policy
from workflows import temporal
from workflows.cloud_pc import CloudPcWorkflow


async def test_reprovision_by_signal_after_warnings(lab: Lab) -> None:
    lab.cloud.defects["recovery-environment"] = 1
    handle = await lab.start()
    first = await lab.settled(handle)
    assert first.status == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert first.session_host is not None

    await lab.signal(handle, "reprovision", b'{"reason": "disk broken"}')
    second = await lab.settled(handle, attempt=2)

    assert second.status == CloudPcStatus.PROVISIONED
    assert second.computer_name != first.computer_name
    assert lab.exists("Microsoft.Compute/virtualMachines") == [second.virtual_machine_id]
    assert len(lab.exists("Microsoft.Compute/disks")) == len(lab.exists("Microsoft.Network/networkInterfaces")) == 1
    assert [device["deviceId"] for device in lab.cloud.directory.devices.values()] == [second.entra_device_id]
    assert list(lab.cloud.directory.managed_devices) == [second.managed_device_id]
    [host] = lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")
    assert host.endswith(f"/{second.session_host}")
    assert len(lab.exists("Microsoft.Authorization/roleAssignments")) == 2
    runs = [run async for run in lab.client.list_workflows(f'WorkflowId="{handle.id}"')]
    assert {run.status for run in runs} == {
        WorkflowExecutionStatus.CONTINUED_AS_NEW,
        WorkflowExecutionStatus.RUNNING,
    }


async def test_reprovision_after_failure(lab: Lab) -> None:
    lab.fail("PUT", r"virtualMachines/[^/]+$", "InvalidParameter")
    handle = await lab.start()
    assert (await lab.settled(handle)).status == CloudPcStatus.FAILED

    answer = await handle.execute_update(CloudPcWorkflow.reprovision, Reprovision(reason="mended"))

    assert answer == Accepted(cloud_pc_id=handle.id, operation="reprovision", when="now")
    assert (await lab.settled(handle, attempt=2)).status == CloudPcStatus.PROVISIONED


async def test_reprovision_takes_the_policy_as_it_is_now(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)

    wish = Reprovision(policy=policy(displayName="New name", cloudPcNamingTemplate="NEW-%RAND:6%"))
    await handle.execute_update(CloudPcWorkflow.reprovision, wish)

    second = await lab.settled(handle, attempt=2)
    assert second.policy_display_name == "New name" and second.computer_name.startswith("NEW-")


async def test_reprovision_changes_the_account_type(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    await handle.execute_update(
        CloudPcWorkflow.reprovision, Reprovision(user_account_type=UserAccountType.ADMINISTRATOR)
    )
    second = await lab.settled(handle, attempt=2)
    assert StepState.NOT_APPLICABLE not in {step.state for step in second.steps}


async def test_equal_signals_in_the_middle_of_an_attempt_wait_and_are_one(lab: Lab) -> None:
    handle = await lab.start()
    for _ in range(3):
        await lab.signal(handle, "reprovision", b"{}")

    assert (await lab.settled(handle, attempt=2)).status == CloudPcStatus.PROVISIONED
    created = [entry for entry in lab.requests("PUT", "") if "/virtualMachines/" in entry.path]
    machines = {entry.path.split("/virtualMachines/")[1].split("/")[0] for entry in created}
    assert len(machines) == 2, "one machine for each of two attempts"


async def test_deprovision_leaves_nothing(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)

    await handle.execute_update(CloudPcWorkflow.deprovision, Deprovision(reason="left the company"))

    assert (await handle.result()).status == CloudPcStatus.NOT_PROVISIONED
    lab.nothing_left()


async def test_deprovision_outranks_reprovision(lab: Lab) -> None:
    handle = await lab.start()
    await lab.signal(handle, "deprovision", b"")
    await lab.signal(handle, "reprovision", b"")

    ended = await handle.result()

    assert (ended.status, ended.attempt) == (CloudPcStatus.NOT_PROVISIONED, 1)
    assert [refused.signal for refused in ended.refused_signals] == ["reprovision"]
    lab.nothing_left()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"not json", "input"),
        (b'{"reson": "typo"}', "reason"),
        (b'{"userAccountType": "root"}', "userAccountType"),
        (b"[1, 2]", "input"),
    ],
)
async def test_a_malformed_signal_is_shown_and_harms_nothing(lab: Lab, data: bytes, named: str) -> None:
    handle = await lab.start()
    await lab.settled(handle)

    await lab.signal(handle, "reprovision", data)

    pc = await lab.until(handle, lambda pc: bool(pc.refused_signals))
    assert pc.refused_signals[0].signal == "reprovision" and named in pc.refused_signals[0].error
    assert (pc.status, pc.attempt) == (CloudPcStatus.PROVISIONED, 1)


async def test_an_update_with_another_policy_is_refused(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(CloudPcWorkflow.reprovision, Reprovision(policy=policy(id="other")))
    assert "policy.id" in str(refused.value.cause)


async def test_cancelling_takes_everything_away(lab: Lab) -> None:
    handle = await lab.start()
    await lab.until(handle, lambda pc: pc.virtual_machine_id is not None)

    await handle.cancel()

    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, CancelledError)
    lab.nothing_left()


async def test_search_attributes_follow_the_status(lab: Lab) -> None:
    lab.cloud.defects["recovery-environment"] = 1
    handle = await lab.start()
    pc = await lab.settled(handle)

    found = (await handle.describe()).typed_search_attributes

    assert found.get(temporal.STATUS) == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert found.get(temporal.COMPUTER_NAME) == pc.computer_name
    assert found.get(temporal.WARNINGS) == ["disable_windows_reset"]


async def test_the_web_ui_shows_a_checklist(lab: Lab) -> None:
    handle = await lab.start()
    pc = await lab.settled(handle)
    details = await handle.query("__temporal_workflow_metadata")
    text = details["currentDetails"] if isinstance(details, dict) else details.current_details
    assert f"## {pc.computer_name}: provisioned" in text
    assert "| Create VM | ✔ succeeded |" in text

"""Reprovisioning, deprovisioning, signals and updates: what an admin does with a Cloud PC."""

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from cloud.clients import CloudClients
from contract import search_attributes, steps
from contract.activity import AnyStep
from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL
from models.cloud_pc import CloudPcStatus, StepState
from models.provisioning_policy import UserAccountType
from models.remote_actions import Accepted, Deprovision, Reprovision
from simulator.server import SimulatorServer
from tests.workflows.conftest import Lab, policy
from worker import make_worker
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.plugin import PLUGIN


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

    answer = await handle.execute_update("reprovision", Reprovision(reason="mended"), result_type=Accepted)

    assert answer == Accepted(cloud_pc_id=handle.id, operation="reprovision", when="now", action_id=1)
    assert (await lab.settled(handle, attempt=2)).status == CloudPcStatus.PROVISIONED


async def test_reprovision_takes_the_policy_as_it_is_now(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)

    wish = Reprovision(policy=policy(displayName="New name", cloudPcNamingTemplate="NEW-%RAND:6%"))
    await handle.execute_update("reprovision", wish, result_type=Accepted)

    second = await lab.settled(handle, attempt=2)
    assert second.policy_display_name == "New name" and second.computer_name.startswith("NEW-")


async def test_reprovision_changes_the_account_type(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    await handle.execute_update(
        "reprovision", Reprovision(user_account_type=UserAccountType.ADMINISTRATOR), result_type=Accepted
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

    await handle.execute_update("deprovision", Deprovision(reason="left the company"), result_type=Accepted)

    assert (await lab.ended(handle)).status == CloudPcStatus.NOT_PROVISIONED
    lab.nothing_left()


async def test_deprovision_outranks_reprovision(lab: Lab) -> None:
    handle = await lab.start()
    await lab.signal(handle, "deprovision", b"")
    await lab.signal(handle, "reprovision", b"")

    ended = await lab.ended(handle)

    assert (ended.status, ended.attempt) == (CloudPcStatus.NOT_PROVISIONED, 1)
    assert [refused.signal for refused in ended.refused_signals] == ["reprovision"]
    lab.nothing_left()


async def test_malformed_signals_are_shown_and_harm_nothing(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    wrong = {
        b"not json": "input",
        b'{"reson": "typo"}': "reson: no such field; did you mean reason?",
        b'{"userAccountType": "root"}': "userAccountType",
        b"[1, 2]": "input",
    }

    for data in wrong:
        await lab.signal(handle, "reprovision", data)

    pc = await lab.until(handle, lambda pc: len(pc.refused_signals) == len(wrong))
    for refused, named in zip(pc.refused_signals, wrong.values(), strict=True):
        assert refused.signal == "reprovision" and named in refused.error
    assert (pc.status, pc.attempt) == (CloudPcStatus.PROVISIONED, 1)


async def test_a_signal_of_another_name_is_shown(lab: Lab) -> None:
    handle = await lab.start()
    await lab.signal(handle, "reprovison", b'{"reason": "misspelt"}')
    pc = await lab.settled(handle)
    [refused] = pc.refused_signals
    assert refused.signal == "reprovison" and "did you mean reprovision?" in refused.error


async def test_a_history_that_has_become_long_is_begun_anew(clients: CloudClients, simulator: SimulatorServer) -> None:
    few = [*DEV_SERVER_ARGUMENTS, "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=150"]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(TEMPORAL), dev_server_extra_args=few, plugins=[PLUGIN]
    ) as server:
        lab = Lab(server.client, clients, simulator.cloud, "long")
        async with make_worker(server.client, clients, task_queue="long"):
            handle = await lab.start()
            first = await lab.settled(handle)
            run_id = (await handle.describe()).run_id
            async with asyncio.timeout(60):
                while (await handle.describe()).run_id == run_id:
                    await lab.signal(handle, "reprovision", b'{"reasn": "misspelt"}')
            second = await handle.query(CloudPcWorkflow.cloud_pc)
            assert second.model_copy(update={"refused_signals": first.refused_signals}) == first
            assert await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
            assert (await lab.ended(handle)).status == CloudPcStatus.NOT_PROVISIONED
            lab.nothing_left()


async def test_an_update_with_another_policy_is_refused(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("reprovision", Reprovision(policy=policy(id="other")), result_type=Accepted)
    assert "policy.id" in str(refused.value.cause)


async def test_a_malformed_update_is_refused_with_the_name_of_the_field(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("reprovision", {"reson": "typo"}, result_type=Accepted)
    assert str(refused.value.cause) == "reson: no such field; did you mean reason?"
    assert (await lab.settled(handle)).attempt == 1


async def test_a_signal_without_input_is_a_wish_without_particulars(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)
    await handle.signal("deprovision")
    assert (await lab.ended(handle)).status == CloudPcStatus.NOT_PROVISIONED


async def test_unequal_wishes_are_merged(lab: Lab) -> None:
    handle = await lab.start()
    await lab.signal(handle, "reprovision", b'{"userAccountType": "administrator"}')
    await lab.signal(handle, "reprovision", b'{"reason": "disk broken"}')

    second = await lab.settled(handle, attempt=2)

    assert second.reason == "disk broken"
    assert StepState.NOT_APPLICABLE not in {step.state for step in second.steps}


async def test_a_wish_in_the_middle_of_a_failing_take_down_is_kept(lab: Lab) -> None:
    lab.fail("DELETE", r"virtualMachines/[^/]+$", "ScopeLocked", 409)
    handle = await lab.start()
    await lab.settled(handle)
    await lab.signal(handle, "reprovision", b"")
    await lab.until(handle, lambda pc: pc.status != CloudPcStatus.PROVISIONED)
    await lab.signal(handle, "deprovision", b"")
    ended = await lab.ended(handle)
    assert ended.status == CloudPcStatus.NOT_PROVISIONED and ended.pending_operation is None
    lab.nothing_left()


async def test_cancelling_a_provisioned_cloud_pc_takes_it_away(lab: Lab) -> None:
    handle = await lab.start()
    await lab.settled(handle)

    await handle.cancel()

    with pytest.raises(WorkflowFailureError) as ended:
        await lab.ended(handle)
    assert isinstance(ended.value.cause, CancelledError)
    lab.nothing_left()


async def test_a_cancelled_cloud_pc_that_cannot_be_taken_away_stays(lab: Lab) -> None:
    lab.fail("DELETE", r"virtualMachines/[^/]+$", "ScopeLocked", 409)
    handle = await lab.start()
    await lab.settled(handle)

    await handle.cancel()
    pc = await lab.until(handle, lambda pc: pc.status == CloudPcStatus.FAILED)
    assert pc.status_detail is not None and steps.DELETE_VIRTUAL_MACHINE.name in pc.status_detail.leftovers

    await lab.signal(handle, "deprovision", b"")
    assert (await lab.ended(handle)).status == CloudPcStatus.NOT_PROVISIONED
    lab.nothing_left()


class TestInRealTime:
    """Cancellations that hit a step while it works, at a cloud that takes its time."""

    @pytest.fixture
    def speed(self) -> float:
        return 500.0

    @pytest.mark.parametrize(
        "step",
        [
            steps.ATTACH_NETWORK,
            steps.CREATE_VIRTUAL_MACHINE,
            steps.JOIN_ENTRA_ID,
            steps.ENROLL_IN_INTUNE,
            steps.DISABLE_WINDOWS_RESET,
            steps.REGISTER_SESSION_HOST,
        ],
    )
    async def test_cancelling_in_a_step_takes_everything_away(self, lab: Lab, step: AnyStep) -> None:
        handle = await lab.start()
        await lab.until(handle, lambda pc: any(s.step == step.name and s.state == StepState.RUNNING for s in pc.steps))
        await asyncio.sleep(0.05)

        await handle.cancel()

        with pytest.raises(WorkflowFailureError) as ended:
            await lab.ended(handle)
        assert isinstance(ended.value.cause, CancelledError)
        lab.nothing_left()

    async def test_a_device_that_enrols_while_it_is_taken_away_is_taken_away(self, lab: Lab) -> None:
        # How many looks come before the device has enrolled is the machine's to say.
        for looks in (4, 3, 2, 1):
            lab.fail("GET", r"/managedDevices$", "Authorization_RequestDenied", 403, skip=looks)
            handle = await lab.start()
            if (await lab.settled(handle)).status == CloudPcStatus.FAILED:
                break
            lab.cloud.faults.rules.clear()
            await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
            await lab.ended(handle)
        else:
            pytest.fail("no look was refused before the device had enrolled")
        await asyncio.sleep(2)
        lab.nothing_left()


async def test_search_attributes_follow_the_status(lab: Lab) -> None:
    lab.cloud.defects["recovery-environment"] = 1
    handle = await lab.start()
    pc = await lab.settled(handle)

    found = (await handle.describe()).typed_search_attributes

    assert found.get(search_attributes.STATUS) == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert found.get(search_attributes.COMPUTER_NAME) == pc.computer_name
    assert found.get(search_attributes.WARNINGS) == ["disable_windows_reset"]


async def test_the_web_ui_shows_a_checklist(lab: Lab) -> None:
    handle = await lab.start()
    pc = await lab.settled(handle)
    details = await handle.query("__temporal_workflow_metadata")
    text = details["currentDetails"] if isinstance(details, dict) else details.current_details
    assert f"## {pc.computer_name}: provisioned" in text
    assert "| Create VM | ✔ succeeded |" in text

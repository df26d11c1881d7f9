"""The paths a Cloud PC's workflow can take, for histories and fingerprints."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from contract import steps
from models.cloud_pc import CloudPcStatus
from models.documents import load_service_plans
from models.remote_actions import Accepted, ActionState, Deprovision, Reprovision, StartGracePeriod
from simulator.active_directory import JOIN_PASSWORD
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, Handle, Lab, connection, joining, policy, step
from tests.workflows.operator import complete, until_pending
from workflows.audit import AuditRequest, AuditWorkflow, RepairRequest, RepairWorkflow
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.doctor import DoctorRequest, DoctorWorkflow
from workflows.provision import ProvisionRequest, ProvisionWorkflow
from workflows.provisioning_policy import (
    ApplyRequest,
    FleetPlanWorkflow,
    PolicyState,
    ProvisioningPolicyWorkflow,
)
from workflows.rollout import RolloutRequest, RolloutWorkflow

Scenario = Callable[[Lab], Awaitable[list[WorkflowHistory]]]


async def provisioned(lab: Lab) -> list[WorkflowHistory]:
    """Provisioned at once, as an administrator, then deprovisioned."""
    handle = await lab.start(policy(userAccountType="administrator"))
    await lab.settled(handle)
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    return await _runs(lab, handle)


async def warnings_then_reprovisioned(lab: Lab) -> list[WorkflowHistory]:
    """Provisioned with a warning, reprovisioned by signal; the second run is alive."""
    lab.cloud.defects["recovery-environment"] = 1
    handle = await lab.start()
    await lab.settled(handle)
    await lab.signal(handle, "reprovision", b"{}")
    await lab.settled(handle, attempt=2)
    return await _runs(lab, handle)


async def failed_then_reprovisioned(lab: Lab) -> list[WorkflowHistory]:
    """Failed in core provisioning and taken away, reprovisioned by update."""
    lab.fail("PUT", r"extensions/AADLoginForWindows$")
    handle = await lab.start()
    await lab.settled(handle)
    await handle.execute_update("reprovision", Reprovision(reason="mended"), result_type=Accepted)
    await lab.settled(handle, attempt=2)
    return await _runs(lab, handle)


async def hybrid_with_another_size(lab: Lab) -> list[WorkflowHistory]:
    """Joined to a domain over a connection, in another language, after the first size and connection were refused."""
    os.environ[JOIN_PASSWORD_VARIABLE] = JOIN_PASSWORD
    lab.cloud.resources.capacity.refuse("westeurope", lab.service_plan.vm_sizes[0], "AllocationFailed")
    connections = [connection("small", "snet-gone"), connection()]
    made = joining("hybridAzureADJoin", *connections, windowsSetting={"locale": "de-DE"})
    handle = await lab.start(made, "grace@contoso.com", connections)
    await lab.settled(handle)
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    return await _runs(lab, handle)


async def cancelled(lab: Lab) -> list[WorkflowHistory]:
    """Cancelled once it was provisioned."""
    handle = await lab.start()
    await lab.settled(handle)
    await handle.cancel()
    await lab.until_closed(handle)
    return await _runs(lab, handle)


async def completed_by_hand(lab: Lab) -> list[WorkflowHistory]:
    """A step completed by hand with a result of no use, which runs again."""
    lab.fail("PUT", r"runCommands/disable-windows-reset$", "ServiceUnavailable", status=503, times=1000)
    handle = await lab.start()
    await until_pending(handle, steps.DISABLE_WINDOWS_RESET)
    await complete(lab, handle, steps.DISABLE_WINDOWS_RESET, b'"done"')
    await lab.until(handle, lambda pc: "by hand" in step(pc, steps.DISABLE_WINDOWS_RESET).detail)
    lab.cloud.faults.rules.clear()
    await lab.settled(handle)
    return await _runs(lab, handle)


async def started_by_hand(lab: Lab) -> list[WorkflowHistory]:
    """A user found and their Cloud PC's workflow started."""
    request = ProvisionRequest(policy=policy(), service_plan=lab.service_plan, user="ada@contoso.com")
    starter = await lab.client.start_workflow(
        ProvisionWorkflow.run,
        request,
        id=f"provision-{lab.task_queue}",
        task_queue=lab.task_queue,
        run_timeout=timedelta(minutes=1),
    )
    response = await starter.result()
    lab.handles.append(lab.client.get_workflow_handle_for(CloudPcWorkflow.run, response.cloud_pc_id))
    await lab.settled(lab.handles[-1])
    return [await starter.fetch_history()]


async def grace_period(lab: Lab) -> list[WorkflowHistory]:
    """A grace period that begins, is cancelled, begins again and is ended."""
    handle = await lab.start()
    await lab.settled(handle)
    for name, status in (
        ("startGracePeriod", CloudPcStatus.IN_GRACE_PERIOD),
        ("cancelGracePeriod", CloudPcStatus.PROVISIONED),
        ("startGracePeriod", CloudPcStatus.IN_GRACE_PERIOD),
    ):
        await handle.signal(name, StartGracePeriod(grace_period_in_hours=1) if name == "startGracePeriod" else {})
        await lab.until(handle, lambda pc, status=status: pc.status == status)
    await handle.signal("endGracePeriod")
    await lab.ended(handle)
    return [await handle.fetch_history()]


async def policy_applied(lab: Lab) -> list[WorkflowHistory]:
    """A policy that is looked at, applied, reconciled on demand, and cancelled."""
    group = "9409d000-0000-4000-8000-000000000001"
    lab.cloud.directory.members[group].clear()
    made = policy(id=_own_id(lab), assignments=[{"groupId": group}])
    request = ApplyRequest(policy=made, service_plans=load_service_plans())
    plan = await lab.client.start_workflow(
        FleetPlanWorkflow.run, request, id=f"plan-{lab.task_queue}", task_queue=lab.task_queue
    )
    await plan.result()
    handle = await lab.client.start_workflow(
        ProvisioningPolicyWorkflow.run, request, id=f"policy-{lab.task_queue}", task_queue=lab.task_queue
    )

    async def reconciled(after: datetime | None) -> datetime | None:
        while True:
            status = await handle.query(ProvisioningPolicyWorkflow.provisioning_policy)
            if status.state == PolicyState.WAITING and status.reconciled_date_time != after:
                return status.reconciled_date_time
            await asyncio.sleep(0.05)

    async with asyncio.timeout(60):
        first = await reconciled(None)
        await handle.signal("reconcile")
        await reconciled(first)
        await handle.cancel()
        while (await handle.describe()).close_time is None:
            await asyncio.sleep(0.03)
    return [await plan.fetch_history(), await handle.fetch_history()]


async def rolled_out(lab: Lab) -> list[WorkflowHistory]:
    """A rollout of one wave, and the Cloud PC's first run, which it ends."""
    made = policy(id=_own_id(lab))
    starter = await lab.client.start_workflow(
        ProvisionWorkflow.run,
        ProvisionRequest(policy=made, service_plan=lab.service_plan, user="ada@contoso.com"),
        id=f"provision-{lab.task_queue}",
        task_queue=lab.task_queue,
    )
    response = await starter.result()
    handle = lab.client.get_workflow_handle_for(CloudPcWorkflow.run, response.cloud_pc_id)
    lab.handles.append(handle)
    await lab.settled(handle)
    # It must be where fleets are listed.
    await asyncio.sleep(1)
    rollout = await lab.client.start_workflow(
        RolloutWorkflow.run,
        RolloutRequest(rollout_id="r1", policy=made, everyone=True),
        id=f"rollout-{lab.task_queue}",
        task_queue=lab.task_queue,
    )
    async with asyncio.timeout(60):
        assert (await rollout.result()).reprovisioned == 1
    return [await rollout.fetch_history()]


async def restarted(lab: Lab) -> list[WorkflowHistory]:
    """Restarted by an admin once it was provisioned, and then deprovisioned."""
    handle = await lab.start()
    await lab.settled(handle)
    await lab.signal(handle, "restart", b'{"reason": "hangs"}')
    await lab.until(handle, lambda pc: [action.action_state for action in pc.remote_actions] == [ActionState.DONE])
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    return await _runs(lab, handle)


async def looked_through(lab: Lab) -> list[WorkflowHistory]:
    """The doctor, and the repair of an orphan with the workflow that removes it."""
    doctor = await lab.client.start_workflow(
        DoctorWorkflow.run,
        DoctorRequest(service_plans=(lab.service_plan,)),
        id=f"doctor-{lab.task_queue}",
        task_queue=lab.task_queue,
    )
    await doctor.result()
    handle = await lab.start()
    await lab.settled(handle)
    await handle.terminate("by hand")
    # It must be gone from where fleets are listed.
    await asyncio.sleep(1)
    audit = AuditRequest(older_than_minutes=0)
    found = await lab.client.execute_workflow(
        AuditWorkflow.run, audit, id=f"audit-{lab.task_queue}", task_queue=lab.task_queue
    )
    orphans = tuple(finding.id for finding in found.findings if not finding.kept)
    repair = await lab.client.start_workflow(
        RepairWorkflow.run,
        RepairRequest(**dict(audit), finding_ids=orphans),
        id=f"repair-{lab.task_queue}",
        task_queue=lab.task_queue,
    )
    repaired = await repair.result()
    assert [one.is_gone for one in repaired.repaired] == [True], repaired.repaired
    remains = lab.client.get_workflow_handle(repaired.repaired[0].workflow_id)
    return [await doctor.fetch_history(), await repair.fetch_history(), await remains.fetch_history()]


def _own_id(lab: Lab) -> str:
    """A policy's id that no other test uses."""
    return lab.task_queue.replace("test-", "")[:40]


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        provisioned,
        warnings_then_reprovisioned,
        failed_then_reprovisioned,
        hybrid_with_another_size,
        cancelled,
        completed_by_hand,
        started_by_hand,
        grace_period,
        policy_applied,
        rolled_out,
        restarted,
        looked_through,
    )
}


def fingerprint(history: WorkflowHistory) -> list[str]:
    """The commands of a run in order: what a change of workflow logic must not alter unnoticed."""
    commands: list[str] = []
    for event in history.events:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                commands.append(f"activity {scheduled.activity_type.name} as {scheduled.activity_id}")
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
                commands.append(f"search attributes {', '.join(sorted(fields))}")
            case EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                child = event.start_child_workflow_execution_initiated_event_attributes
                commands.append(f"child workflow {child.workflow_type.name}")
            case (
                EventType.EVENT_TYPE_TIMER_STARTED
                | EventType.EVENT_TYPE_MARKER_RECORDED
                | EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
                | EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED
                | EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED
                | EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
            ):
                commands.append(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower())
            case _:
                pass
    return commands


async def _runs(lab: Lab, handle: Handle) -> list[WorkflowHistory]:
    """The histories of all runs, oldest first."""
    runs = [await handle.fetch_history()]
    while previous := runs[0].events[0].workflow_execution_started_event_attributes.continued_execution_run_id:
        earlier = lab.client.get_workflow_handle(handle.id, run_id=previous)
        runs.insert(0, await earlier.fetch_history())
    return runs

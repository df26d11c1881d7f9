"""The paths a Cloud PC's workflow can take, for histories and fingerprints."""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from models.cloud_pc import Deprovision, Reprovision, Step
from simulator.active_directory import JOIN_PASSWORD
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, Handle, Lab, connection, joining, policy, step
from tests.workflows.operator import complete, until_pending
from workflows.cloud_pc import CloudPcWorkflow
from workflows.provisioning_policy import ProvisioningPolicyWorkflow, ProvisionRequest

Scenario = Callable[[Lab], Awaitable[list[WorkflowHistory]]]


async def provisioned(lab: Lab) -> list[WorkflowHistory]:
    """Provisioned at once, as an administrator, then deprovisioned."""
    handle = await lab.start(policy(userAccountType="administrator"))
    await lab.settled(handle)
    await handle.execute_update(CloudPcWorkflow.deprovision, Deprovision())
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
    await handle.execute_update(CloudPcWorkflow.reprovision, Reprovision(reason="mended"))
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
    await handle.execute_update(CloudPcWorkflow.deprovision, Deprovision())
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
    await until_pending(handle, Step.DISABLE_WINDOWS_RESET)
    await complete(lab, handle, Step.DISABLE_WINDOWS_RESET, b'"done"')
    await lab.until(handle, lambda pc: "by hand" in step(pc, Step.DISABLE_WINDOWS_RESET).detail)
    lab.cloud.faults.rules.clear()
    await lab.settled(handle)
    return await _runs(lab, handle)


async def started_by_policy(lab: Lab) -> list[WorkflowHistory]:
    """A user found and their Cloud PC's workflow started."""
    request = ProvisionRequest(policy=policy(), service_plan=lab.service_plan, user="ada@contoso.com")
    starter = await lab.client.start_workflow(
        ProvisioningPolicyWorkflow.run,
        request,
        id=f"provision-{lab.task_queue}",
        task_queue=lab.task_queue,
        run_timeout=timedelta(minutes=1),
    )
    response = await starter.result()
    lab.handles.append(lab.client.get_workflow_handle_for(CloudPcWorkflow.run, response.cloud_pc_id))
    await lab.settled(lab.handles[-1])
    return [await starter.fetch_history()]


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        provisioned,
        warnings_then_reprovisioned,
        failed_then_reprovisioned,
        hybrid_with_another_size,
        cancelled,
        completed_by_hand,
        started_by_policy,
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

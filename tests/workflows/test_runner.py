"""Whatever a person makes of an activity by hand, no workflow task fails and every workflow goes on answering."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from contract.activity import service_queue
from contract.steps import ACTIVITIES
from domain.status import is_settled
from models.cloud_pc import CloudPc, CloudPcRequest, CloudPcStatus, User
from models.documents import load_service_plans
from models.provisioning_policy import ProvisioningPolicy
from tests.workflows.by_hand import USER, Answer, Failed, Hands, Result, failed_tasks, hands, right
from tests.workflows.conftest import connection, joining, policy
from workflows.audit import RepairRequest, RepairWorkflow
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.doctor import DoctorRequest, DoctorWorkflow
from workflows.provision import ProvisionRequest, ProvisionWorkflow
from workflows.provisioning_policy import ApplyRequest, FleetPlanWorkflow, ProvisioningPolicyWorkflow
from workflows.rollout import RolloutRequest, RolloutWorkflow

PLANS = load_service_plans()
Begin = Callable[[Hands, str], Awaitable[WorkflowHandle[Any, Any]]]
_ASSIGNED = policy(assignments=[{"groupId": "9409d000-0000-4000-8000-000000000001"}])


async def _live(served: Hands, id: str, request: CloudPcRequest) -> WorkflowHandle[Any, Any]:
    """A Cloud PC's whole life: provisioned, restarted, deprovisioned, once more where that failed."""
    handle = await served.client.start_workflow(CloudPcWorkflow.run, request, id=id, task_queue=served.task_queue)
    await _at_rest(handle)
    await handle.signal("restart", {})
    while (await _at_rest(handle)).status != CloudPcStatus.NOT_PROVISIONED:
        await handle.signal("deprovision", {})
    return handle


async def _at_rest(handle: WorkflowHandle[CloudPcWorkflow, CloudPc]) -> CloudPc:
    async with asyncio.timeout(60):
        while True:
            pc = await handle.query(CloudPcWorkflow.cloud_pc)
            if is_settled(pc) or pc.status == CloudPcStatus.NOT_PROVISIONED:
                return pc
            await asyncio.sleep(0.1)


async def _entra_joined(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    made = policy(userAccountType="administrator", windowsSetting={"locale": "de-DE"})
    return await _live(served, id, _request(id, made))


async def _hybrid_joined(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    made = joining("hybridAzureADJoin", connection())
    return await _live(served, id, _request(id, made).model_copy(update={"connections": (connection(),)}))


def _request(id: str, made: ProvisioningPolicy) -> CloudPcRequest:
    user = User.model_validate(USER)
    return CloudPcRequest(id=id, policy=made, service_plan=PLANS.service_plans[0], user=user)


async def _provision(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    # Its own policy, for the Cloud PC's id is made from it.
    request = ProvisionRequest(policy=policy(id=id[:40]), service_plan=PLANS.service_plans[0], user="ada@contoso.com")
    return await served.client.start_workflow(ProvisionWorkflow.run, request, id=id, task_queue=served.task_queue)


async def _doctor(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    request = DoctorRequest(regions=("westeurope", "northeurope"), service_plans=PLANS.service_plans[:1])
    return await served.client.start_workflow(DoctorWorkflow.run, request, id=id, task_queue=served.task_queue)


async def _repair(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    request = RepairRequest(finding_ids=("orphan",))
    return await served.client.start_workflow(RepairWorkflow.run, request, id=id, task_queue=served.task_queue)


async def _plan(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    request = ApplyRequest(policy=_ASSIGNED, service_plans=PLANS)
    return await served.client.start_workflow(FleetPlanWorkflow.run, request, id=id, task_queue=served.task_queue)


async def _policy(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    request = ApplyRequest(policy=_ASSIGNED, service_plans=PLANS)
    return await served.client.start_workflow(
        ProvisioningPolicyWorkflow.run, request, id=id, task_queue=served.task_queue
    )


async def _rollout(served: Hands, id: str) -> WorkflowHandle[Any, Any]:
    request = RolloutRequest(rollout_id="r", policy=policy())
    return await served.client.start_workflow(RolloutWorkflow.run, request, id=id, task_queue=served.task_queue)


LIVES: dict[Begin, set[str]] = {
    _hybrid_joined: {
        "join_domain",
        "wait_for_entra_device",
        "remove_domain_join_extension",
        "remove_computer_account",
    },
    _provision: {"find_user"},
    _doctor: {row.name for row in ACTIVITIES if row.name.startswith("check_")} - {"check_room"},
    _repair: {"audit", "revoke_roles"},
    _plan: {"plan_fleet", "check_room"},
    _policy: {"reconcile_fleet"},
    _rollout: {"choose_cloud_pcs", "start_wave", "await_wave"},
}
"""The workflows and the activities that they are there for; all others are in the life of an Entra-joined Cloud PC."""
LIFE_OF: dict[str, Begin] = {name: life for life, names in LIVES.items() for name in names}


@pytest_asyncio.fixture
async def served(temporal_client: Client) -> AsyncGenerator[Hands]:
    async with hands(temporal_client) as made:
        yield made


def _once(name: str, *answers: Result | Failed) -> Answer:
    """Give an activity these answers, one after the other, and then the right one."""

    def answer(task: Any, number: int) -> Result | Failed:
        if task.activity_type.name == name and number <= len(answers):
            return answers[number - 1]
        return right(task, number)

    return answer


async def _goes_on(served: Hands, name: str, answer: Answer) -> WorkflowHandle[Any, Any]:
    """Begin the workflow that has an activity, end that by hand, and see that every workflow of it answers."""
    id = f"h{uuid.uuid4().hex}"
    served.answers[id] = answer
    handle = await LIFE_OF.get(name, _entra_joined)(served, id)
    async with asyncio.timeout(60):
        while not any(each[1] == name for each in served.seen if each[0].removeprefix("remains-") == id):
            await asyncio.sleep(0.05)
    if name not in ("reconcile_fleet", "start_wave", "await_wave"):
        # What lives on until it is told otherwise is looked at as it is.
        async with asyncio.timeout(60):
            try:
                await handle.result()
            except WorkflowFailureError as error:
                assert isinstance(error.cause, ApplicationError) and error.cause.message == "gave up", name
    ids = {each[0] for each in served.seen if each[0].removeprefix("remains-") == id}
    for each in ids:
        run = served.client.get_workflow_handle(each)
        assert await failed_tasks(run) == [], name
        await run.query("__temporal_workflow_metadata")
        if (await run.describe()).status == WorkflowExecutionStatus.RUNNING:
            with contextlib.suppress(RPCError):
                await run.terminate("the test has ended")
    return handle


async def _for_all(served: Hands, *answers: Result | Failed) -> None:
    room = asyncio.Semaphore(12)

    async def one(name: str) -> None:
        async with room:
            await _goes_on(served, name, _once(name, *answers))

    await asyncio.gather(*(one(row.name) for row in ACTIVITIES))


async def test_any_result_that_is_given_by_hand(served: Hands) -> None:
    await _for_all(served, Result(b"[]"), Result(b"null"), Result(b'"done"'), Result(b"{}"))


@pytest.mark.parametrize("details", [b'"x"', b"17", b'{"attempts": "many"}', None], ids=["text", "number", "odd", "no"])
async def test_any_failure_that_is_given_by_hand(served: Hands, details: bytes | None) -> None:
    await _for_all(served, Failed(details))


async def test_every_activity_has_the_queue_of_its_service_and_an_id_that_can_be_typed(served: Hands) -> None:
    await _for_all(served)
    rows = {row.name: row for row in ACTIVITIES}
    assert {name for _, name, _, _ in served.seen} == set(rows)
    for _, name, activity_id, queue in served.seen:
        assert queue == service_queue(served.task_queue, rows[name].service), name
        in_region = [f"{rows[name].activity_id}-{region}" for region in ("westeurope", "northeurope")]
        assert activity_id in ([*in_region] if name == "check_capacity" else [rows[name].activity_id])

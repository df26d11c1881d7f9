"""Policies that are applied: groups of licensed users have Cloud PCs, and who leaves loses theirs."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

import activities.fleet
from activities.fleet import _GroupMember
from cloud.clients import CloudClients
from cloud.errors import failure
from contract import search_attributes
from local_stack import DEV_SERVER_ARGUMENTS, TEMPORAL
from models.cloud_pc import CloudPc, CloudPcStatus
from models.documents import load_service_plans
from models.fleet import Change, PlannedChange
from models.provisioning_policy import ProvisioningPolicy
from simulator.server import SimulatorServer
from tests.workflows.conftest import Handle, Lab, entra_connection, joining, policy
from worker import make_worker
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.plugin import PLUGIN
from workflows.provision import ProvisionRequest, ProvisionWorkflow
from workflows.provisioning_policy import (
    ApplyRequest,
    FleetPlanWorkflow,
    PlanResponse,
    PolicyState,
    PolicyStatus,
    ProvisioningPolicyWorkflow,
)
from workflows.rollout import RolloutRequest, RolloutState, RolloutStatus, RolloutWorkflow

GROUP, NESTED_GROUP = "9409d000-0000-4000-8000-000000000001", "9409d000-0000-4000-8000-000000000002"
PLAN = "CPC_E_2C_8GB_128GB"
ADA, ALAN, EDSGER, GRACE = (f"{name}@contoso.com" for name in ("ada", "alan", "edsger", "grace"))
Settled = (PolicyState.WAITING, PolicyState.HELD, PolicyState.FAILED)


@dataclass
class Fleet:
    """A policy on a simulated cloud, and what tests do with it."""

    lab: Lab

    def request(self, *connections: Any, made: ProvisioningPolicy | None = None, **changes: Any) -> ApplyRequest:
        fields: dict[str, Any] = {"id": "engineering", "assignments": [{"groupId": GROUP}]}
        made = made or policy(**fields | changes)
        return ApplyRequest(policy=made, connections=connections, service_plans=load_service_plans())

    async def plan(self, request: ApplyRequest) -> PlanResponse:
        return await self.lab.client.execute_workflow(
            FleetPlanWorkflow.run, request, id=f"plan-{uuid.uuid4()}", task_queue=self.lab.task_queue
        )

    async def apply(self, request: ApplyRequest) -> PolicyStatus:
        """Apply the policy and wait until it has been reconciled."""
        begin = WithStartWorkflowOperation(
            ProvisioningPolicyWorkflow.run,
            request,
            id=self.handle.id,
            task_queue=self.lab.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await self.lab.client.execute_update_with_start_workflow("apply", request, start_workflow_operation=begin)
        return await self.settled()

    @property
    def handle(self) -> WorkflowHandle[ProvisioningPolicyWorkflow, None]:
        return self.lab.client.get_workflow_handle_for(ProvisioningPolicyWorkflow.run, "policy-engineering")

    async def settled(self) -> PolicyStatus:
        return await self.until(lambda status: status.state in Settled)

    async def until(self, reached: Callable[[PolicyStatus], bool]) -> PolicyStatus:
        async with asyncio.timeout(60):
            while not reached(status := await self.handle.query(ProvisioningPolicyWorkflow.provisioning_policy)):
                await asyncio.sleep(0.05)
            return status

    async def reconcile(self) -> PolicyStatus:
        """Reconcile once more and wait for its end."""
        before = (await self.settled()).reconciled_date_time
        # What happened a moment ago must be where fleets are listed.
        await asyncio.sleep(0.3)
        await self.handle.signal("reconcile")
        return await self.until(lambda status: status.state in Settled and status.reconciled_date_time != before)

    def cloud_pc(self, user: str) -> Handle:
        id = f"engineering-{self.lab.user(user).id}"
        return self.lab.client.get_workflow_handle_for(CloudPcWorkflow.run, id)

    async def provisioned(self, user: str, attempt: int = 1) -> CloudPc:
        return await self.lab.settled(self.cloud_pc(user), attempt)

    @property
    def members(self) -> list[str]:
        return self.lab.cloud.directory.members[GROUP]

    def add(self, user: str) -> None:
        self.members.append(self.lab.user(user).id)

    def remove(self, user: str) -> None:
        self.members.remove(self.lab.user(user).id)

    def unlicense(self, user: str) -> list[dict[str, Any]]:
        """Take every licence of Windows 365 from a user, and return what they had."""
        found = self.lab.cloud.directory.users[self.lab.user(user).id]
        had: list[dict[str, Any]] = found["assignedLicenses"]
        found["assignedLicenses"] = had[1:]
        return had

    async def end(self) -> None:
        async for execution in self.lab.client.list_workflows("ExecutionStatus='Running'"):
            await self.lab.client.get_workflow_handle(execution.id).terminate("the test has ended")


@pytest_asyncio.fixture(scope="module")
async def own_server() -> AsyncGenerator[Client, None]:
    """A server of its own: every Cloud PC in the namespace is looked at."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(TEMPORAL), dev_server_extra_args=DEV_SERVER_ARGUMENTS, plugins=[PLUGIN]
    ) as environment:
        yield environment.client


@pytest_asyncio.fixture
async def fleet(own_server: Client, simulator: SimulatorServer, clients: CloudClients) -> AsyncGenerator[Fleet, None]:
    made = Fleet(Lab(own_server, clients, simulator.cloud, f"test-{uuid.uuid4()}"))
    async with make_worker(own_server, clients, task_queue=made.lab.task_queue):
        yield made
        await made.end()


def of(changes: tuple[PlannedChange, ...], change: Change) -> dict[str, str]:
    """Who is changed so, and why."""
    return {planned.user_principal_name: planned.reason for planned in changes if planned.change == change}


async def test_members_with_a_licence_get_a_cloud_pc_and_everyone_else_a_reason(fleet: Fleet) -> None:
    planned = await fleet.plan(fleet.request())
    status = await fleet.apply(fleet.request())
    assert status.state == PolicyState.WAITING and status.plan == planned.plan and not planned.is_held
    assert of(planned.plan.changes, Change.CREATED) == {ADA: ""}
    assert of(planned.plan.changes, Change.NOT_PROVISIONED) == {
        ALAN: "the account is disabled",
        EDSGER: "no licence of a service plan",
    }
    assert planned.plan.notes == (
        f"Cloud PC users, hybrid ({NESTED_GROUP}) is in the group {GROUP}: its members do not count",
    )
    needs = {need.name: need.needed for need in planned.requirements}
    assert needs["quota virtualMachines in westeurope"] == 1 and needs["quota cores in westeurope"] == 2
    pc = await fleet.provisioned(ADA)
    assert (pc.status, pc.service_plan, pc.primary_user) == (CloudPcStatus.PROVISIONED, PLAN, ADA)
    again = await fleet.reconcile()
    assert again.plan and again.plan.counts[Change.KEPT] == 1 and not of(again.plan.changes, Change.CREATED)
    assert len(fleet.lab.exists("Microsoft.Compute/virtualMachines")) == 1


async def test_a_plan_changes_nothing(fleet: Fleet) -> None:
    await fleet.plan(fleet.request())
    assert fleet.lab.cloud.ledger.entries == [] or all(
        entry.method == "POST" and "token" in entry.path for entry in fleet.lab.cloud.ledger.entries
    )


async def test_a_plan_of_the_assignment_needs_no_licence_of_it(fleet: Fleet) -> None:
    fleet.remove(ADA)
    fleet.add(GRACE)
    assignments = [{"groupId": GROUP, "servicePlanId": "CPC_E_2C_4GB_64GB"}]
    plan = (await fleet.plan(fleet.request(assignments=assignments))).plan
    assert plan.created == {"CPC_E_2C_4GB_64GB": 1}
    assert of(plan.changes, Change.CREATED) == {GRACE: ""}
    assert of(plan.changes, Change.NOT_PROVISIONED)[EDSGER] == "no Intune licence"


async def test_the_largest_licence_counts(fleet: Fleet) -> None:
    licences = fleet.lab.cloud.directory.users[fleet.lab.user(ADA).id]["assignedLicenses"]
    licences.append({"skuId": "96d2951e-cb42-4481-9d6d-cad3baac177e", "disabledPlans": []})
    assert (await fleet.plan(fleet.request())).plan.created == {"CPC_E_4C_16GB_256GB": 1}


async def test_who_leaves_keeps_the_cloud_pc_for_a_while_and_may_come_back(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.provisioned(ADA)
    fleet.remove(ADA)
    left = await fleet.reconcile()
    assert left.plan and of(left.plan.changes, Change.GRACE_PERIOD_STARTED) == {
        ADA: "not in the assigned groups any more"
    }
    pc = await fleet.lab.until(fleet.cloud_pc(ADA), lambda pc: pc.status == CloudPcStatus.IN_GRACE_PERIOD)
    end = pc.grace_period_end_date_time
    assert end and fleet.lab.exists("Microsoft.Compute/virtualMachines")
    found = (await fleet.cloud_pc(ADA).describe()).typed_search_attributes
    assert found.get(search_attributes.STATUS) == CloudPcStatus.IN_GRACE_PERIOD
    assert found.get(search_attributes.GRACE_PERIOD_END) is not None

    meanwhile = await fleet.reconcile()
    assert meanwhile.plan and list(of(meanwhile.plan.changes, Change.IN_GRACE_PERIOD)) == [ADA]
    assert (await fleet.cloud_pc(ADA).query(CloudPcWorkflow.cloud_pc)).grace_period_end_date_time == end

    fleet.add(ADA)
    back = await fleet.reconcile()
    assert back.plan and list(of(back.plan.changes, Change.GRACE_PERIOD_CANCELLED)) == [ADA]
    pc = await fleet.lab.until(fleet.cloud_pc(ADA), lambda pc: pc.status == CloudPcStatus.PROVISIONED)
    assert pc.grace_period_end_date_time is None and pc.attempt == 1


async def test_a_lost_licence_starts_the_grace_period_and_a_signal_ends_it(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.provisioned(ADA)
    fleet.unlicense(ADA)
    status = await fleet.reconcile()
    assert status.plan and of(status.plan.changes, Change.GRACE_PERIOD_STARTED) == {ADA: "no licence of a service plan"}
    await fleet.lab.until(fleet.cloud_pc(ADA), lambda pc: pc.status == CloudPcStatus.IN_GRACE_PERIOD)
    await fleet.cloud_pc(ADA).signal("endGracePeriod")
    assert (await fleet.lab.ended(fleet.cloud_pc(ADA))).status == CloudPcStatus.NOT_PROVISIONED
    fleet.lab.nothing_left()


async def test_without_a_grace_period_the_cloud_pc_is_taken_away_at_once(fleet: Fleet) -> None:
    request = fleet.request(gracePeriodInHours=0)
    await fleet.apply(request)
    await fleet.provisioned(ADA)
    fleet.remove(ADA)
    status = await fleet.reconcile()
    assert status.plan and list(of(status.plan.changes, Change.TAKEN_AWAY)) == [ADA]
    assert (await fleet.lab.ended(fleet.cloud_pc(ADA))).status == CloudPcStatus.NOT_PROVISIONED
    fleet.lab.nothing_left()


async def test_the_ceiling_holds_until_an_admin_says_proceed(fleet: Fleet) -> None:
    request = fleet.request(gracePeriodCeiling=0)
    await fleet.apply(request)
    await fleet.provisioned(ADA)
    fleet.remove(ADA)
    fleet.add(GRACE)
    planned = await fleet.plan(request)
    held = await fleet.reconcile()
    assert planned.is_held and held.state == PolicyState.HELD and "proceed" in held.problem
    # What harms nobody goes on.
    await fleet.provisioned(GRACE)
    assert (await fleet.cloud_pc(ADA).query(CloudPcWorkflow.cloud_pc)).status == CloudPcStatus.PROVISIONED
    await fleet.handle.signal("proceed")
    await fleet.lab.until(fleet.cloud_pc(ADA), lambda pc: pc.status == CloudPcStatus.IN_GRACE_PERIOD)
    assert (await fleet.settled()).state == PolicyState.WAITING


async def test_no_more_lose_their_user_than_the_admin_has_seen(fleet: Fleet) -> None:
    fleet.add(GRACE)
    request = fleet.request(gracePeriodCeiling=0)
    await fleet.apply(request)
    await fleet.provisioned(ADA)
    await fleet.provisioned(GRACE)
    fleet.remove(ADA)
    assert (await fleet.reconcile()).state == PolicyState.HELD
    fleet.remove(GRACE)
    before = (await fleet.settled()).reconciled_date_time
    await fleet.handle.signal("proceed")
    status = await fleet.until(lambda status: status.state in Settled and status.reconciled_date_time != before)
    assert status.state == PolicyState.HELD and status.plan and status.plan.grace_period_starts == 2
    for user in (ADA, GRACE):
        assert (await fleet.cloud_pc(user).query(CloudPcWorkflow.cloud_pc)).status == CloudPcStatus.PROVISIONED


async def test_a_group_that_is_gone_takes_nothing_away(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.provisioned(ADA)
    members = fleet.lab.cloud.directory.members.pop(GROUP)
    group = fleet.lab.cloud.directory.groups.pop(GROUP)
    status = await fleet.reconcile()
    assert status.state == PolicyState.FAILED and "GroupNotFound" in status.problem and "groupId" in status.problem
    assert (await fleet.cloud_pc(ADA).query(CloudPcWorkflow.cloud_pc)).status == CloudPcStatus.PROVISIONED
    fleet.lab.cloud.directory.members[GROUP], fleet.lab.cloud.directory.groups[GROUP] = members, group
    assert (await fleet.reconcile()).state == PolicyState.WAITING


@pytest.mark.parametrize("hours", [0, 1], ids=["at once", "with a grace period"])
async def test_members_that_cannot_be_read_lose_nothing(
    fleet: Fleet, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the application may read the group and not its users: null in every property but the id."""
    fleet.add(GRACE)
    await fleet.apply(fleet.request(gracePeriodInHours=hours, assignments=[{"groupId": GROUP, "servicePlanId": PLAN}]))
    for user in (ADA, GRACE):
        await fleet.provisioned(user)
    machines = fleet.lab.exists("Microsoft.Compute/virtualMachines")

    async def unreadable(self: Any, group_id: str) -> Any:
        for id in fleet.members:
            yield _GroupMember(id=id)

    monkeypatch.setattr("activities.fleet.Fleet._members", unreadable)
    status = await fleet.reconcile()
    assert status.state == PolicyState.FAILED
    assert "MembersUnreadable" in status.problem and "User.Read.All" in status.problem
    assert fleet.lab.exists("Microsoft.Compute/virtualMachines") == machines
    for user in (ADA, GRACE):
        pc = await fleet.cloud_pc(user).query(CloudPcWorkflow.cloud_pc)
        assert pc.status == CloudPcStatus.PROVISIONED and pc.remote_actions == ()


async def test_one_cloud_pc_that_cannot_be_reached_stops_nobody_else(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assigned = [{"groupId": GROUP, "servicePlanId": PLAN}]
    await fleet.apply(fleet.request(assignments=assigned))
    await fleet.provisioned(ADA)
    send = activities.fleet._signal

    async def limited(client: Client, id: str, name: str, *message: Any) -> None:
        if id.endswith(fleet.lab.user(ADA).id):
            raise RPCError("exceeded workflow execution limit for signal events", RPCStatusCode.INVALID_ARGUMENT, b"")
        await send(client, id, name, *message)

    monkeypatch.setattr(activities.fleet, "_signal", limited)
    fleet.remove(ADA)
    fleet.add(GRACE)
    status = await fleet.reconcile()
    assert status.state == PolicyState.WAITING
    assert fleet.lab.user(ADA).id in status.problem and "limit for signal events" in status.problem
    assert (await fleet.provisioned(GRACE)).status == CloudPcStatus.PROVISIONED


async def test_a_wave_that_cannot_begin_pauses_the_rollout_and_begins_after_resume(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.add(GRACE)
    await fleet.apply(fleet.request(assignments=[{"groupId": GROUP, "servicePlanId": PLAN}]))
    for user in (ADA, GRACE):
        await fleet.provisioned(user)
    await asyncio.sleep(0.3)

    async def refused(client: Any, id: str, name: str, *request: Any) -> None:
        raise failure("GroupNotFound", "nobody can be asked")

    with monkeypatch.context() as patched:
        patched.setattr("activities.fleet._signal", refused)
        handle = await fleet.lab.client.start_workflow(
            RolloutWorkflow.run,
            RolloutRequest(rollout_id="r1", policy=policy(id="engineering"), everyone=True, canary_size=1),
            id="rollout-engineering",
            task_queue=fleet.lab.task_queue,
        )
        async with asyncio.timeout(30):
            while (status := await handle.query(RolloutWorkflow.rollout)).state != RolloutState.PAUSED:
                await asyncio.sleep(0.05)
    assert "could not begin" in status.problem and (status.waves, status.remaining) == (0, 2)
    await handle.signal("resume")
    async with asyncio.timeout(60):
        ended = await handle.result()
    assert (ended.state, ended.reprovisioned, ended.waves) == (RolloutState.COMPLETED, 2, 2)


async def test_an_edit_touches_no_cloud_pc_until_it_is_reprovisioned(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.provisioned(ADA)
    edited = fleet.request(userAccountType="administrator")
    status = await fleet.apply(edited)
    assert status.plan and list(of(status.plan.changes, Change.CHANGED_ON_NEXT_REPROVISION)) == [ADA]
    assert (await fleet.cloud_pc(ADA).query(CloudPcWorkflow.cloud_pc)).attempt == 1
    await fleet.cloud_pc(ADA).signal("reprovision", {"policy": edited.policy.model_dump(mode="json", by_alias=True)})
    await fleet.provisioned(ADA, attempt=2)
    kept = await fleet.reconcile()
    assert kept.plan and kept.plan.counts[Change.KEPT] == 1


async def test_who_may_stay_longer_is_no_change_of_the_cloud_pc(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.provisioned(ADA)
    status = await fleet.apply(fleet.request(gracePeriodInHours=24))
    assert status.plan and status.plan.counts[Change.KEPT] == 1


async def test_a_cloud_pc_made_by_hand_is_left_alone(fleet: Fleet) -> None:
    request = fleet.request()
    plan = request.service_plans.find(PLAN)
    assert plan
    await fleet.lab.client.execute_workflow(
        ProvisionWorkflow.run,
        ProvisionRequest(policy=request.policy, service_plan=plan, user=GRACE),
        id="provision-grace",
        task_queue=fleet.lab.task_queue,
    )
    await fleet.provisioned(GRACE)
    status = await fleet.apply(request)
    assert status.plan and status.plan.counts[Change.KEPT] == 1 and status.plan.grace_period_starts == 0


async def test_a_user_of_another_policy_gets_no_second_cloud_pc(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.provisioned(ADA)
    plan = (await fleet.plan(fleet.request(id="design"))).plan
    assert of(plan.changes, Change.NOT_PROVISIONED)[ADA] == "has a Cloud PC of the policy engineering"


async def test_the_plan_counts_the_addresses_of_a_connection(fleet: Fleet) -> None:
    places = joining("azureADJoin", entra_connection(), assignments=[{"groupId": GROUP}])
    response = await fleet.plan(fleet.request(entra_connection(), made=places))
    needs = {need.name: need for need in response.requirements}
    addresses = needs["addresses of Headquarters"]
    assert addresses.needed == 1 and addresses.available > 1 and addresses.is_met


async def rolled_out(fleet: Fleet, **changes: Any) -> WorkflowHandle[RolloutWorkflow, RolloutStatus]:
    """Begin with a rollout of another user account type to Ada's, Grace's and Edsger's Cloud PCs."""
    assignments = [{"groupId": GROUP, "servicePlanId": PLAN}]
    directory = fleet.lab.cloud.directory.users
    directory[fleet.lab.user(EDSGER).id]["assignedLicenses"] = directory[fleet.lab.user(ADA).id]["assignedLicenses"]
    fleet.add(GRACE)
    await fleet.apply(fleet.request(assignments=assignments))
    for user in (ADA, GRACE, EDSGER):
        assert (await fleet.provisioned(user)).status == CloudPcStatus.PROVISIONED
    await asyncio.sleep(0.3)
    made = fleet.request(assignments=assignments, userAccountType="administrator").policy
    fields: dict[str, Any] = {
        "rollout_id": "r1",
        "policy": made,
        "canary_size": 1,
        "wave_size": 2,
        "max_failure_rate": 0,
    }
    return await fleet.lab.client.start_workflow(
        RolloutWorkflow.run,
        RolloutRequest(**fields | changes),
        id="rollout-engineering",
        task_queue=fleet.lab.task_queue,
    )


async def until(
    handle: WorkflowHandle[RolloutWorkflow, RolloutStatus], reached: Callable[[RolloutStatus], bool]
) -> RolloutStatus:
    async with asyncio.timeout(60):
        while not reached(status := await handle.query(RolloutWorkflow.rollout)):
            await asyncio.sleep(0.05)
        return status


async def test_a_rollout_reprovisions_wave_after_wave(fleet: Fleet) -> None:
    rollout = await rolled_out(fleet)
    async with asyncio.timeout(60):
        status = await rollout.result()
    assert (status.state, status.reprovisioned, status.failed) == (RolloutState.COMPLETED, 3, 0)
    assert status.waves == 2
    pcs = [await fleet.cloud_pc(user).query(CloudPcWorkflow.cloud_pc) for user in (ADA, GRACE, EDSGER)]
    assert [(pc.attempt, pc.status, pc.rollout_id) for pc in pcs] == [(2, CloudPcStatus.PROVISIONED, "r1")] * 3
    kept = await fleet.apply(fleet.request(assignments=[{"groupId": GROUP}], userAccountType="administrator"))
    assert kept.plan and kept.plan.counts[Change.KEPT] == 3


async def test_a_rollout_asks_each_cloud_pc_once_however_often_it_asks(fleet: Fleet) -> None:
    rollout = await rolled_out(fleet)
    wish = {"rolloutId": "r1", "reason": "again"}
    for _ in range(3):
        for user in (ADA, GRACE, EDSGER):
            await fleet.cloud_pc(user).signal("reprovision", wish)
            await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        await rollout.result()
    for user in (ADA, GRACE, EDSGER):
        assert (await fleet.provisioned(user, attempt=2)).rollout_id == "r1"


async def test_a_rollout_pauses_when_the_canary_fails_and_goes_on_or_ends(fleet: Fleet) -> None:
    rollout = await rolled_out(fleet, max_failure_rate=0.4)
    fleet.lab.fail("PUT", r"/virtualMachines/[^/]+$", "AuthorizationFailed", 403, times=1)
    paused = await until(rollout, lambda status: status.state == RolloutState.PAUSED)
    assert (paused.failed, paused.remaining, len(paused.failed_cloud_pcs)) == (1, 2, 1) and "resume" in paused.problem
    [failed] = paused.failed_cloud_pcs
    others = [user for user in (ADA, GRACE, EDSGER) if fleet.cloud_pc(user).id != failed]
    for user in others:
        assert (await fleet.cloud_pc(user).query(CloudPcWorkflow.cloud_pc)).attempt == 1
    await rollout.signal("resume")
    async with asyncio.timeout(60):
        status = await rollout.result()
    assert (status.state, status.reprovisioned, status.failed) == (RolloutState.COMPLETED, 2, 1)


async def test_a_taking_away_that_failed_is_tried_again_later(fleet: Fleet) -> None:
    request = fleet.request(gracePeriodInHours=0)
    await fleet.apply(request)
    await fleet.provisioned(ADA)
    fleet.lab.fail("DELETE", r"/virtualMachines/[^/]+$", "ScopeLocked", 409, times=1000)
    fleet.remove(ADA)
    await fleet.reconcile()
    pc = await fleet.lab.until(fleet.cloud_pc(ADA), lambda pc: pc.status == CloudPcStatus.FAILED)
    found = (await fleet.cloud_pc(ADA).describe()).typed_search_attributes
    assert pc.grace_period_end_date_time and pc.grace_period_end_date_time > datetime.now(UTC) + timedelta(minutes=55)
    assert found.get(search_attributes.GRACE_PERIOD_END) == pc.grace_period_end_date_time
    assert found.get(search_attributes.FAILURE) == "delete_virtual_machine: ScopeLocked"


async def test_an_aborted_rollout_lets_what_has_begun_go_on(fleet: Fleet) -> None:
    rollout = await rolled_out(fleet, canary_size=0, wave_size=1)
    await until(rollout, lambda status: status.in_wave == 1)
    await rollout.signal("abort")
    await rollout.signal("abbort")
    async with asyncio.timeout(60):
        status = await rollout.result()
    assert (status.state, status.remaining) == (RolloutState.ABORTED, 2)
    attempts = [
        (await fleet.cloud_pc(user).query(CloudPcWorkflow.cloud_pc)).rollout_id for user in (ADA, GRACE, EDSGER)
    ]
    assert attempts.count("r1") == 1


async def test_an_unusable_apply_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    for wish, word in (
        (fleet.request(id="design"), "policy.id"),
        (fleet.request(assignments=[{"groupId": GROUP, "servicePlanId": "nonsense"}]), "servicePlanId"),
        (fleet.request(made=joining("azureADJoin", entra_connection())), "policy"),
        ({"policy": {}}, "policy"),
    ):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await fleet.handle.execute_update("apply", wish)
        assert word in str(refused.value.cause)
    assert (await fleet.settled()).state == PolicyState.WAITING


async def test_a_malformed_signal_is_shown(fleet: Fleet) -> None:
    await fleet.apply(fleet.request())
    await fleet.handle.signal("proceed")
    await fleet.handle.signal("proceed", {"gracePeriodStart": 3})
    await fleet.handle.signal("reconsile")
    status = await fleet.until(lambda status: len(status.refused_signals) == 3)
    errors = [refused.error for refused in status.refused_signals]
    assert errors[0] == "nothing is held" and "gracePeriodStarts" in errors[1] and "reconcile" in errors[2]


async def test_the_grace_period_ends_and_the_policy_looks_by_itself(
    simulator: SimulatorServer, clients: CloudClients
) -> None:
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(TEMPORAL),
        dev_server_extra_args=[
            *DEV_SERVER_ARGUMENTS,
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
        ],
        plugins=[PLUGIN],
    ) as environment:
        lab = Lab(environment.client, clients, simulator.cloud, "skipping")
        fleet = Fleet(replace(lab, task_queue="skipping"))
        async with make_worker(environment.client, clients, task_queue="skipping"):
            await fleet.apply(fleet.request())
            pc = await fleet.provisioned(ADA)
            fleet.remove(ADA)
            async with asyncio.timeout(60):
                gone = await fleet.cloud_pc(ADA).result()
            assert gone.status == CloudPcStatus.NOT_PROVISIONED and gone.attempt == pc.attempt
            described = await fleet.cloud_pc(ADA).describe()
            assert described.close_time and described.close_time - described.start_time > timedelta(days=7)
            await fleet.end()
    lab.nothing_left()

"""A policy's fleet: its groups' members and their licences, and the Cloud PCs that there are for them."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable

from msgraph.generated.groups.item.members.graph_group.graph_group_request_builder import GraphGroupRequestBuilder
from msgraph.generated.groups.item.members.graph_user.graph_user_request_builder import GraphUserRequestBuilder
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio import activity
from temporalio.client import Client, WorkflowExecution
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from cloud.arm.networks import ConnectedNetworks
from cloud.arm.vm_sizes import VmSizes
from cloud.clients import CloudClients
from cloud.concurrency import each
from cloud.errors import failure, not_yet
from cloud.graph.lists import Entity, advanced, listed
from contract import search_attributes, steps
from contract.fleet import (
    AwaitWaveInput,
    ChooseInput,
    ChosenCloudPcs,
    FleetInput,
    Reconciled,
    ReconcileInput,
    Room,
    RoomInput,
    StartWaveInput,
    WaveResult,
)
from domain.fleet import Decision, KnownCloudPc, Member, decide, settings_version
from domain.naming import cloud_pc_id
from domain.status import is_settled
from models.base import GraphModel
from models.cloud_pc import CloudPc, CloudPcRequest, CloudPcStatus, User
from models.fleet import FleetPlan, Requirement
from models.provisioning_policy import Assignment
from models.remote_actions import StartGracePeriod
from models.service_plan import ServicePlan
from models.validation import bounded

_AT_ONCE = 20
"""Requests to the Temporal server at the same time."""
_UNREACHED_SHOWN = 10
_SERVER_IS_AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)
"""What says nothing of the one Cloud PC that was asked: everything is tried again."""
_PAGE = 999
"""Members a page, the most that Graph gives."""
_GRANTED = frozenset({"Enabled", "Warning"})
"""`capabilityStatus` of a plan that can be used. Source: https://learn.microsoft.com/graph/api/resources/assignedplan"""


class _AssignedPlan(GraphModel):
    service_plan_id: str | None = None
    capability_status: str | None = None


class _GroupMember(Entity):
    user_principal_name: str | None = None
    display_name: str | None = None
    account_enabled: bool | None = None
    assigned_plans: list[_AssignedPlan] | None = None
    on_premises_user_principal_name: str | None = None
    on_premises_sync_enabled: bool | None = None


class _Group(Entity):
    display_name: str | None = None


class Fleet:
    """Brings what a policy's groups ask for and the Cloud PCs that there are into line.

    One paged request a group tells members and licences alike, so that delta queries, which do not tell licences,
    would save nothing. Source: https://learn.microsoft.com/graph/api/group-list-members
    """

    def __init__(self, clients: CloudClients) -> None:
        self._graph = clients.graph
        self._sizes = VmSizes(clients)
        self._networks = ConnectedNetworks(clients)
        self._poll_interval = clients.settings.poll_interval

    @steps.PLAN_FLEET.implemented_by
    async def plan_fleet(self, request: FleetInput) -> FleetPlan:
        """Return what a reconciliation would do.

        Raises:
            ApplicationError: `GroupNotFound`.

        """
        decision, notes = await self._decide(request)
        return decision.plan(notes)

    @steps.RECONCILE_FLEET.implemented_by
    async def reconcile_fleet(self, request: ReconcileInput) -> Reconciled:
        """Start the Cloud PCs that are missing, and let grace periods begin and end.

        Raises:
            ApplicationError: `GroupNotFound` or `MembersUnreadable`; nothing was changed.

        """
        decision, notes = await self._decide(request)
        plan = decision.plan(notes)
        is_held = plan.is_above(request.grace_period_starts)
        client = activity.client()

        unreached: list[str] = []

        async def reach(id: str, work: Awaitable[None]) -> None:
            """Do something with one Cloud PC; one that cannot be reached keeps none of the others from it."""
            try:
                await work
            except RPCError as error:
                if error.status in _SERVER_IS_AWAY:
                    raise
                unreached.append(bounded(f"{id}: {error}"))

        async def start(chosen: tuple[User, ServicePlan]) -> None:
            id = cloud_pc_id(request.policy.id, chosen[0].id)
            await reach(id, _start(client, request, *chosen))

        async def leave(pc: KnownCloudPc) -> None:
            message = StartGracePeriod(grace_period_in_hours=request.policy.grace_period_in_hours)
            await reach(pc.id, _signal(client, pc.id, "startGracePeriod", message))

        async def stay(pc: KnownCloudPc) -> None:
            await reach(pc.id, _signal(client, pc.id, "cancelGracePeriod"))

        await each(decision.stay, stay, at_once=_AT_ONCE)
        await each(decision.create, start, at_once=_AT_ONCE)
        if not is_held:
            await each(decision.leave, leave, at_once=_AT_ONCE)
        return Reconciled(plan=plan, is_held=is_held, unreached=tuple(sorted(unreached)[:_UNREACHED_SHOWN]))

    @steps.CHOOSE_CLOUD_PCS.implemented_by
    async def choose_cloud_pcs(self, request: ChooseInput) -> ChosenCloudPcs:
        """Return a policy's Cloud PCs that have other settings or failed, or all; none that is about to go."""
        settings = settings_version(request.policy, request.connections)
        return ChosenCloudPcs(
            cloud_pc_ids=tuple(
                sorted(
                    [
                        pc.id
                        async for pc in known_cloud_pcs(activity.client(), request.policy.id)
                        if pc.status != CloudPcStatus.DEPROVISIONING
                        and not pc.grace_period_end
                        and (request.everyone or pc.settings != settings or pc.status == CloudPcStatus.FAILED)
                    ]
                )
            )
        )

    @steps.START_WAVE.implemented_by
    async def start_wave(self, request: StartWaveInput) -> None:
        """Ask Cloud PCs to be reprovisioned; asked twice by the same rollout, they are once."""
        client = activity.client()

        async def ask(id: str) -> None:
            await _signal(client, id, "reprovision", request.wish)

        await each(request.cloud_pc_ids, ask, at_once=_AT_ONCE)

    @steps.AWAIT_WAVE.implemented_by
    async def await_wave(self, request: AwaitWaveInput) -> WaveResult:
        """Return what came of a wave.

        Raises:
            ApplicationError: Some are still being made; transient.

        """
        client, failed, pending, gone = activity.client(), list[str](), list[str](), list[str]()

        async def look(id: str) -> None:
            try:
                pc = await client.get_workflow_handle(id).query("cloud_pc", result_type=CloudPc)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                gone.append(id)
                return
            if pc.status == CloudPcStatus.NOT_PROVISIONED:
                gone.append(id)
            elif pc.rollout_id != request.rollout_id or not is_settled(pc):
                pending.append(id)
            elif pc.status == CloudPcStatus.FAILED:
                failed.append(id)

        await each(request.cloud_pc_ids, look, at_once=_AT_ONCE)
        if pending:
            raise not_yet(
                f"{len(pending)} of {len(request.cloud_pc_ids)} are being reprovisioned",
                self._poll_interval,
            )
        done = len(request.cloud_pc_ids) - len(failed) - len(gone)
        return WaveResult(reprovisioned=done, failed=tuple(failed), gone=len(gone))

    @steps.CHECK_ROOM.implemented_by
    async def check_room(self, request: RoomInput) -> Room:
        """Return what new Cloud PCs need of quota and addresses at the policy's first place, and what is free."""
        place = request.policy.domain_join_configurations[0]
        connection = next((each for each in request.connections if each.id == place.on_premises_connection_id), None)
        region, requirements = place.region_name or "", list[Requirement]()
        if connection:
            region, free = await self._networks.free_addresses(connection)
            name = f"addresses of {connection.display_name}"
            requirements.append(Requirement(name=name, needed=sum(request.created.values()), available=free))
        group_id = connection.resource_group_id if connection else None
        plans = {plan_id: request.service_plans.find(plan_id) for plan_id in request.created}
        sizes = {size for plan in plans.values() if plan for size in plan.vm_sizes}
        offers = await self._sizes.offers(group_id, region, sizes)
        needs = Counter[str]()
        for plan_id, plan in plans.items():
            number = request.created[plan_id]
            offered = [offers[size] for size in (plan.vm_sizes if plan else ()) if offers[size].refusal is None]
            if offered:
                needs.update(offered[0].needs(number))
            else:
                requirements.append(Requirement(name=f"VM sizes of {plan_id} in {region}", needed=number, available=0))
        for name, quota in (await self._sizes.quotas(group_id, region)).items():
            if name in needs:
                what = f"quota {quota.name} in {region}"
                requirements.append(Requirement(name=what, needed=needs[name], available=quota.free))
        return Room(requirements=tuple(requirements))

    async def _decide(self, request: FleetInput) -> tuple[Decision, list[str]]:
        notes: list[str] = []
        members: list[tuple[Assignment, list[Member]]] = []
        for assignment in request.policy.assignments:
            members.append((assignment, [_member(user) async for user in self._members(assignment.group_id)]))
            notes += [note async for note in self._nested_groups(assignment.group_id)]
        cloud_pcs = [pc async for pc in known_cloud_pcs(activity.client())]
        settings = settings_version(request.policy, request.connections)
        return decide(request.policy, settings, request.service_plans, members, cloud_pcs), notes

    async def _members(self, group_id: str) -> AsyncIterator[_GroupMember]:
        """Yield the users that are a group's own members, with their licences."""
        builder = self._graph.groups.by_group_id(group_id).members.graph_user
        query = GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(
            count=True,
            top=_PAGE,
            select=[
                "id",
                "userPrincipalName",
                "displayName",
                "accountEnabled",
                "assignedPlans",
                "onPremisesUserPrincipalName",
                "onPremisesSyncEnabled",
            ],
        )
        try:
            async for user in listed(builder, _GroupMember, advanced(query)):
                yield user
        except ODataError as error:
            if error.response_status_code == 404:
                raise failure("GroupNotFound", f"Entra ID knows no group {group_id}") from error
            raise

    async def _nested_groups(self, group_id: str) -> AsyncIterator[str]:
        """Yield a note for each group in a group: its members do not count."""
        builder = self._graph.groups.by_group_id(group_id).members.graph_group
        query = GraphGroupRequestBuilder.GraphGroupRequestBuilderGetQueryParameters(
            count=True, select=["id", "displayName"]
        )
        async for group in listed(builder, _Group, advanced(query)):
            yield f"{group.display_name} ({group.id}) is in the group {group_id}: its members do not count"


async def known_cloud_pcs(client: Client, policy_id: str | None = None) -> AsyncIterator[KnownCloudPc]:
    """Yield every Cloud PC that there is, or those of a policy."""
    query = search_attributes.RUNNING
    if policy_id:
        query += f' AND {search_attributes.POLICY_ID.name}="{policy_id}"'
    async for execution in client.list_workflows(query):
        yield await _known(execution)


async def _known(execution: WorkflowExecution) -> KnownCloudPc:
    found = execution.typed_search_attributes
    memo = await execution.memo()
    return KnownCloudPc(
        id=execution.id,
        policy_id=found.get(search_attributes.POLICY_ID) or "",
        user_id=found.get(search_attributes.USER_ID) or "",
        user_principal_name=str(memo.get(search_attributes.MEMO_USER, "")),
        status=found.get(search_attributes.STATUS) or CloudPcStatus.PROVISIONING,
        service_plan=found.get(search_attributes.SERVICE_PLAN) or "",
        settings=memo.get(search_attributes.MEMO_SETTINGS),
        is_assigned=bool(memo.get(search_attributes.MEMO_ASSIGNED)),
        grace_period_end=found.get(search_attributes.GRACE_PERIOD_END),
    )


async def _start(client: Client, request: ReconcileInput, user: User, plan: ServicePlan) -> None:
    """Start a Cloud PC; one that exists already stays as it is."""
    policy = request.policy
    id = cloud_pc_id(policy.id, user.id)
    wanted = CloudPcRequest(
        id=id,
        # Whom else the policy is assigned to is nothing that each of its Cloud PCs must carry along.
        policy=policy.model_copy(update={"assignments": ()}),
        connections=request.connections,
        service_plan=plan,
        user=user,
    )
    try:
        await client.start_workflow(
            "CloudPcWorkflow",
            wanted,
            id=id,
            task_queue=request.task_queue or activity.info().task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"{policy.display_name} · {plan.display_name}",
            memo=search_attributes.memo_of_new(user, policy, request.connections, is_assigned=True),
            search_attributes=search_attributes.of_new(policy, user, plan),
        )
    except WorkflowAlreadyStartedError:
        return


async def _signal(client: Client, id: str, name: str, *message: GraphModel) -> None:
    """Send a signal; to a Cloud PC that is gone it has nothing to say."""
    try:
        await client.get_workflow_handle(id).signal(name, *message)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


def _member(user: _GroupMember) -> Member:
    """Return a member with their licences.

    Where the worker's identity may read the group and not the users, Graph answers with their ids, and null for all
    else. That says nothing of licences, and nobody may lose a Cloud PC by it.
    Source: https://learn.microsoft.com/graph/permissions-overview#limited-information-returned-for-inaccessible-member-objects

    Raises:
        ApplicationError: `MembersUnreadable`.

    """
    name, plans, is_enabled = user.user_principal_name, user.assigned_plans, user.account_enabled
    if name is None or plans is None or is_enabled is None:
        raise failure("MembersUnreadable", f"Entra ID tells no more of the member {user.id} than the id")
    return Member(
        user=User(
            id=user.id,
            user_principal_name=name,
            display_name=user.display_name or name,
            on_premises_user_principal_name=user.on_premises_user_principal_name,
        ),
        service_plan_ids=frozenset(str(plan.service_plan_id) for plan in plans if plan.capability_status in _GRANTED),
        account_enabled=is_enabled,
        # Of an account that was never synchronized, null is what Graph answers.
        is_synchronized=bool(user.on_premises_sync_enabled),
    )

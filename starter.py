"""The operator's command line: provision Cloud PCs, look at them, reprovision and deprovision them."""

import asyncio
import contextlib
import getpass
import json
import socket
import sys
import textwrap
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

import click
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import CancelledError, TerminatedError, TimeoutError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contract import search_attributes
from contract.errors import read_failure
from contract.steps import STEPS, step_named
from domain.status import SETTLED, is_settled
from models.audit import MAX_REPAIRED, OLDER_THAN, Finding, FindingState
from models.azure_network_connection import AzureNetworkConnection, UnusableConnectionError, connections_of
from models.base import GraphModel
from models.cloud_pc import CloudPc, CloudPcStatus, StepState, StepStatus
from models.doctor import CheckState
from models.documents import DocumentError, load_connection, load_policy, load_service_plans
from models.fleet import Change, FleetPlan
from models.provisioning_policy import ProvisioningPolicy, UserAccountType
from models.remote_actions import UNDER_WAY, Accepted, ActionRequest, ActionState, RemoteActionResult, Reprovision
from models.service_plan import ServicePlan, ServicePlanCatalogue
from models.types import CloudPcName, PolicyId, Reason, RegionName, ResourceId, UserName
from models.validation import bounded, did_you_mean, problems
from workflows.audit import (
    AuditRequest,
    AuditResponse,
    AuditWorkflow,
    RemainsWorkflow,
    RepairRequest,
    RepairResponse,
    RepairWorkflow,
)
from workflows.cloud_pc.actions import ACTIONS, REPROVISION, RemoteAction
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.connection import ConnectionFailedError, ProfileError, connect
from workflows.doctor import DoctorRequest, DoctorResponse, DoctorWorkflow
from workflows.plugin import TASK_QUEUE
from workflows.process import end_process
from workflows.provision import ProvisionRequest, ProvisionResponse, ProvisionWorkflow
from workflows.provisioning_policy import (
    ApplyRequest,
    FleetPlanWorkflow,
    PlanResponse,
    PolicyState,
    PolicyStatus,
    ProvisioningPolicyWorkflow,
)
from workflows.rollout import RolloutRequest, RolloutState, RolloutWorkflow


class ExitCode(IntEnum):
    """How a command ends; `--help` and the README are made from the meanings."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member of its code and what it means."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    DONE = 0, "done; with --wait: the Cloud PC is provisioned, with or without warnings, or gone, or the action is done"
    FAILED = (
        1,
        "refused; with --wait: the Cloud PC ended failed, the action failed or was canceled, the policy is held or "
        "failed; rollout: it paused, or some failed; plan: too little quota or too few addresses, or it would be held; "
        "doctor: something is missing; audit: something was found",
    )
    WRONG_INPUT = 2, "wrong input: a file, an argument, an environment variable"
    NOT_FOUND = 3, "no such Cloud PC or user"
    NO_ANSWER = 4, "the Temporal server or the worker does not answer"
    INTERRUPTED = 130, "interrupted by Ctrl-C; what was asked for goes on"


_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(
    textwrap.fill(f"{code:>4}  {code.meaning}", 80, subsequent_indent=" " * 6) for code in ExitCode
)

_ACTIONS_SHOWN = 3
_LOOK_EVERY = 0.5
_WATCH_EVERY = 2.0
_ANSWER_WITHIN = timedelta(seconds=20)
_MARKS = {
    StepState.PENDING: ("·", "dim"),
    StepState.RUNNING: ("▶", "cyan"),
    StepState.SUCCEEDED: ("✔", "green"),
    StepState.WARNING: ("!", "yellow"),
    StepState.FAILED: ("✘", "red"),
    StepState.NOT_APPLICABLE: ("–", "dim"),
}
_CHECK_MARKS = {
    CheckState.PASSED: ("✔", "green"),
    CheckState.WARNING: ("!", "yellow"),
    CheckState.FAILED: ("✘", "red"),
    CheckState.NOT_CHECKED: ("?", "yellow"),
}

_FINDING_MARKS = {
    FindingState.ORPHAN: ("✘", "red"),
    FindingState.LEFT_OVER: ("✘", "red"),
    FindingState.MISSING: ("!", "yellow"),
    FindingState.DIFFERENT: ("!", "yellow"),
    FindingState.NOT_CHECKED: ("?", "yellow"),
}

_CHANGE_MARKS = {
    Change.CREATED: ("+", "green"),
    Change.KEPT: ("·", "dim"),
    Change.CHANGED_ON_NEXT_REPROVISION: ("~", "cyan"),
    Change.IN_GRACE_PERIOD: ("!", "yellow"),
    Change.GRACE_PERIOD_STARTED: ("!", "yellow"),
    Change.GRACE_PERIOD_CANCELLED: ("✔", "green"),
    Change.TAKEN_AWAY: ("✘", "red"),
    Change.NOT_PROVISIONED: ("–", "dim"),
}

# What is piped into a file or another program is not cut to the width of a terminal.
_out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 250)
Handle = WorkflowHandle[CloudPcWorkflow, CloudPc]


class StarterError(Exception):
    """Something is wrong that the operator can correct; the message has a line for each error."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Text(click.ParamType[str]):
    """An argument of one of the models' types."""

    name = "text"

    def __init__(self, kind: Any) -> None:
        self._adapter = TypeAdapter[str](kind)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            _, problem = next(problems(error, BaseModel))
            self.fail(problem, param, ctx)


@click.group(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Provision Cloud PCs and look after them.

    The Temporal server is the one of the TEMPORAL_* variables or of the profile in temporal.toml, as for
    the temporal CLI. CLOUD_PC is a Cloud PC's id, its computer name, or its user's principal name or
    object id.
    """


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_wait = click.option("--wait", is_flag=True, help="Stay and show every step until the work has ended.")
_plans_file = click.option(
    "--service-plans", "plans_file", type=click.Path(path_type=Path), help="File of service plans to add or override."
)
_connection_files = click.option(
    "--connection",
    "connection_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of an Azure network connection that the policy names; once for each.",
)
_cloud_pc = click.argument("cloud_pc", metavar="CLOUD_PC", type=_Text(CloudPcName))
_reason = click.option("--reason", default="", type=_Text(Reason), help="Why, for the record.")


@cli.command()
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@_connection_files
@_plans_file
@_as_json
def check(policy_file: Path, connection_files: tuple[Path, ...], plans_file: Path | None, as_json: bool) -> int:
    """Check a provisioning policy, its connections and a file of service plans; needs no server."""
    policy, plans = load_policy(policy_file), load_service_plans(plans_file)
    connections = _connections(policy_file, policy, connection_files)
    if as_json:
        _print_json(
            {
                "policy": _plain(policy),
                "connections": [_plain(connection) for connection in connections],
                "servicePlans": [plan.id for plan in plans.service_plans],
            }
        )
    else:
        used = f"{len(connections)} connections, " if connections else ""
        _out.print(f"{policy_file}: policy {policy.id} is right; {used}{len(plans.service_plans)} service plans")
    return ExitCode.DONE


@cli.command()
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@click.option("--user", required=True, type=_Text(UserName), help="User principal name or Entra object id.")
@click.option("--service-plan", "plan_id", required=True, help="Id of the service plan, such as CPC_E_2C_8GB_128GB.")
@_connection_files
@_plans_file
@_wait
@_as_json
def provision(
    policy_file: Path,
    user: str,
    plan_id: str,
    connection_files: tuple[Path, ...],
    plans_file: Path | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Provision a user's Cloud PC after a policy; one that exists already stays as it is."""
    policy, plans = load_policy(policy_file), load_service_plans(plans_file)
    request = ProvisionRequest(
        policy=policy,
        connections=_connections(policy_file, policy, connection_files),
        service_plan=_plan(plans, plan_id),
        user=user,
    )
    return asyncio.run(_provision(request, wait, as_json))


@cli.command()
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@_connection_files
@_plans_file
@_as_json
def plan(policy_file: Path, connection_files: tuple[Path, ...], plans_file: Path | None, as_json: bool) -> int:
    """Show what applying a policy would do to its groups' Cloud PCs; changes nothing.

    The exit code is 1 when quota or addresses do not suffice, or apply would stop before Cloud PCs lose their user.
    """
    return asyncio.run(_show_plan(_apply_request(policy_file, connection_files, plans_file), as_json))


@cli.command()
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@_connection_files
@_plans_file
@click.option("--wait", is_flag=True, help="Stay until groups and Cloud PCs have been brought into line.")
@_as_json
def apply(
    policy_file: Path, connection_files: tuple[Path, ...], plans_file: Path | None, wait: bool, as_json: bool
) -> int:
    """Apply a policy: whoever is in its groups and licensed gets a Cloud PC, whoever leaves loses theirs.

    From now on groups and licences are looked at regularly. Cloud PCs that exist keep their settings until they are
    reprovisioned.
    """
    request = _apply_request(policy_file, connection_files, plans_file)
    if not request.policy.assignments:
        click.echo(f"{policy_file}: assignments: none, so that nobody gets a Cloud PC", err=True)
    return asyncio.run(_apply(request, wait, as_json))


@cli.command()
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@_connection_files
@_reason
@click.option(
    "--canary", default=1, show_default=True, type=click.IntRange(0, 1000), help="Cloud PCs in the first wave."
)
@click.option(
    "--wave", default=20, show_default=True, type=click.IntRange(1, 1000), help="Cloud PCs in every other wave."
)
@click.option(
    "--max-failure-rate",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of failed Cloud PCs above which it pauses.",
)
@click.option("--everyone", is_flag=True, help="Reprovision those too that have these settings already.")
@click.option("--wait", is_flag=True, help="Stay until the rollout has ended or paused.")
@_as_json
def rollout(
    policy_file: Path,
    connection_files: tuple[Path, ...],
    reason: str,
    canary: int,
    wave: int,
    max_failure_rate: float,
    everyone: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Reprovision a policy's Cloud PCs in waves, with all their data lost: those made from other settings, and failed.

    It pauses by itself when too many fail. Steer it with the signals pause, resume and abort:
    temporal workflow signal --workflow-id rollout-POLICY_ID --name resume
    """
    policy = load_policy(policy_file)
    request = RolloutRequest(
        rollout_id=f"{policy.id}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        policy=policy,
        connections=_connections(policy_file, policy, connection_files),
        reason=reason,
        canary_size=canary,
        wave_size=wave,
        max_failure_rate=max_failure_rate,
        everyone=everyone,
    )
    return asyncio.run(_rollout(request, wait, as_json))


@cli.command()
@_cloud_pc
@_wait
@_as_json
def status(cloud_pc: str, wait: bool, as_json: bool) -> int:
    """Show a Cloud PC with the state, start, duration and attempts of every step."""
    return asyncio.run(_status(cloud_pc, wait, as_json))


@cli.command(name="list")
@click.option("--status", "status_name", type=click.Choice([status.value for status in CloudPcStatus]))
@click.option("--policy", "policy_id", type=_Text(PolicyId), help="Id of the provisioning policy.")
@click.option("--user", type=_Text(UserName), help="User principal name or Entra object id.")
@click.option("--warning", type=click.Choice([step.name for step in STEPS]), help="Step that ended in a warning.")
@click.option("--failed-step", type=click.Choice([step.name for step in STEPS]), help="Step that failed the Cloud PC.")
@click.option("--summary", is_flag=True, help="Show only how many are how, and why.")
@click.option("--watch", is_flag=True, help="Show that again and again, until nothing is under way.")
@_as_json
def list_(
    status_name: str | None,
    policy_id: str | None,
    user: str | None,
    warning: str | None,
    failed_step: str | None,
    summary: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """List the Cloud PCs, all or those that every given option fits, with a summary by status and reason."""
    if watch and as_json:
        raise StarterError(
            "--json: a summary that is watched is for people; leave one of the two out", ExitCode.WRONG_INPUT
        )
    query = _fleet_query(status_name, policy_id, user, warning, failed_step)
    if watch:
        return asyncio.run(_watch(query, user))
    return asyncio.run(_list(query, user, summary, as_json))


@cli.command()
@_cloud_pc
@_reason
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="The policy as it is now.")
@_connection_files
@click.option(
    "--user-account-type",
    type=click.Choice([kind.value for kind in UserAccountType]),
    help="What the user is on the new Cloud PC.",
)
@_wait
@_as_json
def reprovision(
    cloud_pc: str,
    reason: str,
    policy_file: Path | None,
    connection_files: tuple[Path, ...],
    user_account_type: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Remove a Cloud PC with all its data and make it again."""
    if connection_files and policy_file is None:
        raise StarterError("--connection: given without the policy that names it; add --policy", ExitCode.WRONG_INPUT)
    policy = load_policy(policy_file) if policy_file else None
    request = Reprovision(
        reason=reason,
        requested_by=_requester(),
        policy=policy,
        connections=_connections(policy_file, policy, connection_files) if policy_file and policy else (),
        user_account_type=UserAccountType(user_account_type) if user_account_type else None,
    )
    return asyncio.run(_ask(cloud_pc, REPROVISION, request, wait, as_json))


def _command_of(action: RemoteAction[Any]) -> click.Command:
    """Return the command of an action that needs no more than a reason."""

    @_cloud_pc
    @_reason
    @_wait
    @_as_json
    def ask(cloud_pc: str, reason: str, wait: bool, as_json: bool) -> int:
        request = action.request(reason=reason, requested_by=_requester())
        return asyncio.run(_ask(cloud_pc, action, request, wait, as_json))

    return click.command(action.command, help=f"{action.summary}.")(ask)


for _action in ACTIONS:
    if _action.command and _action.command not in cli.commands:
        cli.add_command(_command_of(_action))


@cli.command()
@click.option(
    "--region",
    "regions",
    multiple=True,
    type=_Text(RegionName),
    help="Azure region, short name; may stand several times.",
)
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Check what this policy needs.")
@click.option(
    "--service-plan", "plan_ids", multiple=True, help="Service plan that must have room; may stand several times."
)
@_plans_file
@_as_json
def doctor(
    regions: tuple[str, ...],
    policy_file: Path | None,
    plan_ids: tuple[str, ...],
    plans_file: Path | None,
    as_json: bool,
) -> int:
    """Check whether the worker, its rights, the subscription and the tenant are ready; changes nothing.

    Without --region and --policy the region of the resource group is looked at, without --service-plan
    every plan. The exit code is 1 when something is missing without which no Cloud PC can be made.
    """
    plans = load_service_plans(plans_file)
    policy = load_policy(policy_file) if policy_file else None
    named = [place.region_name for place in policy.domain_join_configurations] if policy else []
    request = DoctorRequest(
        regions=tuple(dict.fromkeys([*regions, *(region for region in named if region)])),
        service_plans=tuple(_plan(plans, plan_id) for plan_id in plan_ids) or plans.service_plans,
        are_plans_wanted=bool(plan_ids),
        is_single_sign_on_wanted=policy is not None and policy.enable_single_sign_on,
    )
    return asyncio.run(_doctor(request, as_json))


@cli.command()
@click.option(
    "--connection",
    "connection_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of an Azure network connection whose resource group is looked through too; may stand several times.",
)
@click.option("--repair", is_flag=True, help="Remove the orphans, after asking.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=OLDER_THAN,
    show_default=True,
    metavar="MINUTES",
    help="Age below which --repair removes nothing.",
)
@click.option("--yes", is_flag=True, help="With --repair: do not ask.")
@click.option(
    "--max",
    "max_computers",
    type=click.IntRange(min=0),
    default=MAX_REPAIRED,
    show_default=True,
    help="With --repair: computers that may be removed; where there are more, none is.",
)
@_as_json
def audit(
    connection_files: tuple[Path, ...], repair: bool, older_than: float, yes: bool, max_computers: int, as_json: bool
) -> int:
    """Compare what exists in Azure, Entra ID and Intune with the Cloud PCs that there are.

    Orphans and missing parts are listed, each with the command that repairs it; nothing is changed without --repair.
    Only what this product's tags or names show to be its own is looked at. The exit code is 1 when something was
    found, with --repair: when something is left.
    """
    if yes and not repair:
        raise StarterError("--yes: there is nothing to agree to; add --repair", ExitCode.WRONG_INPUT)
    if repair and not yes and (as_json or not sys.stdin.isatty()):
        raise StarterError(
            "--repair: cannot ask without a terminal, nor with --json; look first, then add --yes", ExitCode.WRONG_INPUT
        )
    connections = tuple(load_connection(file) for file in connection_files)
    return asyncio.run(
        _audit(
            AuditRequest(connections=connections, older_than_minutes=older_than), repair, yes, max_computers, as_json
        )
    )


async def _provision(request: ProvisionRequest, wait: bool, as_json: bool) -> int:
    client = await connect()
    async with _answers():
        response: ProvisionResponse = await client.execute_workflow(
            ProvisionWorkflow.run,
            request,
            id=f"provision-{request.policy.id}-{request.user.casefold()}",
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=timedelta(minutes=2),
        )
    if not response.started:
        async with _answers():
            running = await client.get_workflow_handle(response.cloud_pc_id).describe()
        if running.workflow_type == RemainsWorkflow.__name__:
            raise StarterError(
                f"{response.cloud_pc_id}: what is left of an earlier Cloud PC is being removed (audit --repair); "
                "provision again in a few minutes",
                ExitCode.FAILED,
            )
    if not wait:
        if as_json:
            _print_json(_plain(response))
        else:
            was = "provisioning" if response.started else "exists already, nothing is changed"
            _out.print(f"Cloud PC {response.cloud_pc_id}: {was}; look with: starter.py status {response.cloud_pc_id}")
        return ExitCode.DONE
    return await _follow(client.get_workflow_handle_for(CloudPcWorkflow.run, response.cloud_pc_id), as_json)


async def _show_plan(request: ApplyRequest, as_json: bool) -> int:
    client = await connect()
    async with _answers():
        response: PlanResponse = await client.execute_workflow(
            FleetPlanWorkflow.run,
            request,
            id=f"plan-{request.policy.id}-{uuid.uuid4().hex[:8]}",
            task_queue=TASK_QUEUE,
            execution_timeout=timedelta(minutes=10),
        )
    if as_json:
        _print_json(_plain(response))
    else:
        _print_fleet_plan(response.plan)
        for need in response.requirements:
            line = f"{need.name}: {need.needed} needed, {need.available} free"
            _out.print(Text(line, style="green" if need.is_met else "red"))
        if response.is_held:
            ceiling = f"gracePeriodCeiling of {request.policy.grace_period_ceiling}"
            _out.print(Text(f"More lose their user than the {ceiling}: apply will wait for proceed", style="red"))
    return (
        ExitCode.FAILED if response.is_held or not all(need.is_met for need in response.requirements) else ExitCode.DONE
    )


async def _apply(request: ApplyRequest, wait: bool, as_json: bool) -> int:
    client = await connect()
    handle = client.get_workflow_handle_for(ProvisioningPolicyWorkflow.run, f"policy-{request.policy.id}")
    begin = WithStartWorkflowOperation(
        ProvisioningPolicyWorkflow.run,
        request,
        id=handle.id,
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=request.policy.display_name,
        search_attributes=_of_policy(request.policy),
    )
    async with _answers():
        status: PolicyStatus = await client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType] - untyped in the SDK
            "apply", request, start_workflow_operation=begin, result_type=PolicyStatus, rpc_timeout=_ANSWER_WITHIN
        )
        while wait and status.state == PolicyState.RECONCILING:
            await asyncio.sleep(_LOOK_EVERY)
            status = await handle.query(ProvisioningPolicyWorkflow.provisioning_policy, rpc_timeout=_ANSWER_WITHIN)
    if as_json:
        _print_json(_plain(status))
    elif status.state == PolicyState.RECONCILING:
        _out.print(f"Policy {status.id} is applied; look with: starter.py list --policy {status.id}")
    else:
        if status.plan:
            _print_fleet_plan(status.plan)
        if status.problem:
            _out.print(Text(f"{status.state}: {status.problem}", style="red"))
    return ExitCode.DONE if status.state in (PolicyState.WAITING, PolicyState.RECONCILING) else ExitCode.FAILED


async def _rollout(request: RolloutRequest, wait: bool, as_json: bool) -> int:
    client = await connect()
    id = f"rollout-{request.policy.id}"
    async with _answers():
        try:
            handle = await client.start_workflow(
                RolloutWorkflow.run,
                request,
                id=id,
                task_queue=TASK_QUEUE,
                static_summary=f"Rollout of {request.policy.display_name}",
                search_attributes=_of_policy(request.policy),
            )
        except WorkflowAlreadyStartedError as error:
            raise StarterError(
                f"{id}: a rollout is under way; send it the signal resume or abort", ExitCode.FAILED
            ) from error
        while True:
            progress = await handle.query(RolloutWorkflow.rollout, rpc_timeout=_ANSWER_WITHIN)
            if not wait or progress.state != RolloutState.RUNNING:
                break
            await asyncio.sleep(_LOOK_EVERY)
    if as_json:
        _print_json(_plain(progress))
    else:
        done = f"{progress.reprovisioned} reprovisioned, {progress.failed} failed, {progress.remaining} remaining"
        begun = f", {done}" if progress.waves or progress.state == RolloutState.COMPLETED else ""
        _out.print(f"Rollout {progress.rollout_id}: {progress.state}{begun}")
        for failed in progress.failed_cloud_pcs:
            _out.print(Text(f"✘ {failed}: starter.py status {failed}", style="red"))
        if progress.problem:
            _out.print(Text(progress.problem, style="yellow"))
        if progress.state == RolloutState.RUNNING:
            _out.print(f"Look with: temporal workflow query --workflow-id {id} --type rollout")
    return ExitCode.FAILED if progress.failed or progress.state == RolloutState.PAUSED else ExitCode.DONE


def _of_policy(policy: ProvisioningPolicy) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(search_attributes.POLICY_ID, policy.id)])


def _print_fleet_plan(fleet_plan: FleetPlan) -> None:
    for planned in fleet_plan.changes:
        mark, style = _CHANGE_MARKS[planned.change]
        reason = f": {planned.reason}" if planned.reason else ""
        service_plan = f" {planned.service_plan}" if planned.service_plan else ""
        line = f"{mark} {planned.change} {planned.user_principal_name}{service_plan}{reason}"
        _out.print(Text(line, style=style))
    if fleet_plan.left_off:
        _out.print(f"… and {fleet_plan.left_off} more")
    for note in fleet_plan.notes:
        _out.print(Text(f"! {note}", style="yellow"))
    counts = [f"{number} {change}" for change, number in fleet_plan.counts.items() if number]
    _out.print(", ".join(counts) or "nothing to do")


async def _status(name: str, wait: bool, as_json: bool) -> int:
    client = await connect()
    handle = await _find(client, name)
    if wait:
        return await _follow(handle, as_json)
    _print_cloud_pc(await _cloud_pc_of(handle), as_json)
    return ExitCode.DONE


def _fleet_query(
    status_name: str | None, policy_id: str | None, user: str | None, warning: str | None, failed_step: str | None
) -> str:
    """Return the visibility query of the Cloud PCs; principal names are in no search attribute."""
    query = search_attributes.RUNNING
    if status_name:
        query += f' AND {search_attributes.STATUS.name}="{status_name}"'
    if policy_id:
        query += f' AND {search_attributes.POLICY_ID.name}="{_quoted(policy_id)}"'
    if user and "@" not in user:
        query += f' AND {search_attributes.USER_ID.name}="{_quoted(user)}"'
    if warning:
        query += f' AND {search_attributes.WARNINGS.name}="{warning}" AND {search_attributes.FAILURE.name} IS NULL'
    if failed_step:
        query += f' AND {search_attributes.FAILURE.name} STARTS_WITH "{failed_step}: "'
    return query


async def _rows(client: Client, query: str, user: str | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async with _answers():
        async for execution in client.list_workflows(query):
            found = execution.typed_search_attributes
            name: str = await execution.memo_value(search_attributes.MEMO_USER, "")
            if user and "@" in user and name.casefold() != user.casefold():
                continue
            end = found.get(search_attributes.GRACE_PERIOD_END)
            rows.append(
                {
                    "id": execution.id,
                    "status": found.get(search_attributes.STATUS),
                    "computerName": found.get(search_attributes.COMPUTER_NAME),
                    "userPrincipalName": name or None,
                    "policyId": found.get(search_attributes.POLICY_ID),
                    "servicePlan": found.get(search_attributes.SERVICE_PLAN),
                    "troubledSteps": list(found.get(search_attributes.WARNINGS) or []),
                    "failure": found.get(search_attributes.FAILURE),
                    "gracePeriodEndDateTime": end.isoformat() if end else None,
                }
            )
    return rows


def _summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return how many Cloud PCs are how, why the failed ones failed, and how many have which warning."""
    warned = [row for row in rows if not row["failure"]]
    return {
        "byStatus": dict(Counter(row["status"] for row in rows).most_common()),
        "byFailure": dict(Counter(row["failure"] for row in rows if row["failure"]).most_common()),
        "byWarning": dict(Counter(step for row in warned for step in row["troubledSteps"]).most_common()),
    }


def _summary_table(rows: list[dict[str, Any]], started: datetime | None = None) -> Table:
    found, settled = _summary(rows), sum(row["status"] in SETTLED for row in rows)
    since = f", {(datetime.now(UTC) - started).total_seconds():.0f} s" if started else ""
    table = Table("", "", box=None, show_header=False, title=f"{settled} of {len(rows)} settled{since}")
    for status, number in found["byStatus"].items():
        table.add_row(str(number), status)
    for failure, number in found["byFailure"].items():
        table.add_row(str(number), f"failed: {failure}", style="red")
    for step, number in found["byWarning"].items():
        table.add_row(str(number), f"warning: {step}", style="yellow")
    return table


async def _list(query: str, user: str | None, summary: bool, as_json: bool) -> int:
    rows = await _rows(await connect(), query, user)
    if as_json:
        _print_json(_summary(rows) if summary else rows)
        return ExitCode.DONE
    if not summary:
        table = Table("Computer name", "Status", "User", "Policy", "Service plan", "Troubled steps", "Id", box=None)
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            until = f" until {row['gracePeriodEndDateTime'][:16]}" if row["gracePeriodEndDateTime"] else ""
            table.add_row(
                row["computerName"],
                f"{row['status']}{until}",
                row["userPrincipalName"],
                row["policyId"],
                row["servicePlan"],
                row["failure"] or ", ".join(row["troubledSteps"]),
                row["id"],
            )
        _out.print(table)
    _out.print(_summary_table(rows))
    only = f" (and the user {user})" if user and "@" in user else ""
    _out.print(f"{len(rows)} Cloud PCs; the same by: temporal workflow list --query '{query}'{only}")
    return ExitCode.DONE


async def _watch(query: str, user: str | None) -> int:
    """Show the summary whenever it changes, until nothing is under way."""
    client, started, shown = await connect(), datetime.now(UTC), None
    with Live(console=_out, auto_refresh=False) if _out.is_terminal else contextlib.nullcontext() as live:
        while True:
            rows = await _rows(client, query, user)
            if live:
                live.update(_summary_table(rows, started), refresh=True)
            elif _summary(rows) != shown:
                shown = _summary(rows)
                counts = ", ".join(f"{number} {status}" for status, number in shown["byStatus"].items())
                _out.print(f"{(datetime.now(UTC) - started).total_seconds():.0f} s: {counts or 'no Cloud PCs'}")
            if all(row["status"] in SETTLED for row in rows):
                break
            await asyncio.sleep(_WATCH_EVERY)
    if not live:
        _out.print(_summary_table(rows, started))
    return ExitCode.DONE


def _requester() -> str:
    """Return who runs this command, as the machine knows them."""
    with contextlib.suppress(OSError, KeyError):
        return f"{getpass.getuser()}@{socket.gethostname()}"[:200]
    return ""


async def _ask(name: str, action: RemoteAction[Any], request: ActionRequest, wait: bool, as_json: bool) -> int:
    client = await connect()
    handle = await _find(client, name)
    async with _answers(f"{name}: "):
        # Its overloads are partly untyped in the SDK.
        untyped: Any = handle
        accepted: Accepted = await untyped.execute_update(
            action.name, request, result_type=Accepted, rpc_timeout=_ANSWER_WITHIN
        )
    if wait:
        return await _follow(handle, as_json, action_id=accepted.action_id)
    if as_json:
        _print_json(_plain(accepted))
    else:
        when = "now" if accepted.when == "now" else "when the current attempt has ended"
        _out.print(f"Cloud PC {accepted.cloud_pc_id}: {accepted.operation} accepted, it begins {when}")
    return ExitCode.DONE


async def _follow(handle: Handle, as_json: bool, *, action_id: int | None = None) -> int:
    """Show every step until the work has ended, and return the exit code.

    Args:
        handle: The Cloud PC.
        as_json: Show nothing until then, and the Cloud PC as JSON.
        action_id: The action whose end is waited for; None: until nothing is under way.

    """
    with _Checklist(quiet=as_json) as checklist:
        while True:
            async with _answers():
                gone = (await handle.describe()).status != WorkflowExecutionStatus.RUNNING
                pc = await handle.result(follow_runs=False) if gone else await _cloud_pc_of(handle)
            checklist.show(pc)
            action = next((each for each in pc.remote_actions if each.id == action_id), None)
            has_ended = is_settled(pc) if action is None else action.action_state not in UNDER_WAY
            if gone or has_ended:
                break
            await asyncio.sleep(_LOOK_EVERY)
    _print_cloud_pc(pc, as_json, steps=False)
    went_wrong = action is not None and action.action_state in (ActionState.FAILED, ActionState.CANCELED)
    return ExitCode.FAILED if pc.status == CloudPcStatus.FAILED or went_wrong else ExitCode.DONE


async def _doctor(request: DoctorRequest, as_json: bool) -> int:
    client = await connect()
    async with _answers():
        response: DoctorResponse = await client.execute_workflow(
            DoctorWorkflow.run,
            request,
            id="doctor",
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=timedelta(minutes=2),
        )
    if as_json:
        _print_json(_plain(response))
    else:
        for check in response.checks:
            mark, style = _CHECK_MARKS[check.state]
            _out.print(Text(f"{mark} {check.name}: {check.detail}", style=style))
            if check.remedy:
                _out.print(Text(f"    {check.remedy}"))
    return ExitCode.FAILED if any(check.state == CheckState.FAILED for check in response.checks) else ExitCode.DONE


async def _audit(request: AuditRequest, repair: bool, yes: bool, max_computers: int, as_json: bool) -> int:
    client = await connect()
    # A name of its own each time: an audit under way may be looking with other options.
    number = uuid.uuid4().hex[:8]
    async with _answers():
        found: AuditResponse = await client.execute_workflow(
            AuditWorkflow.run,
            request,
            id=f"audit-{number}",
            task_queue=TASK_QUEUE,
            execution_timeout=timedelta(minutes=10),
        )
    if not repair:
        if as_json:
            _print_json(_plain(found))
        else:
            _print_findings(found)
        return ExitCode.FAILED if found.findings else ExitCode.DONE
    chosen = tuple(finding.id for finding in found.findings if not finding.kept)
    if not as_json:
        _print_findings(found, repair=True)
    question = f"Remove these {len(chosen)} orphans, with all their data?"
    if chosen and not found.cloud_pcs:
        question = f"There is no Cloud PC in this Temporal namespace: is it the right one? {question}"
    if not chosen or not (yes or click.confirm(question)):
        if as_json:
            _print_json(_plain(RepairResponse(repaired=(), after=found)))
        return ExitCode.FAILED if found.findings else ExitCode.DONE
    async with _answers():
        response: RepairResponse = await client.execute_workflow(
            RepairWorkflow.run,
            RepairRequest(**dict(request), finding_ids=chosen, max_computers=max_computers),
            id=f"audit-repair-{number}",
            task_queue=TASK_QUEUE,
        )
    if as_json:
        _print_json(_plain(response))
    else:
        for one in response.repaired:
            mark, style, what = ("✔", "green", "gone") if one.is_gone else ("✘", "red", one.detail)
            _out.print(Text(f"{mark} {one.computer_name}: {what}", style=style))
        _out.print("Afterwards:")
        _print_findings(response.after)
    return ExitCode.FAILED if response.after.findings else ExitCode.DONE


def _print_findings(found: AuditResponse, *, repair: bool = False) -> None:
    """Print the findings; with `repair` what will become of the orphans too."""
    for finding in found.findings:
        mark, style = _FINDING_MARKS[finding.state]
        _out.print(Text(f"{mark} {_finding_line(finding)}", style=style))
        _out.print(Text(f"    {finding.command}"))
        if repair:
            _out.print(Text(f"    stays: {finding.kept}" if finding.kept else "    will be removed"))
    if found.left_off:
        _out.print(f"{found.left_off} more are not shown; audit again when these are repaired")
    known = f"{found.cloud_pcs} Cloud PCs in the Temporal namespace {found.namespace}"
    _out.print(f"{len(found.findings) + found.left_off} findings; {known}")


def _finding_line(finding: Finding) -> str:
    of = finding.computer_name or finding.cloud_pc_id or ""
    since = f", since {finding.created_date_time:%Y-%m-%d %H:%M} UTC" if finding.created_date_time else ""
    return f"{finding.state} {finding.kind}{f' of {of}' if of else ''}{since}: {finding.detail}\n    {finding.id}"


async def _find(client: Client, name: str) -> Handle:
    """Return the Cloud PC of this id, computer name, user principal name or user object id."""
    quoted = _quoted(name)
    query = f'{search_attributes.RUNNING} AND (WorkflowId="{quoted}"'
    query += f' OR {search_attributes.COMPUTER_NAME.name}="{quoted}"'
    query += f' OR {search_attributes.USER_ID.name}="{quoted}")'
    async with _answers():
        ids = [execution.id async for execution in client.list_workflows(query, limit=2)]
        if not ids:
            everyone = [execution async for execution in client.list_workflows(search_attributes.RUNNING)]
            users = {execution.id: await execution.memo_value("userPrincipalName", "") for execution in everyone}
            ids = [cloud_pc_id for cloud_pc_id, user in users.items() if user.casefold() == name.casefold()]
            if not ids:
                known = [*users, *users.values()]
                known += [
                    execution.typed_search_attributes.get(search_attributes.COMPUTER_NAME) or ""
                    for execution in everyone
                ]
                hint = did_you_mean(name, known, "see starter.py list")
                raise StarterError(f"{name}: no such Cloud PC; {hint}", ExitCode.NOT_FOUND)
    if len(ids) > 1:
        raise StarterError(f"{name}: fits several Cloud PCs; give the id: {', '.join(ids)}", ExitCode.WRONG_INPUT)
    return client.get_workflow_handle_for(CloudPcWorkflow.run, ids[0])


async def _cloud_pc_of(handle: Handle) -> CloudPc:
    """Return all that is known of the Cloud PC, with the attempts of the steps that run now."""
    async with _answers():
        pc = await handle.query(CloudPcWorkflow.cloud_pc, rpc_timeout=_ANSWER_WITHIN)
        running = (await handle.describe()).raw_description.pending_activities
    pending = {activity.activity_id: activity for activity in running}

    def with_attempts(step: StepStatus) -> StepStatus:
        row = step_named(step.step)
        activity = pending.get(row.activity_id) if row else None
        if step.state != StepState.RUNNING or activity is None:
            return step
        waits_for = activity.last_failure.message
        return step.model_copy(update={"attempts": activity.attempt, "detail": waits_for or step.detail})

    return pc.model_copy(update={"steps": tuple(with_attempts(step) for step in pc.steps)})


@contextlib.asynccontextmanager
async def _answers(about: str = "") -> AsyncGenerator[None, None]:
    """Turn what the server or the worker does not do into an error in one line, which begins with what it is about."""
    try:
        yield
    except WorkflowFailureError as error:
        if isinstance(error.cause, CancelledError | TerminatedError):
            raise StarterError("it was cancelled or terminated; see the Web UI", ExitCode.FAILED) from error
        if isinstance(error.cause, TimeoutError):
            raise StarterError("no answer in time; is worker.py running?", ExitCode.NO_ANSWER) from error
        why = read_failure(error.cause)
        code = ExitCode.NOT_FOUND if why.code == "UserNotFound" else ExitCode.FAILED
        raise StarterError(f"{why.code}: {why.message}; {why.remedy}", code) from error
    except WorkflowUpdateFailedError as error:
        raise StarterError(about + read_failure(error.cause).message, ExitCode.FAILED) from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise StarterError(
            f"{about}no answer; is worker.py running? What was asked for may go on when it is", ExitCode.NO_ANSWER
        ) from error
    except WorkflowQueryFailedError as error:
        raise StarterError(f"the worker cannot answer: {error}", ExitCode.NO_ANSWER) from error
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND and "namespace" not in str(error).lower():
            raise StarterError("the Cloud PC is gone", ExitCode.NOT_FOUND) from error
        raise StarterError(
            f"no answer ({error.status.name}: {str(error).splitlines()[0]}); is worker.py running?", ExitCode.NO_ANSWER
        ) from error


class _Checklist(contextlib.AbstractContextManager["_Checklist"]):
    """Shows the steps: as a table that stays in place on a terminal, else a line whenever a step ends."""

    def __init__(self, *, quiet: bool) -> None:
        self._live = None if quiet or not _out.is_terminal else Live(console=_out, auto_refresh=False)
        self._quiet = quiet
        self._said: set[tuple[int, str, StepState]] = set()

    def __enter__(self) -> "_Checklist":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, pc: CloudPc) -> None:
        """Show how things stand."""
        if self._live:
            self._live.update(_steps_table(pc), refresh=True)
        elif not self._quiet:
            for step in pc.steps:
                key = (pc.attempt, step.step, step.state)
                if step.state not in (StepState.PENDING, StepState.RUNNING) and key not in self._said:
                    self._said.add(key)
                    _out.print(_step_line(step))


def _steps_table(pc: CloudPc) -> Table:
    table = Table("", "Step", "State", "Duration", "Attempts", "", box=None, title=f"{pc.computer_name}: {pc.status}")
    for step in pc.steps:
        mark, style = _MARKS[step.state]
        attempts = "" if step.attempts is None else str(step.attempts)
        table.add_row(mark, step.display_name, step.state, _duration(step), attempts, step.detail[:80], style=style)
    return table


def _step_line(step: StepStatus) -> Text:
    mark, style = _MARKS[step.state]
    line = f"{mark} {step.display_name:<34} {step.state:<14} {_duration(step):>8}  {step.detail[:100]}"
    return Text(line, style=style)


def _duration(step: StepStatus) -> str:
    if step.duration_in_seconds is not None:
        return f"{step.duration_in_seconds:.1f} s"
    if step.state == StepState.RUNNING and step.start_date_time is not None:
        return f"{(datetime.now(UTC) - step.start_date_time).total_seconds():.0f} s …"
    return ""


def _print_cloud_pc(pc: CloudPc, as_json: bool, *, steps: bool = True) -> None:
    if as_json:
        _print_json(_plain(pc))
        return
    if steps:
        _out.print(_steps_table(pc))
    device = f"Entra {pc.entra_device_id or '–'}, Intune {pc.managed_device_id or '–'}"
    where = pc.on_premises_connection_name or "Microsoft-hosted"
    reason = f": {pc.reason}" if pc.reason else ""
    facts = {
        "Cloud PC": f"{pc.computer_name} ({pc.id}), attempt {pc.attempt}{reason}",
        "Status": pc.status,
        "User": f"{pc.user.display_name} <{pc.user.user_principal_name}>",
        "Policy": f"{pc.policy_display_name} ({pc.policy_id})",
        "Service plan": f"{pc.service_plan}, {pc.vm_size or 'no VM size yet'}",
        "Region": pc.region or "not known yet",
        "Network": f"{where}: {_network(pc)}, {pc.private_ip_address or 'no address'}",
        "Join": pc.join_type,
        "Devices": device,
        "Primary user": pc.primary_user or "–",
        "Session host": f"{pc.session_host} in {pc.host_pool}" if pc.session_host else "–",
        "Reached by": pc.connection or "–",
    }
    if pc.grace_period_end_date_time:
        facts["Grace period"] = f"until {pc.grace_period_end_date_time:%Y-%m-%d %H:%M} UTC, then it is removed"
    for name, value in facts.items():
        _out.print(Text(f"{name:<13} {value}"))
    for warning in pc.warnings:
        _out.print(Text(f"Warning       {warning.step}: {warning.code}: {warning.message}", style="yellow"))
    if pc.status_detail and pc.status == CloudPcStatus.FAILED:
        failure = pc.status_detail
        _out.print(Text(f"Failed        {failure.step}: {failure.code}: {failure.message}", style="red"))
        _out.print(Text(f"Remedy        {failure.remedy}"))
        if failure.leftovers:
            _out.print(Text(f"Left over     {', '.join(failure.leftovers)} failed: see the steps", style="red"))
    for refused in pc.refused_signals:
        _out.print(Text(f"Refused       signal {refused.signal}: {refused.error}", style="yellow"))
    for action in pc.remote_actions[-_ACTIONS_SHOWN:]:
        _out.print(Text(f"Action        {_action_line(action)}"))


def _action_line(action: RemoteActionResult) -> str:
    by = f" by {action.requested_by}" if action.requested_by else ""
    why = "; ".join(filter(None, [action.reason, action.status_detail.message if action.status_detail else ""]))
    at = f"{action.start_date_time:%Y-%m-%d %H:%M} UTC"
    return f"{action.action_name} {action.action_state}, asked for at {at}{by}{f': {why}' if why else ''}"


def _network(pc: CloudPc) -> str:
    if not pc.network_id:
        return "–"
    subnet = ResourceId.parse(pc.network_id)
    return f"{subnet.of('virtualNetworks')}, subnet {subnet.name}"


def _apply_request(policy_file: Path, connection_files: tuple[Path, ...], plans_file: Path | None) -> ApplyRequest:
    policy, plans = load_policy(policy_file), load_service_plans(plans_file)
    for assignment in policy.assignments:
        if assignment.service_plan_id:
            _plan(plans, assignment.service_plan_id, f"{policy_file}: assignments: servicePlanId")
    connections = _connections(policy_file, policy, connection_files)
    return ApplyRequest(policy=policy, connections=connections, service_plans=plans)


def _connections(
    policy_file: Path, policy: ProvisioningPolicy, connection_files: tuple[Path, ...]
) -> tuple[AzureNetworkConnection, ...]:
    try:
        return connections_of(policy, [load_connection(file) for file in connection_files])
    except UnusableConnectionError as error:
        raise StarterError(f"{policy_file}: {error} (--connection)", ExitCode.WRONG_INPUT) from error


def _plan(plans: ServicePlanCatalogue, plan_id: str, where: str = "--service-plan") -> ServicePlan:
    if plan := plans.find(plan_id):
        return plan
    known = [plan.id for plan in plans.service_plans]
    hint = did_you_mean(plan_id, known, f"use one of: {', '.join(known)}")
    raise StarterError(f"{where}: {plan_id}: no such plan; {hint}", ExitCode.WRONG_INPUT)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _plain(model: GraphModel) -> Any:
    return model.model_dump(mode="json", by_alias=True)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; what is wrong goes to standard error, a line each."""
    try:
        return cli.main(arguments, prog_name="starter.py", standalone_mode=False) or ExitCode.DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.WRONG_INPUT
    except click.ClickException as error:
        click.echo(f"error: {bounded(error.format_message())}", err=True)
        return ExitCode.WRONG_INPUT
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except (StarterError, DocumentError, ConnectionFailedError) as error:
        for line in str(error).splitlines():
            click.echo(f"error: {bounded(line)}", err=True)
        if isinstance(error, StarterError):
            return error.exit_code
        return ExitCode.WRONG_INPUT if isinstance(error, DocumentError | ProfileError) else ExitCode.NO_ANSWER


if __name__ == "__main__":
    end_process(main())

"""Whether a tenant and a subscription have what Cloud PCs need, looked at by the worker that would make them."""

import asyncio
from dataclasses import dataclass
from typing import Any

from temporalio import workflow

from contract import steps
from contract.activity import Activity, NoInput
from contract.doctor import (
    CapacityInput,
    Checks,
    IdentityInput,
    RegionsInput,
    ResourceGroupChecks,
    SignInChecks,
    SingleSignOnInput,
)
from contract.errors import MISSING_RIGHT, ActivityFailedError
from domain.permissions import AZURE_ACTIONS, READ_APPLICATIONS, READ_LICENSES, AzureScope
from models.base import GraphModel, WorkflowInput
from models.doctor import Check, CheckState, Identity
from models.service_plan import ServicePlan
from workflows import runner
from workflows.messages import NO_INPUT, required


class DoctorRequest(WorkflowInput):
    """What is to be looked at."""

    regions: tuple[str, ...] = ()
    """Azure regions, short names; none is the resource group's own."""
    service_plans: tuple[ServicePlan, ...]
    are_plans_wanted: bool = False
    """Whether it is a failure that a plan has no room; of the whole catalogue it is a warning."""
    is_single_sign_on_wanted: bool = False
    """Whether it is a failure that single sign-on is off; else it is a warning."""


class DoctorResponse(GraphModel):
    """Every check, in the order in which things are set up."""

    checks: tuple[Check, ...]


@dataclass(frozen=True)
class _Check:
    """A check to be made.

    Attributes:
        activity: The activity that makes it.
        request: Its input.
        grant: How to grant what it needs to look.
        key: Tells checks of one kind apart, such as a region.

    """

    activity: Activity[Any, Any]
    request: GraphModel
    grant: str
    key: str = ""


@workflow.defn
class DoctorWorkflow:
    """Runs the checks side by side; one that cannot be made says so, and stops none of the others."""

    @workflow.run
    async def run(self, request: DoctorRequest = NO_INPUT) -> DoctorResponse:
        """Make every check."""
        request = required(request, DoctorRequest)
        group_right = _allow(AzureScope.RESOURCE_GROUP, "resourceGroups/read")
        first = await asyncio.gather(
            _made(_Check(steps.CHECK_SIGN_IN, NoInput(), grant="")),
            _made(_Check(steps.CHECK_RESOURCE_GROUP, NoInput(), group_right)),
        )
        signed_in, group = first
        identity = signed_in.identity if isinstance(signed_in, SignInChecks) else Identity()
        region = group.region if isinstance(group, ResourceGroupChecks) else None
        regions = request.regions or ((region,) if region else ())
        others = await asyncio.gather(*(_made(check) for check in _checks(request, identity, regions)))
        return DoctorResponse(checks=tuple(check for part in (*first, *others) for check in part.checks))


def _checks(request: DoctorRequest, identity: Identity, regions: tuple[str, ...]) -> list[_Check]:
    """Return the checks that are made when it is known who the worker is and where."""
    wanted = SingleSignOnInput(is_wanted=request.is_single_sign_on_wanted)
    return [
        _Check(
            steps.CHECK_AZURE_ACTIONS,
            IdentityInput(identity=identity),
            _allow(AzureScope.RESOURCE_GROUP, "permissions/read"),
        ),
        _Check(
            steps.CHECK_RESOURCE_PROVIDERS,
            RegionsInput(regions=regions),
            _allow(AzureScope.SUBSCRIPTION, "providers/read"),
        ),
        *(
            _Check(
                steps.CHECK_CAPACITY,
                CapacityInput(region=region, service_plans=request.service_plans, are_wanted=request.are_plans_wanted),
                _allow(AzureScope.SUBSCRIPTION, "skus/read", "usages/read"),
                region,
            )
            for region in regions
        ),
        _Check(steps.CHECK_LICENSES, NoInput(), READ_LICENSES.grant_command(identity)),
        _Check(steps.CHECK_SINGLE_SIGN_ON, wanted, READ_APPLICATIONS.grant_command(identity)),
    ]


async def _made(check: _Check) -> Checks:
    """Return what a check found, or that it could not be made and how to grant what it needs."""
    try:
        found: Checks = await runner.run(check.activity, check.request, about=check.key, key=check.key)
    except ActivityFailedError as error:
        why = error.why
        name = f"{check.activity.title} in {check.key}" if check.key else check.activity.title
        elsewhere = "look at the workflow doctor in the Temporal Web UI"
        return Checks(
            checks=(
                Check(
                    name=name,
                    state=CheckState.NOT_CHECKED,
                    detail=f"{why.code}: {why.message}",
                    remedy=check.grant if why.code in MISSING_RIGHT else elsewhere,
                ),
            )
        )
    return found


def _allow(scope: AzureScope, *ends: str) -> str:
    names = [action.name for action in AZURE_ACTIONS[scope] if action.name.endswith(ends)]
    return f"allow {', '.join(names)}: examples/real-tenant/{scope}.json"

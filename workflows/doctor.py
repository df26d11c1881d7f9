"""Whether a tenant and a subscription have what Cloud PCs need, looked at by the worker that would make them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities import signatures
from models.base import GraphModel, WorkflowInput
from models.doctor import (
    AZURE_ACTIONS,
    READ_APPLICATIONS,
    READ_LICENSES,
    AzureScope,
    Check,
    CheckState,
    Identity,
)
from models.service_plan import ServicePlan
from workflows.activity_options import CHECK
from workflows.temporal import NO_INPUT, required

_REFUSED = ("AuthorizationFailed", "Authorization_RequestDenied", "Forbidden")
"""Codes by which Azure and Graph say that a right is missing."""
_Checks = TypeVar("_Checks", bound=signatures.Checks)


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


@workflow.defn
class DoctorWorkflow:
    """Runs the checks side by side; one that cannot be made says so, and stops none of the others."""

    @workflow.run
    async def run(self, request: DoctorRequest = NO_INPUT) -> DoctorResponse:
        """Make every check."""
        request = required(request, DoctorRequest)
        signed_in, group = await asyncio.gather(
            _checked(
                workflow.execute_activity(signatures.check_sign_in, **CHECK),
                signatures.SignInChecks(checks=()),
                "Sign in",
                grant="",
            ),
            _checked(
                workflow.execute_activity(signatures.check_resource_group, **CHECK),
                signatures.ResourceGroupChecks(checks=()),
                "Resource group",
                _allow(AzureScope.RESOURCE_GROUP, "resourceGroups/read"),
            ),
        )
        identity = signed_in.identity
        regions = request.regions or ((group.region,) if group.region else ())
        others = await asyncio.gather(
            self._azure_actions(identity),
            self._resource_providers(regions),
            *(self._capacity(region, request) for region in regions),
            self._licenses(identity),
            self._single_sign_on(identity, request.is_single_sign_on_wanted),
        )
        return DoctorResponse(checks=tuple(check for part in (signed_in, group, *others) for check in part.checks))

    async def _azure_actions(self, identity: Identity) -> signatures.Checks:
        return await _checked(
            workflow.execute_activity(
                signatures.check_azure_actions, signatures.IdentityInput(identity=identity), **CHECK
            ),
            signatures.Checks(checks=()),
            "Azure actions",
            _allow(AzureScope.RESOURCE_GROUP, "permissions/read"),
        )

    async def _resource_providers(self, regions: tuple[str, ...]) -> signatures.Checks:
        return await _checked(
            workflow.execute_activity(
                signatures.check_resource_providers, signatures.RegionsInput(regions=regions), **CHECK
            ),
            signatures.Checks(checks=()),
            "Resource providers",
            _allow(AzureScope.SUBSCRIPTION, "providers/read"),
        )

    async def _capacity(self, region: str, request: DoctorRequest) -> signatures.Checks:
        wanted = signatures.CapacityInput(
            region=region, service_plans=request.service_plans, are_wanted=request.are_plans_wanted
        )
        return await _checked(
            workflow.execute_activity(signatures.check_capacity, wanted, **CHECK),
            signatures.Checks(checks=()),
            f"Service plans in {region}",
            _allow(AzureScope.SUBSCRIPTION, "skus/read", "usages/read"),
        )

    async def _licenses(self, identity: Identity) -> signatures.Checks:
        return await _checked(
            workflow.execute_activity(signatures.check_licenses, **CHECK),
            signatures.Checks(checks=()),
            "Licences",
            READ_LICENSES.grant_command(identity),
        )

    async def _single_sign_on(self, identity: Identity, is_wanted: bool) -> signatures.Checks:
        wanted = signatures.SingleSignOnInput(is_wanted=is_wanted)
        return await _checked(
            workflow.execute_activity(signatures.check_single_sign_on, wanted, **CHECK),
            signatures.Checks(checks=()),
            "Single sign-on",
            READ_APPLICATIONS.grant_command(identity),
        )


async def _checked(activity: Awaitable[_Checks], nothing: _Checks, name: str, grant: str) -> _Checks:
    """Return what an activity found, or that it could not be found and how to grant what it needs."""
    try:
        return await activity
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        cause = error.cause
        is_told = isinstance(cause, ApplicationError)
        check = Check(
            name=name,
            state=CheckState.NOT_CHECKED,
            detail=f"{cause.type}: {cause.message}" if is_told else "no answer in time",
            remedy=grant
            if is_told and cause.type in _REFUSED
            else "look at the workflow doctor in the Temporal Web UI",
        )
        return nothing.model_copy(update={"checks": (check,)})


def _allow(scope: AzureScope, *ends: str) -> str:
    names = [action.name for action in AZURE_ACTIONS[scope] if action.name.endswith(ends)]
    return f"allow {', '.join(names)}: examples/real-tenant/{scope}.json"

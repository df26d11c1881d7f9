"""The doctor's checks: whether a tenant and a subscription have what Cloud PCs need. Nothing is changed."""

import base64
import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, cast

from azure.core.exceptions import ClientAuthenticationError
from azure.core.rest import HttpRequest
from azure.identity.aio import DefaultAzureCredential
from msgraph.generated.models.subscribed_sku import SubscribedSku
from temporalio import activity

from cloud.arm.vm_sizes import VmSizes
from cloud.clients import CloudClients
from cloud.errors import application_error
from cloud.graph.lists import found
from contract import steps
from contract.activity import NoInput
from contract.doctor import (
    CapacityInput,
    Checks,
    IdentityInput,
    RegionsInput,
    ResourceGroupChecks,
    SignInChecks,
    SingleSignOnInput,
)
from domain.capacity import Quota, SizeOffer, scarcest
from domain.fleet import INTUNE_PLANS
from domain.permissions import AZURE_ACTIONS, GRAPH_PERMISSIONS, RESOURCE_PROVIDERS, ROLE_NAME, AzureScope
from models.doctor import Check, CheckState, Identity
from models.service_plan import ServicePlan

_RESOURCES_API = "2021-04-01"
"""api-version of Microsoft.Resources, for which no SDK is installed."""

_ENTRA_ID_P1 = frozenset({"41781fb2-bc02-4b7c-bd55-b576c07bb09d", "eec0eb4f-6444-4f95-aba0-50c24d67f998"})
"""Service plans AAD_PREMIUM and AAD_PREMIUM_P2, which includes it.

Source: https://learn.microsoft.com/entra/identity/users/licensing-service-plan-reference
"""
_BUY = "Microsoft 365 admin center > Marketplace: buy a product with {}, then give its licences to the users"

_SINGLE_SIGN_ON_APPLICATIONS = {
    "Microsoft Remote Desktop": "a4a365df-50f1-4397-bc59-1a1564b8bb9c",
    "Windows Cloud Login": "270efc09-cd0d-444b-a71f-39af4910ec45",
}


class Doctor:
    """Looks at what the worker's identity may do, and at what the subscription and the tenant have."""

    def __init__(self, clients: CloudClients) -> None:
        self._clients = clients
        self._compute = clients.resource_groups.get().compute
        self._sizes = VmSizes(clients)
        self._settings = clients.settings
        self._subscription = f"/subscriptions/{clients.settings.subscription_id}"

    @steps.CHECK_SIGN_IN.implemented_by
    async def check_sign_in(self, _: NoInput) -> SignInChecks:
        """Sign in to Azure Resource Manager and Microsoft Graph, and read the permissions in Graph's token.

        A credential of its own does it: the tokens that the worker holds may be older than a permission
        granted since.
        """
        checks: list[Check] = []
        identity = Identity()
        async with DefaultAzureCredential(retry_total=0) as credential:
            for service, address in (
                ("Azure Resource Manager", self._settings.resource_manager_url),
                ("Microsoft Graph", self._settings.graph_url),
            ):
                name = f"Sign in to {service}"
                try:
                    token = (await credential.get_token(f"{address}/.default")).token
                except ClientAuthenticationError as error:
                    failure = application_error(error, activity.info().attempt)
                    remedy = "correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, start worker.py again"
                    checks.append(_failed(name, str(failure), remedy))
                    continue
                claims = _claims(token)
                identity = _identity(claims)
                who = f"tenant {identity.tenant_id}, client {identity.client_id}, object {identity.object_id}"
                checks.append(_passed(name, who))
                if service == "Microsoft Graph":
                    checks += _permission_checks(claims, identity)
        return SignInChecks(checks=tuple(checks), identity=identity)

    @steps.CHECK_RESOURCE_GROUP.implemented_by
    async def check_resource_group(self, _: NoInput) -> ResourceGroupChecks:
        """See that the resource group exists, and in which region.

        Source: https://learn.microsoft.com/rest/api/resources/resource-groups/get
        """
        group = self._settings.resource_group
        name = f"Resource group {group}"
        response = await self._get(self._settings.resource_group_id)
        if response.status_code == HTTPStatus.NOT_FOUND:
            remedy = f"az group create --subscription {self._settings.subscription_id} --name {group} --location REGION"
            return ResourceGroupChecks(checks=(_failed(name, "does not exist", remedy),))
        response.raise_for_status()
        region = str(response.json()["location"])
        return ResourceGroupChecks(checks=(_passed(name, f"in {region}"),), region=region)

    @steps.CHECK_AZURE_ACTIONS.implemented_by
    async def check_azure_actions(self, request: IdentityInput) -> Checks:
        """See that roles allow every action at the resource group.

        Conditions of role assignments are not seen here, nor deny assignments.
        Source: https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group
        """
        group = self._settings.resource_group
        held: Any = self._clients.authorization.permissions
        permissions = [permission async for permission in held.list_for_resource_group(group)]
        remedy = (
            f"az role assignment create --assignee-object-id {request.identity.object_id} "
            f'--assignee-principal-type ServicePrincipal --role "{ROLE_NAME}" '
            f"--scope {self._settings.resource_group_id}  # examples/real-tenant/azure-role.json"
        )
        features: dict[str, list[str]] = {}
        for action in AZURE_ACTIONS[AzureScope.RESOURCE_GROUP]:
            missing = features.setdefault(action.only_for, [])
            if not any(_allows(permission, action.name) for permission in permissions):
                missing.append(action.name)
        checks: list[Check] = []
        for feature, missing in features.items():
            name = f"Azure actions for {feature}" if feature else "Azure actions"
            state = CheckState.WARNING if feature else CheckState.FAILED
            if missing:
                checks.append(Check(name=name, state=state, detail=f"not allowed: {', '.join(missing)}", remedy=remedy))
            else:
                checks.append(_passed(name, f"allowed at {group}"))
        return Checks(checks=tuple(checks))

    @steps.CHECK_RESOURCE_PROVIDERS.implemented_by
    async def check_resource_providers(self, request: RegionsInput) -> Checks:
        """See that the resource providers are registered and what they offer in the regions.

        Source: https://learn.microsoft.com/rest/api/resources/providers/get
        """
        checks: list[Check] = []
        offered: dict[str, set[str]] = {}
        for namespace, resource_type in RESOURCE_PROVIDERS.items():
            response = await self._get(f"{self._subscription}/providers/{namespace}")
            response.raise_for_status()
            provider = cast(dict[str, Any], response.json())
            state = str(provider["registrationState"])
            name = f"Resource provider {namespace}"
            command = (
                f"az provider register --subscription {self._settings.subscription_id} --namespace {namespace} --wait"
            )
            checks.append(_passed(name, state) if state == "Registered" else _failed(name, state, command))
            for kind in provider.get("resourceTypes", []):
                if kind["resourceType"].casefold() == resource_type.casefold():
                    offered[f"{namespace}/{resource_type}"] = {_short_name(place) for place in kind["locations"]}
        for region in request.regions:
            lacking = [kind for kind, regions in offered.items() if region not in regions]
            everywhere = sorted(set[str].intersection(*offered.values())) if offered else []
            name = f"Region {region}"
            remedy = f"choose a regionName of: {', '.join(everywhere)}"
            detail = f"does not offer {', '.join(lacking)}"
            checks.append(
                _failed(name, detail, remedy) if lacking else _passed(name, f"offers {', '.join(RESOURCE_PROVIDERS)}")
            )
        return Checks(checks=tuple(checks))

    @steps.CHECK_CAPACITY.implemented_by
    async def check_capacity(self, request: CapacityInput) -> Checks:
        """See how many Cloud PCs of each service plan the offer and the quota of a region have room for.

        Azure's last word comes when a VM is created: quota is no promise of capacity.
        """
        region = request.region
        wanted = {size for plan in request.service_plans for size in plan.vm_sizes}
        offers, quotas = await self._sizes.offers(None, region, wanted), await self._sizes.quotas(None, region)
        state = CheckState.FAILED if request.are_wanted else CheckState.WARNING
        return Checks(checks=tuple(self._room(plan, offers, quotas, region, state) for plan in request.service_plans))

    @steps.CHECK_LICENSES.implemented_by
    async def check_licenses(self, _: NoInput) -> Checks:
        """See that the tenant has bought what Intune enrolment needs.

        Source: https://learn.microsoft.com/graph/api/subscribedsku-list
        """
        page = await self._clients.graph.subscribed_skus.get()
        skus = (page.value or []) if page else []
        return Checks(
            checks=(
                _license_check("Microsoft Intune", INTUNE_PLANS, skus),
                _license_check("Microsoft Entra ID P1", _ENTRA_ID_P1, skus),
            )
        )

    @steps.CHECK_SINGLE_SIGN_ON.implemented_by
    async def check_single_sign_on(self, request: SingleSignOnInput) -> Checks:
        """See that Entra ID lets Remote Desktop sign users in to their Cloud PCs.

        Source: https://learn.microsoft.com/azure/virtual-desktop/configure-single-sign-on
        """
        state = CheckState.FAILED if request.is_wanted else CheckState.WARNING
        checks: list[Check] = []
        for application, app_id in _SINGLE_SIGN_ON_APPLICATIONS.items():
            name = f"Single sign-on, {application}"
            problem = await self._single_sign_on_problem(app_id)
            if problem is None:
                checks.append(_passed(name, "enabled"))
            else:
                remedy = (
                    "Connect-MgGraph -Scopes Application.Read.All,Application-RemoteDesktopConfig.ReadWrite.All; "
                    "Update-MgServicePrincipalRemoteDesktopSecurityConfiguration -IsRemoteDesktopProtocolEnabled "
                    f"-ServicePrincipalId (Get-MgServicePrincipal -Filter \"AppId eq '{app_id}'\").Id"
                )
                checks.append(Check(name=name, state=state, detail=problem, remedy=remedy))
        return Checks(checks=tuple(checks))

    async def _get(self, path: str) -> Any:
        return await self._compute.send_request(HttpRequest("GET", path, params={"api-version": _RESOURCES_API}))

    async def _single_sign_on_problem(self, app_id: str) -> str | None:
        graph = self._clients.graph
        principal = await found(graph.service_principals_with_app_id(app_id).get())
        if principal is None or not principal.id:
            return f"the tenant has no service principal of {app_id}"
        builder = graph.service_principals.by_service_principal_id(principal.id)
        configuration = await found(builder.remote_desktop_security_configuration.get())
        if configuration is None:
            return f"nothing is configured on the service principal of {app_id}"
        return None if configuration.is_remote_desktop_protocol_enabled else "isRemoteDesktopProtocolEnabled is false"

    def _room(
        self,
        plan: ServicePlan,
        offers: dict[str, SizeOffer],
        quotas: dict[str, Quota],
        region: str,
        state: CheckState,
    ) -> Check:
        name = f"Service plan {plan.id} in {region}"
        refusals: list[str] = []
        remedy = "choose another region, or give the plan other vmSizes in a file for --service-plans"
        for size in plan.vm_sizes:
            offer = offers[size]
            if offer.refusal:
                refusals.append(f"{size}: {offer.refusal}")
                continue
            scarce = scarcest(offer, quotas)
            if scarce is None:
                return _passed(name, f"{size} is offered; no quota limits it")
            room, quota = scarce
            if room > 0:
                return _passed(name, f"{size}: room for {room} more")
            if not any("quota" in refusal for refusal in refusals):
                remedy = self._quota_command(quota, offer, region)
            refusals.append(f"{size}: quota {quota.name} has no room, {quota.used} of {quota.limit} used")
        return Check(name=name, state=state, detail="; ".join(refusals), remedy=remedy)

    def _quota_command(self, quota: Quota, offer: SizeOffer, region: str) -> str:
        """Return the Azure CLI command that asks for room for ten more machines."""
        wanted = quota.used + 10 * offer.needs()[quota.name.lower()]
        return (
            f"az quota update --resource-name {quota.name} --limit-object value={wanted} --resource-type dedicated "
            f"--scope {self._subscription}/providers/Microsoft.Compute/locations/{region}"
            "  # after: az extension add --name quota"
        )


def _passed(name: str, detail: str) -> Check:
    return Check(name=name, state=CheckState.PASSED, detail=detail)


def _failed(name: str, detail: str, remedy: str) -> Check:
    return Check(name=name, state=CheckState.FAILED, detail=detail, remedy=remedy)


def _claims(token: str) -> dict[str, Any]:
    """Return what an access token says of its bearer, nothing when it is no JWT.

    Its signature is the service's to check.
    """
    parts = token.split(".")
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "==")) if len(parts) == 3 else {}
    except ValueError:
        return {}
    return cast(dict[str, Any], claims) if isinstance(claims, dict) else {}


def _identity(claims: dict[str, Any]) -> Identity:
    """Return who the token is for. Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference."""
    found = {
        "tenant_id": claims.get("tid"),
        "client_id": claims.get("appid") or claims.get("azp"),
        "object_id": claims.get("oid"),
    }
    return Identity.model_validate(
        {name: value for name, value in found.items() if value} | {"is_managed": "xms_mirid" in claims}
    )


def _permission_checks(claims: dict[str, Any], identity: Identity) -> list[Check]:
    roles: set[str] = set(claims.get("roles", []))
    checks: list[Check] = []
    for permission in GRAPH_PERMISSIONS:
        name = f"Graph permission {permission.name}"
        held = roles & {permission.name, *permission.stronger}
        if held:
            by = "granted" if permission.name in held else f"included in {min(held)}"
            checks.append(_passed(name, by))
        elif not claims:
            checks.append(Check(name=name, state=CheckState.NOT_CHECKED, detail="the access token cannot be read"))
        else:
            state = CheckState.FAILED if permission.required else CheckState.WARNING
            remedy = f"{permission.grant_command(identity)}  # then start worker.py again"
            checks.append(Check(name=name, state=state, detail=f"missing: {permission.purpose}", remedy=remedy))
    return checks


def _allows(permission: Any, action: str) -> bool:
    """Tell whether one role allows an action: what `notActions` excludes, another role may still give."""

    def matches(patterns: Iterable[str] | None) -> bool:
        return any(fnmatchcase(action.casefold(), pattern.casefold()) for pattern in patterns or [])

    return matches(permission.actions) and not matches(permission.not_actions)


def _short_name(location: str) -> str:
    """Return the short name of a region, `westeurope` of `West Europe`."""
    return location.replace(" ", "").casefold()


def _license_check(product: str, plans: frozenset[str], skus: list[SubscribedSku]) -> Check:
    name = f"Licences of {product}"
    free = bought = 0
    for sku in skus:
        has_plan = any(str(plan.service_plan_id) in plans for plan in sku.service_plans or [])
        if has_plan and sku.capability_status in ("Enabled", "Warning"):
            units = (sku.prepaid_units.enabled if sku.prepaid_units else None) or 0
            bought += units
            free += units - (sku.consumed_units or 0)
    if not bought:
        return _failed(name, "no subscription with it is enabled", _BUY.format(product))
    if free <= 0:
        detail = f"all {bought} are given to users; a Cloud PC's user needs one"
        return Check(name=name, state=CheckState.WARNING, detail=detail, remedy=_BUY.format(product))
    return _passed(name, f"{free} of {bought} free")

"""Microsoft.Resources: the tenant, its subscriptions, resource groups, resource providers and the generic listing."""

import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.errors import ArmError
from simulator.arm.ids import part_of
from simulator.arm.operations import Operations
from simulator.arm.resource_type import ResourceType, merged
from simulator.arm.store import Resource
from simulator.cloud import SECOND_SUBSCRIPTION_ID, SUBSCRIPTION_ID, TENANT_ID, Cloud

RESOURCE_GROUPS = "Microsoft.Resources/resourceGroups"
SUBSCRIPTIONS = {SUBSCRIPTION_ID: "Cloud PCs", SECOND_SUBSCRIPTION_ID: "Branch offices"}
"""Display names of the subscriptions by their ids."""

REGISTRATION_SECONDS = 60
"""How long a resource provider takes to be registered."""

_SHOWN = ("id", "name", "type", "location", "tags", "identity", "sku", "kind", "managedBy")
"""What the generic listing shows of every resource."""
_EXPANDABLE: dict[str, Callable[[Resource], str]] = {
    "createdTime": lambda resource: resource.created.isoformat(),
    "changedTime": lambda resource: resource.changed.isoformat(),
    "provisioningState": lambda resource: resource.properties.get("provisioningState", "Succeeded"),
}
"""What it shows on demand.

Source: https://learn.microsoft.com/rest/api/resources/resources/list
"""

_CONDITION = re.compile(
    r"\s*(?P<name>resourceType|resourceGroup|name|location|tagName|tagValue)\s+eq\s+'(?P<value>(?:[^']|'')*)'\s*",
    re.IGNORECASE,
)


class ResourceGroups(ResourceType):
    """Resource groups."""

    type = RESOURCE_GROUPS

    def __init__(self, cloud: Cloud, operations: Operations, types: dict[str, ResourceType]) -> None:
        super().__init__(cloud, operations)
        self._types = types

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Say that the group is ready, which it is at once."""
        resource.properties["provisioningState"] = "Succeeded"
        return True

    def busy(self, resource: Resource, call: Call) -> ArmError:
        """Return the 409 for a group that is being deleted."""
        return being_deleted(resource)

    async def delete(self, call: Call, resource_id: str) -> web.Response:
        """Delete a group with everything in it, which takes the longer the more that is."""
        resource = self.existing(resource_id)
        if resource.operation:
            return web.Response(
                status=202, headers=self.operations.headers(resource.operation, status=False, monitor=True)
            )
        call.entry.effect = "deleted"

        async def work() -> None:
            for gone in self.store.remove(resource.id):
                if gone is not resource:
                    self.operations.preempt(gone)
                    self._types[gone.type.lower()].removed(gone)

        def failed(error: ArmError) -> None:
            resource.properties["provisioningState"] = "Failed"

        resource.properties["provisioningState"] = "Deleting"
        operation = self.operations.begin(
            call,
            resource,
            120,
            work,
            failed,
            path=f"/subscriptions/{part_of(resource.id, 'subscriptions')}/operationresults",
        )
        return web.Response(status=202, headers=self.operations.headers(operation, status=False, monitor=True))

    def existing(self, resource_id: str) -> Resource:
        """Return the group of an id."""
        return group_of(self.store.get(resource_id), resource_id)


class Subscriptions:
    """What is asked of the tenant and the subscriptions themselves."""

    def __init__(self, cloud: Cloud, groups: ResourceGroups, types: dict[str, ResourceType]) -> None:
        self._cloud = cloud
        self._groups = groups
        self._types = types

    async def handle(self, call: Call) -> web.Response:
        """Answer a request whose address names no resource provider."""
        parts = call.address.scope.strip("/").split("/")
        subscription = subscription_of(call.path)
        match call.method, [part.lower() for part in parts]:
            case "GET", ["tenants"]:
                return web.json_response({"value": [_tenant()]})
            case "GET", ["subscriptions"]:
                return web.json_response(
                    {"value": [_subscription(subscription_id) for subscription_id in SUBSCRIPTIONS]}
                )
            case "GET", ["subscriptions", _]:
                return web.json_response(_subscription(part_of(subscription, "subscriptions")))
            case "GET", ["subscriptions", _, "locations"]:
                return web.json_response({"value": self._locations(subscription)})
            case "GET", ["subscriptions", _, "providers"]:
                names = self._namespaces().values()
                return web.json_response({"value": [self._provider(subscription, name) for name in names]})
            case "GET", ["subscriptions", _, "resources"]:
                return self._list_resources(call, subscription)
            case "GET", ["subscriptions", _, "operationresults", operation_id]:
                return self._groups.operations.answer(operation_id, monitor=True)
            case "GET", ["subscriptions", _, "resourcegroups"]:
                return await self._groups.list(call, subscription)
            case "GET", ["subscriptions", _, "resourcegroups", _, "resources"]:
                group = self._groups.existing("/" + "/".join(parts[:4]))
                return self._list_resources(call, group.id)
            case method, ["subscriptions", _, "resourcegroups", _]:
                return await self._group(method, call, f"{subscription}/resourceGroups/{parts[3]}")
            case _:
                raise ArmError(404, "NotFound", f"No resource was found at {call.path}.")

    async def handle_provider(self, call: Call) -> web.Response:
        """Answer a request about a resource provider itself."""
        namespace = self._namespaces().get(call.address.namespace.lower())
        if namespace is None:
            raise invalid_namespace(call.address.namespace)
        subscription = subscription_of(call.path)
        match call.method, [segment.lower() for segment in call.address.segments]:
            case "GET", []:
                return web.json_response(self._provider(subscription, namespace))
            case "POST", ["register"]:
                call.entry.effect = "updated"
                self._cloud.spawn(self._register(namespace))
                return web.json_response(self._provider(subscription, namespace))
            case "POST", ["unregister"]:
                call.entry.effect = "updated"
                self._cloud.resources.unregistered.add(namespace.lower())
                return web.json_response(self._provider(subscription, namespace))
            case _:
                raise ArmError(405, "MethodNotAllowed", f"{call.method} is not allowed at {call.path}.")

    def _provider(self, subscription: str, namespace: str) -> dict[str, Any]:
        is_registered = namespace.lower() not in self._cloud.resources.unregistered
        names = [
            rules.type.split("/", 1)[1] for rules in self._types.values() if rules.type.startswith(f"{namespace}/")
        ]
        locations = [region["displayName"] for region in self._cloud.resources.capacity.regions.values()]
        return {
            "id": f"{subscription}/providers/{namespace}",
            "namespace": namespace,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": "Registered" if is_registered else "NotRegistered",
            "resourceTypes": [{"resourceType": name, "locations": locations, "apiVersions": []} for name in names],
        }

    async def _register(self, namespace: str) -> None:
        await self._cloud.clock.sleep(REGISTRATION_SECONDS)
        self._cloud.resources.unregistered.discard(namespace.lower())

    async def _group(self, method: str, call: Call, group_id: str) -> web.Response:
        match method:
            case "GET":
                return await self._groups.get(call, group_id)
            case "HEAD":
                return web.Response(status=204 if self._groups.store.get(group_id) else 404)
            case "PUT":
                return await self._groups.put(call, group_id)
            case "PATCH":
                existing = self._groups.existing(group_id)
                existing.body = merged(existing.body, {"tags": call.body.get("tags") or {}})
                call.entry.effect = "updated"
                return web.json_response(existing.body)
            case "DELETE":
                return await self._groups.delete(call, group_id)
            case _:
                raise ArmError(405, "MethodNotAllowed", f"{method} is not allowed at {call.path}.")

    def _list_resources(self, call: Call, below: str) -> web.Response:
        conditions = _conditions(call.query.get("$filter", ""))
        expanded = _expanded(call.query.get("$expand", ""))
        found: list[dict[str, Any]] = []
        for resource in self._cloud.resources.all():
            is_below = resource.id.lower().startswith(f"{below.lower()}/")
            is_listed = resource.type != RESOURCE_GROUPS and self._types[resource.type.lower()].is_tracked
            if is_below and is_listed and _meets(resource, conditions):
                shown = {name: resource.body[name] for name in _SHOWN if name in resource.body}
                if "tagname" in conditions:
                    # https://learn.microsoft.com/rest/api/resources/resources/list, $filter
                    shown.pop("tags", None)
                found.append(shown | {name: _EXPANDABLE[name](resource) for name in expanded})
        top = int(call.query.get("$top", len(found)))
        return web.json_response({"value": found[:top]})

    def _locations(self, subscription: str) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{subscription}/locations/{name}",
                "name": name,
                "type": "Region",
                "displayName": region["displayName"],
                "regionalDisplayName": region["displayName"],
                "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
            }
            for name, region in self._cloud.resources.capacity.regions.items()
        ]

    def _namespaces(self) -> dict[str, str]:
        names = (rules.type.split("/", 1)[0] for rules in self._types.values())
        return {name.lower(): name for name in names}


def subscription_of(path: str) -> str:
    """Return the ARM id of the subscription that a path lies in, or an empty string for the tenant."""
    subscription_id = part_of(path, "subscriptions").lower()
    return f"/subscriptions/{subscription_id}" if subscription_id else ""


def group_of(resource: Resource | None, resource_id: str) -> Resource:
    """Return a resource group.

    Raises:
        ArmError: 404, it does not exist.

    """
    if resource is None:
        name = part_of(resource_id, "resourceGroups")
        raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
    return resource


def being_deleted(group: Resource) -> ArmError:
    """Return the 409 for a write into a resource group that is being deleted."""
    return ArmError(
        409,
        "ResourceGroupBeingDeleted",
        f"The resource group '{group.name}' is in deprovisioning state and cannot perform this operation.",
    )


def invalid_namespace(namespace: str) -> ArmError:
    """Return the 404 for a resource provider that is not simulated."""
    return ArmError(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")


def _tenant() -> dict[str, Any]:
    return {
        "id": f"/tenants/{TENANT_ID}",
        "tenantId": TENANT_ID,
        "countryCode": "US",
        "displayName": "Contoso",
        "domains": ["contoso.onmicrosoft.com"],
        "tenantCategory": "Home",
        "defaultDomain": "contoso.onmicrosoft.com",
        "tenantType": "AAD",
    }


def _subscription(subscription_id: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription_id}",
        "subscriptionId": subscription_id,
        "tenantId": TENANT_ID,
        "displayName": SUBSCRIPTIONS[subscription_id],
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
        "managedByTenants": [],
    }


def _conditions(text: str) -> dict[str, str]:
    conditions: dict[str, str] = {}
    for part in re.split(r"\s+and\s+", text, flags=re.IGNORECASE) if text else ():
        condition = _CONDITION.fullmatch(part)
        if condition is None:
            raise ArmError(
                400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string."
            )
        conditions[condition["name"].lower()] = condition["value"].replace("''", "'")
    if len(conditions) > 1 and "tagname" in conditions and set(conditions) != {"tagname", "tagvalue"}:
        raise ArmError(400, "InvalidFilterInQueryString", "A filter on a tag cannot be combined with other filters.")
    return conditions


def _expanded(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _EXPANDABLE]:
        raise ArmError(400, "InvalidExpandInQueryString", f"Invalid $expand '{unknown[0]}' in the query string.")
    return names


def _meets(resource: Resource, conditions: dict[str, str]) -> bool:
    tags = {name.lower(): value for name, value in resource.body.get("tags", {}).items()}
    tag_name = conditions.get("tagname", "").lower()
    actual = {
        "resourcetype": resource.type,
        "resourcegroup": part_of(resource.id, "resourceGroups"),
        "name": resource.name,
        "location": resource.location,
        "tagname": tag_name if tag_name in tags else None,
        "tagvalue": tags.get(tag_name),
    }
    return all(str(actual[name]).lower() == value.lower() for name, value in conditions.items())

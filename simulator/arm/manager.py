"""Azure Resource Manager itself: finds the rules for a request and wraps what comes of it."""

import re

from aiohttp import web

from simulator.arm.authorization import Permissions, RoleAssignments, RoleDefinitions
from simulator.arm.call import Call
from simulator.arm.capacity_reservations import CAPACITY_RESERVATION_TYPES
from simulator.arm.compute import MACHINES, Disks, VirtualMachines
from simulator.arm.desktopvirtualization import DESKTOP_TYPES
from simulator.arm.errors import ArmError, not_found
from simulator.arm.existing import seed
from simulator.arm.extensions import Extensions
from simulator.arm.ids import Address, part_of
from simulator.arm.images import IMAGE_TYPES
from simulator.arm.network import NETWORK_TYPES, network_usages
from simulator.arm.offerings import compute_usages, marketplace_images, resource_skus
from simulator.arm.operations import Operations
from simulator.arm.resource_type import ResourceType
from simulator.arm.resources import (
    RESOURCE_GROUPS,
    SUBSCRIPTIONS,
    ResourceGroups,
    Subscriptions,
    being_deleted,
    group_of,
    invalid_namespace,
    subscription_of,
)
from simulator.arm.run_commands import RunCommandAction, RunCommands
from simulator.arm.throttling import Throttle
from simulator.cloud import Cloud
from simulator.entra import RESOURCE_MANAGER, InvalidToken, TokenService
from simulator.ledger import LEDGER_ENTRY, PATH

_MACHINE = re.compile(rf".*/providers/{MACHINES}/[^/]+", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class ResourceManager:
    """Answers everything under `/subscriptions`, `/providers` and `/tenants`.

    Attributes:
        operations: The long-running operations, ended ones included.

    """

    def __init__(self, cloud: Cloud, tokens: TokenService) -> None:
        self._cloud = cloud
        self._tokens = tokens
        self._store = cloud.resources
        self._throttles = {subscription: Throttle(cloud.clock) for subscription in ("", *SUBSCRIPTIONS)}
        self.operations = Operations(cloud)
        self._types: dict[str, ResourceType] = {}
        machines = VirtualMachines(cloud, self.operations)
        RunCommandAction(cloud, self.operations, machines)
        for rules in (
            machines,
            Disks(cloud, self.operations, machines),
            *(
                kind(cloud, self.operations)
                for kind in (
                    Extensions,
                    RunCommands,
                    *CAPACITY_RESERVATION_TYPES,
                    *IMAGE_TYPES,
                    *NETWORK_TYPES,
                    *DESKTOP_TYPES,
                    RoleAssignments,
                    RoleDefinitions,
                    Permissions,
                )
            ),
        ):
            self._types[rules.type.lower()] = rules
        groups = ResourceGroups(cloud, self.operations, self._types)
        self._subscriptions = Subscriptions(cloud, groups, self._types)
        seed({**self._types, RESOURCE_GROUPS.lower(): groups})

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        headers = {
            "x-ms-request-id": self._cloud.new_id("request"),
            "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id")
            or self._cloud.new_id("correlation"),
        }
        now = self._cloud.clock.now().strftime("%Y%m%dT%H%M%SZ")
        headers["x-ms-routing-request-id"] = f"WESTEUROPE:{now}:{headers['x-ms-request-id']}"
        try:
            self._tokens.authorize(request, RESOURCE_MANAGER)
            headers |= self._throttle_of(request[PATH]).enter(request.method)
            call = await Call.read(request)
            response = await self._route(call)
        except InvalidToken as error:
            body = {"error": {"code": error.code, "message": error.message}}
            response = web.json_response(body, status=401, headers=error.headers)
        except ArmError as error:
            if entry := request.get(LEDGER_ENTRY):
                entry.effect = "none"
            response = web.json_response(error.body(), status=error.status, headers=error.headers)
        response.headers.update(headers)
        return response

    async def _route(self, call: Call) -> web.Response:
        address = call.address
        _check_subscription(call.path)
        if not address.namespace:
            return await self._subscriptions.handle(call)
        if not any(kind.startswith(f"{address.namespace.lower()}/") for kind in self._types):
            raise invalid_namespace(address.namespace)
        if not address.segments or address.segments[0].lower() in ("register", "unregister"):
            return await self._subscriptions.handle_provider(call)
        if address.namespace.lower() == "microsoft.compute" and address.segments[0].lower() == "skus":
            return resource_skus(self._store.capacity, call)
        if address.segments[0].lower() == "locations":
            return self._route_location(call)
        return await self._route_resource(call)

    def _route_location(self, call: Call) -> web.Response:
        region = call.address.segments[1].lower() if len(call.address.segments) > 1 else ""
        if region not in self._store.capacity.regions:
            raise ArmError(
                400, "NoRegisteredProviderFound", f"No registered resource provider found for location '{region}'."
            )
        namespace = call.address.namespace.lower()
        match call.method, [segment.lower() for segment in call.address.segments[2:]]:
            case "GET", ["operations", operation_id]:
                if operation := self.operations.by_id.get(operation_id):
                    self._charge("GetOperation", operation.resource_id)
                return self.operations.answer(operation_id, monitor=call.flag("monitor"))
            case "GET", ["usages"] if namespace == "microsoft.compute":
                return compute_usages(self._store.capacity, part_of(call.path, "subscriptions").lower(), region)
            case "GET", ["usages"] if namespace == "microsoft.network":
                return web.json_response({"value": network_usages(self._store, subscription_of(call.path), region)})
            case "GET", ["publishers", *_] if namespace == "microsoft.compute":
                return marketplace_images(self._store.capacity, call, subscription_of(call.path))
            case _:
                raise ArmError(404, "InvalidResourceType", f"Nothing is found at {call.path}.")

    async def _route_resource(self, call: Call) -> web.Response:
        types, names = call.address.types, call.address.segments[1::2]
        is_collection_or_action = len(types) > len(names)
        if is_collection_or_action and call.method in ("GET", "HEAD"):
            if rules := self._types.get(call.address.resource_type):
                below = self._stored_scope(call)
                if names:
                    below = self._stored_id(call, types[:-1], names)
                    self._types["/".join((call.address.namespace, *types[:-1])).lower()].existing(below)
                if rules.type == MACHINES:
                    self._throttle_of(call.path).charge("HighCostGet")
                else:
                    self._charge("LowCostGet", below)
                return await rules.list(call, below)
            if call.address.resource_type == f"{MACHINES.lower()}/instanceview":
                return self._instance_view(call, self._stored_id(call, types[:-1], names))
        rules = self._types.get("/".join((call.address.namespace, *types[: len(names)])).lower())
        if rules is None or (is_collection_or_action and call.method != "POST"):
            raise ArmError(
                404,
                "InvalidResourceType",
                f"The resource type '{'/'.join(types)}' could not be found in the namespace '{call.address.namespace}' "
                f"for api version '{call.api_version}'.",
            )
        resource_id = self._stored_id(call, types[: len(names)], names)
        if call.method == "GET":
            self._charge("LowCostGet", resource_id)
            return await rules.get(call, resource_id)
        if call.method in ("PUT", "PATCH"):
            self._check_writable(call, rules, resource_id)
        self._charge(self._write_policy(call, rules, resource_id), resource_id)
        match call.method:
            case "PUT":
                return await rules.put(call, resource_id)
            case "PATCH":
                return await rules.patch(call, resource_id)
            case "DELETE":
                return await rules.delete(call, resource_id)
            case "POST" if is_collection_or_action:
                return await rules.post(call, resource_id, types[-1])
            case _:
                raise ArmError(405, "MethodNotAllowed", f"{call.method} is not allowed at {call.path}.")

    def _instance_view(self, call: Call, machine_id: str) -> web.Response:
        machines = self._types[MACHINES.lower()]
        assert isinstance(machines, VirtualMachines)  # noqa: S101 - for the type checker
        self._charge("LowCostGet", machine_id)
        return web.json_response(machines.instance_view(machines.existing(machine_id)))

    def _stored_scope(self, call: Call) -> str:
        scope = call.address.scope
        if (stored := self._store.get(scope)) is not None:
            return stored.id
        if "/providers/" in scope.lower():
            extended = Address.parse(scope)
            group = part_of(scope, "resourceGroups")
            raise not_found("/".join((extended.namespace, *extended.segments)), group)
        if part_of(scope, "resourceGroups"):
            group_of(None, scope)
        return subscription_of(scope)

    def _stored_id(self, call: Call, types: tuple[str, ...], names: tuple[str, ...]) -> str:
        """Return a resource's id with everything that exists already written as it is stored."""
        scope = self._stored_scope(call)
        namespace = call.address.namespace
        resource_id = scope
        for depth in range(1, len(types) + 1):
            kind = self._types.get("/".join((namespace, *types[:depth])).lower())
            canonical = kind.type.split("/") if kind else [namespace, *types[:depth]]
            prefix = f"{scope}/providers/{canonical[0]}" if depth == 1 else resource_id
            resource_id = f"{prefix}/{canonical[-1]}/{names[depth - 1]}"
            if stored := self._store.get(resource_id):
                resource_id = stored.id
            elif depth < len(types):
                raise ArmError(
                    404,
                    "ParentResourceNotFound",
                    f"Can not perform requested operation on nested resource. Parent resource "
                    f"'{'/'.join(names[:depth])}' not found.",
                )
        return resource_id

    def _check_writable(self, call: Call, rules: ResourceType, resource_id: str) -> None:
        namespace = call.address.namespace
        if namespace.lower() in self._store.unregistered:
            raise ArmError(
                409,
                "MissingSubscriptionRegistration",
                f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found "
                "for how to register subscriptions.",
                details=[
                    {
                        "code": "MissingSubscriptionRegistration",
                        "target": namespace,
                        "message": f"The subscription is not registered to use namespace '{namespace}'.",
                    }
                ],
            )
        group = self._store.get(
            f"{subscription_of(resource_id)}/resourceGroups/{part_of(resource_id, 'resourceGroups')}"
        )
        if group and group.operation:
            raise being_deleted(group)

    def _write_policy(self, call: Call, rules: ResourceType, resource_id: str) -> str:
        if rules.type == MACHINES and call.method == "PUT" and self._store.get(resource_id) is None:
            return "PutVM"
        if rules.type == MACHINES and (call.method == "DELETE" or call.path.lower().endswith("/deallocate")):
            return "DeleteVM"
        return "UpdateVM"

    def _charge(self, policy: str, resource_id: str) -> None:
        """Count a request about a machine, or about what belongs to one; others are not counted."""
        if machine := _MACHINE.match(resource_id):
            self._throttle_of(resource_id).charge(policy, machine[0])

    def _throttle_of(self, path: str) -> Throttle:
        """Return the limits of the subscription that a path lies in, or else those of the tenant."""
        return self._throttles.get(part_of(path, "subscriptions").lower(), self._throttles[""])


def _check_subscription(path: str) -> None:
    subscription = part_of(path, "subscriptions")
    if not subscription or subscription.lower() in SUBSCRIPTIONS:
        return
    if not _GUID.fullmatch(subscription):
        raise ArmError(
            400,
            "InvalidSubscriptionId",
            f"The provided subscription identifier '{subscription}' is malformed or invalid.",
        )
    raise ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")

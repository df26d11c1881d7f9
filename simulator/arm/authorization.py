"""Microsoft.Authorization: who may do what where."""

import re
from typing import Any

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.errors import ArmError
from simulator.arm.ids import part_of
from simulator.arm.resource_type import ResourceType
from simulator.arm.store import Resource
from simulator.cloud import CLIENT_ID, TENANT_ID

ROLE_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
ROLE_DEFINITIONS = "Microsoft.Authorization/roleDefinitions"

BUILT_IN_ROLES = {
    "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63": "Desktop Virtualization User",
    "fb879df8-f326-4884-b1cf-06f3ad86be52": "Virtual Machine User Login",
    "1c0163c0-47e6-4577-8991-ea5c82e286e4": "Virtual Machine Administrator Login",
    "489581de-a3bd-480d-9518-53dea7416b33": "Desktop Virtualization Power On Contributor",
    "9980e02c-c2be-4d73-94e8-173b1dc7cf3c": "Virtual Machine Contributor",
    "4d97b98b-1d4f-4787-a291-c67834d212e7": "Network Contributor",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
}
"""Names of the built-in roles by their GUIDs."""

_PERMISSIONS: dict[str, tuple[list[str], list[str]]] = {
    "Owner": (["*"], []),
    "Contributor": (
        ["*"],
        [
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
        ],
    ),
    "Reader": (["*/read"], []),
    "Role Based Access Control Administrator": (
        [
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
            "Microsoft.Support/*",
        ],
        [],
    ),
}
"""`actions` and `notActions` of the general roles; of the others they are not simulated.

Source: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
"""

_PRINCIPAL_FILTER = re.compile(r"(?:principalId\s+eq\s+|assignedTo\()'(?P<principal>[^']*)'\)?", re.IGNORECASE)
_ROLE_NAME_FILTER = re.compile(r"roleName\s+eq\s+'(?P<name>[^']*)'", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class RoleAssignments(ResourceType):
    """Role assignments, at any scope."""

    type = ROLE_ASSIGNMENTS
    is_tracked = False

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check name, role and principal, and that the same assignment does not exist under another name."""
        scope = call.address.scope
        if not _GUID.fullmatch(resource.name):
            raise ArmError(
                400,
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{resource.name}' is not valid. It must be a GUID.",
            )
        properties = resource.properties
        role_id = str(properties.get("roleDefinitionId", ""))
        role_guid = role_id.rsplit("/", 1)[-1].lower()
        if role_guid not in BUILT_IN_ROLES:
            raise ArmError(
                400,
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{role_guid}' does not exist.",
            )
        principal_id = str(properties.get("principalId", ""))
        principal_type = properties.get("principalType")
        is_known = principal_id in self.cloud.directory.users
        if not is_known and (principal_type in (None, "User")):
            raise ArmError(
                400,
                "PrincipalNotFound",
                f"Principal {principal_id.replace('-', '')} does not exist in the directory {TENANT_ID}. "
                "Check that you have the correct principal ID. If you are creating this principal and then immediately "
                "assigning a role, this error might be related to a replication delay. In this case, set the role "
                "assignment principalType property to a value, such as ServicePrincipal, User, or Group. See "
                "https://aka.ms/docs-principaltype",
            )
        wanted = (principal_id.lower(), role_guid)
        if existing:
            if self._who_and_what(existing) != wanted:
                raise ArmError(
                    400,
                    "RoleAssignmentUpdateNotPermitted",
                    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                )
            return False
        for other in self.store.children(scope, ROLE_ASSIGNMENTS):
            if self._who_and_what(other) == wanted:
                raise ArmError(
                    409,
                    "RoleAssignmentExists",
                    f"The role assignment already exists. The ID of the existing role assignment is "
                    f"{other.name.replace('-', '')}.",
                )
        now = self.cloud.clock.timestamp()
        subscription = part_of(scope, "subscriptions")
        properties |= {
            "roleDefinitionId": f"/subscriptions/{subscription}/providers/{ROLE_DEFINITIONS}/{role_guid}",
            "principalType": principal_type or "User",
            "scope": scope,
            "createdOn": now,
            "updatedOn": now,
            "createdBy": CLIENT_ID,
            "updatedBy": CLIENT_ID,
        }
        return True

    def existing(self, resource_id: str) -> Resource:
        """Return the assignment of an id."""
        if resource := self.store.get(resource_id):
            return resource
        name = resource_id.rsplit("/", 1)[-1]
        raise ArmError(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")

    async def delete(self, call: Call, resource_id: str) -> web.Response:
        """Delete an assignment and return it."""
        resource = self.store.get(resource_id)
        response = await super().delete(call, resource_id)
        return web.json_response(resource.body) if resource else response

    async def list(self, call: Call, below: str) -> web.Response:
        """List the assignments that hold at a scope and, unless filtered by `atScope()`, below it."""
        wanted = call.query.get("$filter", "")
        principal = _PRINCIPAL_FILTER.search(wanted)
        scope, at_scope = f"{below.lower()}/", "atscope()" in wanted.lower()
        found: list[dict[str, Any]] = []
        for resource in self.store.list(ROLE_ASSIGNMENTS):
            own = f"{resource.properties['scope'].lower()}/"
            holds = scope.startswith(own) or (not at_scope and own.startswith(scope))
            if holds and (principal is None or principal["principal"] == resource.properties["principalId"]):
                found.append(resource.body)
        return web.json_response({"value": found})

    def _who_and_what(self, resource: Resource) -> tuple[str, str]:
        properties = resource.properties
        return properties["principalId"].lower(), properties["roleDefinitionId"].rsplit("/", 1)[-1].lower()


class RoleDefinitions(ResourceType):
    """Role definitions: the built-in ones, to be read only."""

    type = ROLE_DEFINITIONS
    is_tracked = False

    async def get(self, call: Call, resource_id: str) -> web.Response:
        """Read one role."""
        guid = resource_id.rsplit("/", 1)[-1].lower()
        if guid not in BUILT_IN_ROLES:
            raise _no_such_role(404, guid)
        return web.json_response(_role(guid, call.address.scope))

    async def list(self, call: Call, below: str) -> web.Response:
        """List the roles, by `roleName eq '...'` if asked."""
        wanted = _ROLE_NAME_FILTER.search(call.query.get("$filter", ""))
        roles = [g for g, name in BUILT_IN_ROLES.items() if wanted is None or wanted["name"].lower() == name.lower()]
        return web.json_response({"value": [_role(guid, below) for guid in roles]})

    async def put(self, call: Call, resource_id: str) -> web.Response:
        """Refuse: custom roles are not simulated."""
        raise ArmError(403, "RoleDefinitionLimitExceeded", "The simulated cloud has no room for custom roles.")


class Permissions(ResourceType):
    """What the caller may do at a scope: a permission for each role held there, or above.

    Source: https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group
    """

    type = "Microsoft.Authorization/permissions"
    is_tracked = False

    async def list(self, call: Call, below: str) -> web.Response:
        """List the permissions; those of the subscription's roles hold everywhere in it."""
        return web.json_response({"value": [_permission(name) for name in sorted(self.store.roles)]})


def _permission(role_name: str) -> dict[str, Any]:
    actions, not_actions = _PERMISSIONS[role_name]
    return {"actions": actions, "notActions": not_actions, "dataActions": [], "notDataActions": []}


def _no_such_role(status: int, guid: str) -> ArmError:
    message = f"The specified role definition with ID '{guid}' does not exist."
    return ArmError(status, "RoleDefinitionDoesNotExist", message)


def _role(guid: str, scope: str) -> dict[str, Any]:
    subscription = part_of(scope, "subscriptions")
    prefix = f"/subscriptions/{subscription}" if subscription else ""
    return {
        "id": f"{prefix}/providers/{ROLE_DEFINITIONS}/{guid}",
        "name": guid,
        "type": ROLE_DEFINITIONS,
        "properties": {
            "roleName": BUILT_IN_ROLES[guid],
            "type": "BuiltInRole",
            "description": "",
            "assignableScopes": ["/"],
            "permissions": [_permission(BUILT_IN_ROLES[guid])] if BUILT_IN_ROLES[guid] in _PERMISSIONS else [],
        },
    }

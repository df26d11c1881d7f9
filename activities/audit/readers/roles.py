"""The role assignments that let users sign in; ours have the names that this product gives."""

from collections.abc import Iterable
from typing import Any

from activities.audit.readers.machines import Machines
from activities.audit.readers.resources import Shared
from cloud.arm.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
    RoleAssignment,
)
from cloud.clients import CloudClients
from domain.audit import Inventory, Part
from models.audit import PartKind
from models.types import ResourceId

_LOGIN_ROLES = frozenset({VIRTUAL_MACHINE_USER_LOGIN, VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN})


async def read_roles(
    clients: CloudClients, group_id: str, application_groups: Iterable[Shared], machines: Machines
) -> Inventory:
    """Read the role assignments in a resource group.

    Raises:
        HttpResponseError: They cannot be read.

    Source: https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope

    """
    inventory = Inventory()
    groups = {group.id.casefold(): group for group in application_groups}
    assignments: Any = clients.authorization.role_assignments
    async for found in assignments.list_for_scope(group_id):
        scope, user = str(found.scope), str(found.principal_id)
        role = ResourceId.parse(str(found.role_definition_id)).name.lower()
        group = groups.get(scope.casefold()) if role == DESKTOP_VIRTUALIZATION_USER else None
        if group or role in _LOGIN_ROLES:
            inventory.roles.add((scope.casefold(), user))
        if found.name != RoleAssignment(scope, role, user).name:
            continue
        facts: dict[str, Any] = {
            "kind": PartKind.ROLE_ASSIGNMENT,
            "id": found.id,
            "command": f"az role assignment delete --ids {found.id}",
            "created": found.created_on,
            "scope": scope,
            "role": role,
            "user_id": user,
        }
        if group:
            inventory.parts.append(Part(**facts, policy_id=group.policy_id, region=group.region))
        elif role in _LOGIN_ROLES and (part := machines.part_of(scope, **facts)):
            inventory.parts.append(part)
    return inventory

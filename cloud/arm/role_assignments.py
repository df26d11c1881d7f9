"""Role assignments: what lets a user sign in to a machine and see a desktop."""

import uuid
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

from cloud.clients import CloudClients
from cloud.errors import arm_code

DESKTOP_VIRTUALIZATION_USER = "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63"
VIRTUAL_MACHINE_USER_LOGIN = "fb879df8-f326-4884-b1cf-06f3ad86be52"
VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN = "1c0163c0-47e6-4577-8991-ea5c82e286e4"
"""Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles."""


@dataclass(frozen=True)
class RoleAssignment:
    """A role of a user at a scope. Its name follows from the three, so that granting twice is granting once."""

    scope: str
    role: str
    user_id: str

    @property
    def name(self) -> str:
        """GUID of the assignment."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scope.lower()}|{self.user_id}|{self.role}"))


class RoleAssignments:
    """Grants and revokes. Source: https://learn.microsoft.com/azure/role-based-access-control/troubleshooting."""

    def __init__(self, clients: CloudClients) -> None:
        # Untyped, since the client offers the operations of every api-version at once.
        self._assignments: Any = clients.authorization.role_assignments
        self._subscription = f"/subscriptions/{clients.settings.subscription_id}"

    async def grant(self, assignment: RoleAssignment) -> None:
        """Make the assignment; one that exists is made already.

        Raises:
            HttpResponseError: It is refused, or `PrincipalNotFound` while the user is not known yet.

        """
        body = RoleAssignmentCreateParameters(
            role_definition_id=(
                f"{self._subscription}/providers/Microsoft.Authorization/roleDefinitions/{assignment.role}"
            ),
            principal_id=assignment.user_id,
            principal_type="User",
        )
        try:
            await self._assignments.create(assignment.scope, assignment.name, body)
        except HttpResponseError as error:
            if arm_code(error) != "RoleAssignmentExists":
                raise

    async def revoke(self, assignment: RoleAssignment) -> None:
        """Remove the assignment; one that does not exist is removed already."""
        try:
            await self._assignments.delete(assignment.scope, assignment.name)
        except ResourceNotFoundError:
            # The scope itself is gone, and the assignment with it.
            return

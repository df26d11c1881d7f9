"""What the steps of deprovisioning are given, where it is more than the Cloud PC."""

from contract.activity import CloudPcInput
from models.azure_network_connection import ActiveDirectoryDomain
from models.base import GraphModel


class RemoveComputerAccountInput(CloudPcInput):
    """The machine whose account stays in its domain."""

    domain: ActiveDirectoryDomain


class SignInRole(GraphModel):
    """A role assignment that let a user sign in."""

    scope: str
    role: str
    """GUID of the role definition."""
    user_id: str


class RevokeRolesInput(GraphModel):
    """The role assignments to be removed."""

    roles: tuple[SignInRole, ...]

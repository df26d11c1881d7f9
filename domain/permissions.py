"""What a tenant and a subscription must have before Cloud PCs can be made.

The two tables, `GRAPH_PERMISSIONS` and `AZURE_ACTIONS`, are the whole of what the worker's identity needs;
the files in `examples/real-tenant` are written from them.
"""

from enum import StrEnum
from typing import NamedTuple

from models.doctor import Identity

MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000"
"""Application id of Microsoft Graph."""
ROLE_NAME = "Cloud PC Provisioning"
"""Name of the custom Azure role for the resource group."""


class GraphPermission(NamedTuple):
    """A Microsoft Graph application permission.

    Source: https://learn.microsoft.com/graph/permissions-reference
    """

    name: str
    app_role_id: str
    purpose: str
    stronger: tuple[str, ...] = ()
    """Permissions that include it for what this product does."""
    required: bool = True
    """False where Cloud PCs can be provisioned by hand without it."""

    def grant_command(self, identity: Identity) -> str:
        """Return the Azure CLI command that grants it with the admin's consent."""
        if identity.is_managed:
            resource = f"$(az ad sp show --id {MICROSOFT_GRAPH} --query id -o tsv)"
            body = {"principalId": identity.object_id, "resourceId": resource, "appRoleId": self.app_role_id}
            fields = ",".join(f'\\"{name}\\":\\"{value}\\"' for name, value in body.items())
            url = f"https://graph.microsoft.com/v1.0/servicePrincipals/{identity.object_id}/appRoleAssignments"
            return f'az rest --method post --url {url} --body "{{{fields}}}"'
        return (
            f"az ad app permission add --id {identity.client_id} --api {MICROSOFT_GRAPH} "
            f"--api-permissions {self.app_role_id}=Role && az ad app permission admin-consent --id {identity.client_id}"
        )


_DIRECTORY = ("Directory.Read.All", "Directory.ReadWrite.All")

READ_GROUPS = GraphPermission(
    "GroupMember.Read.All",
    "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "find who is in the groups of a policy (starter.py plan and apply)",
    ("GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", *_DIRECTORY),
    required=False,
)
READ_LICENSES = GraphPermission(
    "LicenseAssignment.Read.All",
    "e2f98668-2877-4f38-a2f4-8202e0717aa1",
    "see whether Intune and Entra ID P1 are there (starter.py doctor only)",
    ("Organization.Read.All", "Organization.ReadWrite.All", *_DIRECTORY),
    required=False,
)
READ_APPLICATIONS = GraphPermission(
    "Application.Read.All",
    "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "see whether single sign-on is enabled (starter.py doctor only)",
    ("Application.ReadWrite.All", *_DIRECTORY),
    required=False,
)
GRAPH_PERMISSIONS = (
    GraphPermission(
        "User.Read.All",
        "df021288-bdef-4463-88db-98f22de89214",
        "find the user, and whether the account is enabled and synchronised",
        ("User.ReadWrite.All", *_DIRECTORY),
    ),
    GraphPermission(
        "Device.ReadWrite.All",
        "1138cb37-bd11-4084-a2b7-9f71582aeddb",
        "see that the Cloud PC has joined Entra ID; delete its device when it is removed",
    ),
    GraphPermission(
        "DeviceManagementManagedDevices.ReadWrite.All",
        "243333ab-4d21-40cb-a475-36241daa0842",
        "see that Intune manages the Cloud PC; set the primary user; delete the device when it is removed",
    ),
    READ_GROUPS,
    READ_LICENSES,
    READ_APPLICATIONS,
)
"""Every Graph application permission that is used."""


class AzureAction(NamedTuple):
    """An operation of Azure Resource Manager that a role must allow.

    Source: https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
    """

    name: str
    purpose: str
    only_for: str = ""
    """The one feature that needs it; empty where every Cloud PC does."""


class AzureScope(StrEnum):
    """Where actions must be allowed; the value is the stem of the role's file in `examples/real-tenant`."""

    RESOURCE_GROUP = "azure-role"
    """The resource group of the Cloud PCs: the worker's own, and those that connections name."""
    SUBSCRIPTION = "azure-role-subscription"
    NETWORK = "azure-role-network"
    """The virtual network of an Azure network connection."""


def _actions(purpose: str, *names: str, only_for: str = "") -> tuple[AzureAction, ...]:
    return tuple(AzureAction(name, purpose, only_for) for name in names)


_RESERVATIONS = "Microsoft.Compute/capacityReservationGroups"

AZURE_ACTIONS: dict[AzureScope, tuple[AzureAction, ...]] = {
    AzureScope.RESOURCE_GROUP: (
        *_actions(
            "virtual machines and their disks",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Compute/virtualMachines/delete",
            "Microsoft.Compute/virtualMachines/restart/action",
            "Microsoft.Compute/disks/read",
            "Microsoft.Compute/disks/write",
            "Microsoft.Compute/disks/delete",
        ),
        *_actions(
            "join Entra ID or the domain",
            "Microsoft.Compute/virtualMachines/extensions/read",
            "Microsoft.Compute/virtualMachines/extensions/write",
            "Microsoft.Compute/virtualMachines/extensions/delete",
        ),
        *_actions(
            "run scripts in Windows",
            "Microsoft.Compute/virtualMachines/runCommands/read",
            "Microsoft.Compute/virtualMachines/runCommands/write",
            "Microsoft.Compute/virtualMachines/runCommands/delete",
        ),
        *_actions(
            "network interfaces",
            "Microsoft.Network/networkInterfaces/read",
            "Microsoft.Network/networkInterfaces/write",
            "Microsoft.Network/networkInterfaces/delete",
            "Microsoft.Network/networkInterfaces/join/action",
        ),
        *_actions(
            "the Microsoft-hosted network",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/virtualNetworks/write",
            "Microsoft.Network/virtualNetworks/subnets/read",
            "Microsoft.Network/virtualNetworks/subnets/write",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            "Microsoft.Network/networkSecurityGroups/read",
            "Microsoft.Network/networkSecurityGroups/write",
            "Microsoft.Network/networkSecurityGroups/join/action",
            "Microsoft.Network/natGateways/read",
            "Microsoft.Network/natGateways/write",
            "Microsoft.Network/natGateways/join/action",
            "Microsoft.Network/publicIPAddresses/read",
            "Microsoft.Network/publicIPAddresses/write",
            "Microsoft.Network/publicIPAddresses/join/action",
        ),
        *_actions(
            "host pools and session hosts",
            "Microsoft.DesktopVirtualization/hostPools/read",
            "Microsoft.DesktopVirtualization/hostPools/write",
            "Microsoft.DesktopVirtualization/hostPools/retrieveRegistrationToken/action",
            "Microsoft.DesktopVirtualization/hostPools/sessionHosts/read",
            "Microsoft.DesktopVirtualization/hostPools/sessionHosts/write",
            "Microsoft.DesktopVirtualization/hostPools/sessionHosts/delete",
            "Microsoft.DesktopVirtualization/applicationGroups/read",
            "Microsoft.DesktopVirtualization/applicationGroups/write",
            "Microsoft.DesktopVirtualization/workspaces/read",
            "Microsoft.DesktopVirtualization/workspaces/write",
        ),
        *_actions(
            "let the user sign in",
            "Microsoft.Authorization/roleAssignments/read",
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
        ),
        *_actions(
            "check the resource group (starter.py doctor only)",
            "Microsoft.Authorization/permissions/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        *_actions(
            "find what was left behind (starter.py audit only)",
            "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
        ),
        *_actions(
            "reserve capacity",
            f"{_RESERVATIONS}/read",
            f"{_RESERVATIONS}/write",
            f"{_RESERVATIONS}/delete",
            f"{_RESERVATIONS}/deploy/action",
            f"{_RESERVATIONS}/capacityReservations/read",
            f"{_RESERVATIONS}/capacityReservations/write",
            f"{_RESERVATIONS}/capacityReservations/delete",
            only_for="capacityReservation",
        ),
    ),
    AzureScope.SUBSCRIPTION: (
        *_actions(
            "VM sizes, their restrictions, and quota",
            "Microsoft.Compute/skus/read",
            "Microsoft.Compute/locations/usages/read",
        ),
        *_actions(
            "see that a Marketplace image exists",
            "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read",
        ),
        *_actions(
            "follow long-running operations",
            "Microsoft.Compute/locations/operations/read",
            "Microsoft.Compute/locations/diskOperations/read",
            "Microsoft.Network/locations/operations/read",
            "Microsoft.Network/locations/operationResults/read",
        ),
        *_actions(
            "check the resource providers (starter.py doctor only)", "Microsoft.Resources/subscriptions/providers/read"
        ),
    ),
    AzureScope.NETWORK: (
        *_actions(
            "put network interfaces into the subnet of an Azure network connection",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/virtualNetworks/subnets/read",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
        ),
    ),
}
"""Every Azure action that is used, by the scope at which it must be allowed."""

RESOURCE_PROVIDERS = {
    "Microsoft.Compute": "virtualMachines",
    "Microsoft.Network": "virtualNetworks",
    "Microsoft.DesktopVirtualization": "hostPools",
}
"""The resource providers that must be registered, each with a type that a region must offer."""

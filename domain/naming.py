"""Names, ids and tags of what a Cloud PC has: deterministic, so that making something twice is making it once."""

from models.cloud_pc import CloudPcReference

MANAGED_BY = "cloud-pc-provisioning"
"""Value of the tag `managedBy` on everything this product makes."""
POLICY_TAG = "provisioningPolicyId"
"""Tag with the id of the provisioning policy, on what belongs to a Cloud PC or to a policy."""
CLOUD_PC_TAG = "cloudPcId"
USER_TAG = "userId"
JOIN_TAG = "domainJoinType"
"""Tag of a machine with what it is to join; its join extension does not stay."""
CAPACITY_RESERVATION = "cloud-pc"
"""Name of the one reservation in a Cloud PC's capacity reservation group."""
NETWORK_INTERFACE_SUFFIX = "-nic"
OS_DISK_SUFFIX = "-osdisk"
CAPACITY_RESERVATION_GROUP_SUFFIX = "-crg"


def cloud_pc_id(policy_id: str, user_id: str) -> str:
    """Return the id of the Cloud PC that a user has of a policy: always the same, so that there is only one."""
    return f"{policy_id}-{user_id}"


def tags(cloud_pc: CloudPcReference) -> dict[str, str]:
    """Return the tags of everything that belongs to one Cloud PC."""
    return shared_tags(cloud_pc.policy_id) | {CLOUD_PC_TAG: cloud_pc.cloud_pc_id, USER_TAG: cloud_pc.user_id}


def shared_tags(policy_id: str) -> dict[str, str]:
    """Return the tags of what all Cloud PCs of a policy share."""
    return {"managedBy": MANAGED_BY, POLICY_TAG: policy_id}


def network_interface_name(computer_name: str) -> str:
    """Return the name of a Cloud PC's network interface."""
    return computer_name + NETWORK_INTERFACE_SUFFIX


def os_disk_name(computer_name: str) -> str:
    """Return the name of a Cloud PC's operating system disk."""
    return computer_name + OS_DISK_SUFFIX


def capacity_reservation_group_name(computer_name: str) -> str:
    """Return the name of a Cloud PC's capacity reservation group."""
    return computer_name + CAPACITY_RESERVATION_GROUP_SUFFIX


def virtual_machine_id(group_id: str, computer_name: str) -> str:
    """Return the ARM id of a Cloud PC's machine in a resource group."""
    return f"{group_id}/providers/Microsoft.Compute/virtualMachines/{computer_name}"


def network_interface_id(group_id: str, computer_name: str) -> str:
    """Return the ARM id of a Cloud PC's network interface in a resource group."""
    return f"{group_id}/providers/Microsoft.Network/networkInterfaces/{network_interface_name(computer_name)}"


def os_disk_id(group_id: str, computer_name: str) -> str:
    """Return the ARM id of a Cloud PC's operating system disk in a resource group."""
    return f"{group_id}/providers/Microsoft.Compute/disks/{os_disk_name(computer_name)}"


def host_pool_name(policy_id: str, region: str) -> str:
    """Return the name of the host pool of a policy and region."""
    return f"hp-{policy_id}-{region}"


def application_group_name(policy_id: str, region: str) -> str:
    """Return the name of the desktop application group of a policy and region."""
    return f"ag-{policy_id}-{region}"


def workspace_name(policy_id: str, region: str) -> str:
    """Return the name of the workspace of a policy and region."""
    return f"ws-{policy_id}-{region}"


def application_group_id(group_id: str, policy_id: str, region: str) -> str:
    """Return the ARM id of the desktop application group of a policy and region in a resource group."""
    name = application_group_name(policy_id, region)
    return f"{group_id}/providers/Microsoft.DesktopVirtualization/applicationGroups/{name}"

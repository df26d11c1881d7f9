"""Names and tags of what a Cloud PC has in Azure: deterministic, so that making twice is making once."""

from activities.signatures import CloudPcReference

MANAGED_BY = "cloud-pc-provisioning"
"""Value of the tag `managedBy` on everything this product makes."""


def tags(cloud_pc: CloudPcReference) -> dict[str, str]:
    """Return the tags of everything that belongs to one Cloud PC."""
    return {
        "managedBy": MANAGED_BY,
        "cloudPcId": cloud_pc.cloud_pc_id,
        "provisioningPolicyId": cloud_pc.policy_id,
        "userId": cloud_pc.user_id,
    }


def network_interface_name(cloud_pc: CloudPcReference) -> str:
    """Return the name of the Cloud PC's network interface."""
    return f"{cloud_pc.computer_name}-nic"


def os_disk_name(cloud_pc: CloudPcReference) -> str:
    """Return the name of the Cloud PC's operating system disk."""
    return f"{cloud_pc.computer_name}-osdisk"


CAPACITY_RESERVATION = "cloud-pc"
"""Name of the one reservation in a Cloud PC's capacity reservation group."""


def capacity_reservation_group_name(cloud_pc: CloudPcReference) -> str:
    """Return the name of the Cloud PC's capacity reservation group."""
    return f"{cloud_pc.computer_name}-crg"


def host_pool_name(cloud_pc: CloudPcReference) -> str:
    """Return the name of the host pool of the Cloud PC's policy and region."""
    return f"hp-{cloud_pc.policy_id}-{cloud_pc.region}"


def application_group_name(cloud_pc: CloudPcReference) -> str:
    """Return the name of the desktop application group of the Cloud PC's policy and region."""
    return f"ag-{cloud_pc.policy_id}-{cloud_pc.region}"


def workspace_name(cloud_pc: CloudPcReference) -> str:
    """Return the name of the workspace of the Cloud PC's policy and region."""
    return f"ws-{cloud_pc.policy_id}-{cloud_pc.region}"

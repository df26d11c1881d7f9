"""What the audit answers: one finding a line."""

from datetime import datetime
from enum import StrEnum

from models.base import GraphModel

MAX_FINDINGS = 500
"""How many findings one answer holds; Temporal takes no payload of more than 2 MiB."""
MAX_REPAIRED = 10
"""How many computers one repair removes, unless the admin says otherwise."""
OLDER_THAN = 120
"""Age in minutes below which nothing is removed, unless the admin says otherwise."""


class PartKind(StrEnum):
    """What a Cloud PC is made of, in the order in which it is removed by hand."""

    CLOUD_PC = "cloudPC"
    VIRTUAL_MACHINE = "virtualMachine"
    NETWORK_INTERFACE = "networkInterface"
    DISK = "disk"
    CAPACITY_RESERVATION = "capacityReservation"
    CAPACITY_RESERVATION_GROUP = "capacityReservationGroup"
    SESSION_HOST = "sessionHost"
    ASSIGNED_USER = "assignedUser"
    ROLE_ASSIGNMENT = "roleAssignment"
    MANAGED_DEVICE = "managedDevice"
    PRIMARY_USER = "primaryUser"
    DEVICE = "device"


class FindingState(StrEnum):
    """What is wrong."""

    ORPHAN = "orphan"
    """It exists, and no Cloud PC that there is owns it."""
    LEFT_OVER = "leftOver"
    """It exists, though its Cloud PC is `failed` and should have been removed: the Cloud PC knows."""
    MISSING = "missing"
    """A provisioned Cloud PC should have it."""
    DIFFERENT = "different"
    """A provisioned Cloud PC has another one."""
    NOT_CHECKED = "notChecked"
    """It could not be read."""


class Finding(GraphModel):
    """One line of the audit's answer."""

    kind: PartKind
    state: FindingState
    id: str
    """ARM id, or object id of Microsoft Graph; what was looked for where it is missing."""
    cloud_pc_id: str | None = None
    computer_name: str = ""
    created_date_time: datetime | None = None
    """None where it is not known."""
    detail: str
    command: str
    """The command that repairs it by hand."""
    kept: str = ""
    """Why `--repair` leaves it as it is; empty where it removes it."""

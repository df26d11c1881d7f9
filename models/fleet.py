"""What a reconciliation of a policy does, as it is shown."""

from enum import StrEnum

from models.base import GraphModel


class Change(StrEnum):
    """What a reconciliation does with a Cloud PC or a member."""

    CREATED = "created"
    KEPT = "kept"
    CHANGED_ON_NEXT_REPROVISION = "changedOnNextReprovision"
    """It keeps the settings that it was made from until it is reprovisioned."""
    IN_GRACE_PERIOD = "inGracePeriod"
    """Its grace period goes on."""
    GRACE_PERIOD_STARTED = "gracePeriodStarted"
    GRACE_PERIOD_CANCELLED = "gracePeriodCancelled"
    TAKEN_AWAY = "takenAway"
    NOT_PROVISIONED = "notProvisioned"
    """A member who gets none, for a reason."""


class PlannedChange(GraphModel):
    """What becomes of one user's Cloud PC."""

    change: Change
    user_principal_name: str
    cloud_pc_id: str
    service_plan: str = ""
    reason: str = ""


class Requirement(GraphModel):
    """What the Cloud PCs that are created need of something limited."""

    name: str
    needed: int
    available: int

    @property
    def is_met(self) -> bool:
        """Whether there is enough of it."""
        return self.needed <= self.available


class FleetPlan(GraphModel):
    """What a reconciliation does, or would do."""

    counts: dict[Change, int]
    changes: tuple[PlannedChange, ...]
    """What is not simply kept, the first `MAX_ENTRIES`."""
    left_off: int
    """How many more changes there are."""
    created: dict[str, int]
    """How many Cloud PCs are created, by the service plan's id."""
    grace_period_starts: int
    """How many Cloud PCs lose their user, whether they have a grace period or not."""
    notes: tuple[str, ...]
    """What the admin should know of the groups."""

    def is_above(self, ceiling: int) -> bool:
        """Tell whether more Cloud PCs lose their user than may without an admin's `proceed`."""
        return self.grace_period_starts > ceiling

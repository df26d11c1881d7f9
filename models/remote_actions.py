"""What can be asked of a Cloud PC, and how it went.

Sources: https://learn.microsoft.com/graph/api/resources/cloudpcremoteactionresult (beta) and
https://learn.microsoft.com/graph/api/resources/cloudpc#methods
"""

from datetime import datetime
from enum import StrEnum
from typing import Self

from models.azure_network_connection import Connections
from models.base import GraphModel
from models.provisioning_policy import ProvisioningPolicy, UserAccountType
from models.types import GracePeriodInHours, Reason, Requester, RolloutId

KEPT = 20
"""How many of its last actions a Cloud PC remembers."""


class ActionState(StrEnum):
    """Graph's `actionState`."""

    NONE = "none"
    PENDING = "pending"
    """It waits for what is under way to end."""
    ACTIVE = "active"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"
    """It was never begun: one that outranks it came, or the Cloud PC was canceled."""
    NOT_SUPPORTED = "notSupported"


UNDER_WAY = frozenset({ActionState.PENDING, ActionState.ACTIVE})
"""The states of an action that has not ended."""


class ActionStatusDetail(GraphModel):
    """Why an action failed or was canceled, after Graph's `cloudPcStatusDetail`."""

    code: str
    message: str


class RemoteActionResult(GraphModel):
    """One action and how it went, after Graph's `cloudPcRemoteActionResult`."""

    id: int
    """Tells the actions of one Cloud PC apart; a later one has a higher number."""
    action_name: str
    action_state: ActionState
    start_date_time: datetime
    """When it was asked for."""
    last_updated_date_time: datetime
    status_detail: ActionStatusDetail | None = None
    requested_by: Requester = ""
    """Who asked, as they said themselves; empty where nobody said."""
    reason: Reason = ""


class ActionRequest(GraphModel):
    """What every action can be asked with."""

    reason: Reason = ""
    """Why, for the record."""
    requested_by: Requester = ""
    """Who asks. Temporal tells a workflow nothing of its callers, so this is what they say themselves."""

    def merged_with(self, later: Self) -> Self:
        """Return the one request that this and a later one are together; what the later one says counts."""
        return self.model_copy(update={name: value for name, value in later if value})


class Reprovision(ActionRequest):
    """Remove the Cloud PC with all its data and make it again; Graph's `cloudPC: reprovision`."""

    user_account_type: UserAccountType | None = None
    """Account type of the user from now on; None keeps the policy's."""
    policy: ProvisioningPolicy | None = None
    """The policy as it is now; None keeps the one that the Cloud PC was made from."""
    connections: Connections = ()
    """The connections that `policy` names."""
    rollout_id: RolloutId | None = None
    """The rollout that asks: a Cloud PC is reprovisioned once for each, however often it is asked."""


class Deprovision(ActionRequest):
    """Remove the Cloud PC for good, with all its data."""


class StartGracePeriod(ActionRequest):
    """The policy lets the user keep the Cloud PC for a while only."""

    grace_period_in_hours: GracePeriodInHours


class CancelGracePeriod(ActionRequest):
    """The policy lets the user keep the Cloud PC after all."""


class EndGracePeriod(ActionRequest):
    """Remove the Cloud PC before its grace period ends; Graph's `cloudPC: endGracePeriod`."""


class Accepted(GraphModel):
    """Answer to an accepted request."""

    cloud_pc_id: str
    operation: str
    """Name of the action."""
    when: str
    """`now`, or `afterCurrentAttempt` while something else is under way."""
    action_id: int | None = None
    """Id of the action's `RemoteActionResult`; None where nothing was to be done."""


class RefusedSignal(GraphModel):
    """A signal that was refused, kept so that its sender can see it."""

    signal: str
    date_time: datetime
    error: str

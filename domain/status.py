"""What the status of a Cloud PC means: settled or in progress, and what it is while nothing is under way."""

from models.cloud_pc import CloudPc, CloudPcStatus
from models.remote_actions import UNDER_WAY

SETTLED = frozenset(
    {
        CloudPcStatus.PROVISIONED,
        CloudPcStatus.PROVISIONED_WITH_WARNINGS,
        CloudPcStatus.IN_GRACE_PERIOD,
        CloudPcStatus.FAILED,
    }
)
"""The statuses of a Cloud PC of which nothing is under way. One that is `notProvisioned` is gone."""
LIVING = SETTLED - {CloudPcStatus.FAILED}
"""The statuses of a Cloud PC that its user can use."""


def is_settled(pc: CloudPc) -> bool:
    """Tell whether nothing is under way, and nothing waits to begin."""
    return pc.status in SETTLED and all(action.action_state not in UNDER_WAY for action in pc.remote_actions)


def settled_status(pc: CloudPc) -> CloudPcStatus:
    """Return what the status is while nothing is under way."""
    if pc.status_detail:
        return CloudPcStatus.FAILED
    if pc.grace_period_end_date_time:
        return CloudPcStatus.IN_GRACE_PERIOD
    return CloudPcStatus.PROVISIONED_WITH_WARNINGS if pc.warnings else CloudPcStatus.PROVISIONED

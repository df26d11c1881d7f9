"""What the status of a Cloud PC means."""

import pytest

from domain.status import LIVING, SETTLED, is_settled, settled_status
from models.cloud_pc import CloudPcStatus, CloudPcWarning, StatusDetail
from models.remote_actions import ActionState
from tests.domain.made import LATER, action, cloud_pc

WARNING = CloudPcWarning(step="install_language", code="E", message="m", attempts=1)
FAILED = StatusDetail(step="join", code="E", message="m", remedy="r")
BUSY = {CloudPcStatus.PROVISIONING, CloudPcStatus.DEPROVISIONING}


@pytest.mark.parametrize("status", CloudPcStatus)
def test_what_is_being_made_or_removed_or_is_gone_is_not_settled(status: CloudPcStatus) -> None:
    assert is_settled(cloud_pc(status=status)) == (status not in BUSY | {CloudPcStatus.NOT_PROVISIONED})


@pytest.mark.parametrize("state", ActionState)
def test_what_waits_or_is_being_carried_out_unsettles_it(state: ActionState) -> None:
    settled = is_settled(cloud_pc(remote_actions=(action(ActionState.DONE), action(state))))
    assert settled == (state not in (ActionState.PENDING, ActionState.ACTIVE))


def test_one_that_is_busy_is_not_settled_by_an_action_that_has_ended() -> None:
    assert not is_settled(cloud_pc(status=CloudPcStatus.PROVISIONING, remote_actions=(action(ActionState.DONE),)))


def test_a_failed_one_is_settled_and_nobody_can_use_it() -> None:
    assert {CloudPcStatus.FAILED} == SETTLED - LIVING


def test_the_worst_that_is_known_is_the_status() -> None:
    every = {"status_detail": FAILED, "grace_period_end_date_time": LATER, "warnings": (WARNING,)}
    assert settled_status(cloud_pc(**every)) == CloudPcStatus.FAILED
    del every["status_detail"]
    assert settled_status(cloud_pc(**every)) == CloudPcStatus.IN_GRACE_PERIOD
    del every["grace_period_end_date_time"]
    assert settled_status(cloud_pc(**every)) == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert settled_status(cloud_pc()) == CloudPcStatus.PROVISIONED


@pytest.mark.parametrize(
    "facts", [{}, {"warnings": (WARNING,)}, {"status_detail": FAILED}, {"grace_period_end_date_time": LATER}]
)
@pytest.mark.parametrize("status", CloudPcStatus)
def test_a_settled_status_is_one(facts: dict[str, object], status: CloudPcStatus) -> None:
    pc = cloud_pc(status=status, **facts)
    assert is_settled(pc.model_copy(update={"status": settled_status(pc)}))

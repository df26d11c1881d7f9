"""Every timeout and retry policy of the activities, in one place.

`start_to_close` bounds one attempt, `schedule_to_close` all attempts together. The figures are a few
times what the step is known to take in Azure, Entra ID and Intune, so that a slow day is not a failure.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from models.cloud_pc import Step

_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=2), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=1)
)
# Reading takes seconds, and what is waited for is polled by retrying: attempts are not counted.
_HEARTBEAT = timedelta(seconds=20)


def _options(*, attempt: timedelta, in_all: timedelta, max_attempts: int = 0) -> workflow.ActivityConfig:
    retry = RetryPolicy(
        initial_interval=_RETRY.initial_interval,
        backoff_coefficient=_RETRY.backoff_coefficient,
        maximum_interval=_RETRY.maximum_interval,
        maximum_attempts=max_attempts,
    )
    return workflow.ActivityConfig(
        start_to_close_timeout=attempt,
        schedule_to_close_timeout=in_all,
        heartbeat_timeout=_HEARTBEAT,
        retry_policy=retry,
        # With the default, taking away begins while the making still runs.
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def _minutes(attempt: float, in_all: float) -> workflow.ActivityConfig:
    return _options(attempt=timedelta(minutes=attempt), in_all=timedelta(minutes=in_all))


_GUEST_SCRIPT = _options(attempt=timedelta(minutes=15), in_all=timedelta(minutes=30), max_attempts=3)

FIND_USER: workflow.ActivityConfig = _minutes(1, 10)
"""Looking a user up, before there is a Cloud PC."""

ACTIVITY_OPTIONS: dict[Step, workflow.ActivityConfig] = {
    # The list of SKUs is large; Azure answers within seconds.
    Step.ALLOCATE_CAPACITY: _minutes(2, 20),
    # A new virtual network with its NAT gateway takes about a minute.
    Step.ATTACH_NETWORK: _minutes(15, 45),
    # 1.5 to 5 minutes; Azure itself gives up on an OS that does not start after 20 to 40.
    Step.CREATE_VIRTUAL_MACHINE: _minutes(60, 120),
    # 1 to 4 minutes for the extension, and a guest retries a refused join about every 15.
    Step.JOIN_ENTRA_ID: _minutes(60, 120),
    # 2 to 15 minutes, with a tail beyond 30.
    Step.ENROLL_IN_INTUNE: _minutes(2, 120),
    # Up to 10 minutes until Intune and Entra ID agree.
    Step.ASSIGN_PRIMARY_USER: _minutes(2, 45),
    # A script runs for seconds; the first one installs the handler. Three attempts, then a warning.
    Step.HIDE_START_MENU_POWER_ICONS: _GUEST_SCRIPT,
    Step.DISABLE_WINDOWS_RESET: _GUEST_SCRIPT,
    Step.ASSIGN_USER_AS_ADMINISTRATOR: _GUEST_SCRIPT,
    Step.SET_TEAMS_VDI_MODE: _GUEST_SCRIPT,
    Step.ENABLE_TIME_ZONE_REDIRECTION: _GUEST_SCRIPT,
    Step.RESIZE_OS_DISK_PARTITION: _GUEST_SCRIPT,
    Step.DISABLE_PORT_3389: _GUEST_SCRIPT,
    # 2 to 10 minutes from the agent's installation to an available session host.
    Step.REGISTER_SESSION_HOST: _minutes(30, 90),
    # A role assignment is at once; a new principal may take minutes to be known.
    Step.GRANT_SIGN_IN: _minutes(2, 30),
    Step.ASSIGN_USER: _minutes(2, 45),
    Step.REMOVE_RUN_COMMANDS: _minutes(15, 60),
    Step.REMOVE_SESSION_HOST: _minutes(2, 60),
    Step.REMOVE_ROLE_ASSIGNMENTS: _minutes(2, 60),
    Step.DELETE_MANAGED_DEVICE: _minutes(2, 60),
    # 1 to 3 minutes, and Azure holds a network interface for 3 more.
    Step.DELETE_VIRTUAL_MACHINE: _minutes(30, 120),
    # Deleted devices stay visible for a while.
    Step.DELETE_ENTRA_DEVICE: _minutes(2, 60),
}

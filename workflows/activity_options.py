"""Every timeout and retry policy of the activities, in one place.

`start_to_close` bounds one attempt, `schedule_to_close` all attempts together. The figures are a few
times what the step is known to take in Azure, Entra ID and Intune, so that a slow day is not a failure.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from models.cloud_pc import Step


def _options(attempt: float, in_all: float, *, beats: bool = False) -> workflow.ActivityConfig:
    """Return the options of an activity; times in minutes.

    Args:
        attempt: Longest time of one attempt.
        in_all: Longest time of all attempts together.
        beats: It awaits long-running operations and heartbeats: a dead worker is noticed after 30 s.

    """
    config = workflow.ActivityConfig(
        start_to_close_timeout=timedelta(minutes=attempt),
        schedule_to_close_timeout=timedelta(minutes=in_all),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=2),
            backoff_coefficient=2.0,
            maximum_interval=timedelta(minutes=1),
            # Without a limit of attempts: what is waited for is polled by retrying.
        ),
        # With the default, taking away begins while the making still runs.
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
    if beats:
        config["heartbeat_timeout"] = timedelta(seconds=30)
    return config


_GUEST_SCRIPT = _options(15, 45, beats=True)

FIND_USER: workflow.ActivityConfig = _options(0.5, 1.5)
"""Looking a user up, before there is a Cloud PC."""

ACTIVITY_OPTIONS: dict[Step, workflow.ActivityConfig] = {
    # The list of SKUs is large; Azure answers within seconds.
    Step.ALLOCATE_CAPACITY: _options(2, 20),
    # A new virtual network with its NAT gateway takes about a minute.
    Step.ATTACH_NETWORK: _options(15, 45, beats=True),
    # 1.5 to 5 minutes; Azure itself gives up on an OS that does not start after 20 to 40.
    Step.CREATE_VIRTUAL_MACHINE: _options(60, 120, beats=True),
    # 1 to 4 minutes for the extension, and a guest retries a refused join about every 15.
    Step.JOIN_ENTRA_ID: _options(45, 90, beats=True),
    # 2 to 15 minutes, with a tail beyond 30.
    Step.ENROLL_IN_INTUNE: _options(2, 120),
    # Up to 10 minutes until Intune and Entra ID agree.
    Step.ASSIGN_PRIMARY_USER: _options(2, 45),
    # A script runs for seconds; the first one installs the handler.
    Step.HIDE_START_MENU_POWER_ICONS: _GUEST_SCRIPT,
    Step.DISABLE_WINDOWS_RESET: _GUEST_SCRIPT,
    Step.ASSIGN_USER_AS_ADMINISTRATOR: _GUEST_SCRIPT,
    Step.SET_TEAMS_VDI_MODE: _GUEST_SCRIPT,
    Step.ENABLE_TIME_ZONE_REDIRECTION: _GUEST_SCRIPT,
    Step.RESIZE_OS_DISK_PARTITION: _GUEST_SCRIPT,
    Step.DISABLE_PORT_3389: _GUEST_SCRIPT,
    # 2 to 10 minutes from the agent's installation to an available session host.
    Step.REGISTER_SESSION_HOST: _options(30, 90, beats=True),
    # A role assignment is at once; a new principal may take minutes to be known.
    Step.GRANT_SIGN_IN: _options(2, 30),
    Step.ASSIGN_USER: _options(2, 45),
    Step.REMOVE_RUN_COMMANDS: _options(15, 60, beats=True),
    Step.REMOVE_SESSION_HOST: _options(2, 60),
    Step.REMOVE_ROLE_ASSIGNMENTS: _options(2, 60),
    Step.DELETE_MANAGED_DEVICE: _options(2, 60),
    # 1 to 3 minutes, and Azure holds a network interface for 3 more.
    Step.DELETE_VIRTUAL_MACHINE: _options(30, 120, beats=True),
    # Deleted devices stay visible for a while.
    Step.DELETE_ENTRA_DEVICE: _options(2, 60),
}

"""Every timeout and retry policy of the activities, in one place.

The figures are a few times what the step is known to take in Azure, Entra ID and Intune, so that a slow
day is not a failure. The README shows the table.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from temporalio import workflow
from temporalio.common import RetryPolicy

from models.cloud_pc import Step

RETRY_POLICY = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    # Without a limit of attempts: what is waited for is polled by retrying, and the time in all ends it.
)
"""Of every step. What a service asks for in `Retry-After`, or a step that polls, overrides the interval."""
HEARTBEAT_TIMEOUT = timedelta(seconds=30)
"""After so long a silence a worker counts as dead, where a step awaits long-running operations."""


class Service(StrEnum):
    """Whose budget of requests an activity spends; the value ends the name of the task queue that keeps it."""

    AZURE = "azure"
    GRAPH = "graph"


GRAPH_STEPS = frozenset(
    {
        Step.WAIT_FOR_ENTRA_DEVICE,
        Step.ENROLL_IN_INTUNE,
        Step.ASSIGN_PRIMARY_USER,
        Step.DELETE_MANAGED_DEVICE,
        Step.DELETE_ENTRA_DEVICE,
    }
)
"""Steps that ask Microsoft Graph rather than Azure."""


def service_queue(task_queue: str, service: Service) -> str:
    """Return the task queue on which the activities of a service wait, beside the workflows' own."""
    return f"{task_queue}-{service}"


@dataclass(frozen=True)
class StepPolicy:
    """How long a step may take.

    Attributes:
        attempt: `start_to_close`, the longest time of one attempt, minutes.
        in_all: `schedule_to_close`, the longest time of all attempts together, minutes.
        reason: What the step really takes.
        beats: It awaits long-running operations and heartbeats.

    """

    attempt: float
    in_all: float
    reason: str
    beats: bool = False

    @property
    def options(self) -> workflow.ActivityConfig:
        """The activity options."""
        config = workflow.ActivityConfig(
            start_to_close_timeout=timedelta(minutes=self.attempt),
            schedule_to_close_timeout=timedelta(minutes=self.in_all),
            retry_policy=RETRY_POLICY,
            # With the default, taking away begins while the making still runs.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        if self.beats:
            config["heartbeat_timeout"] = HEARTBEAT_TIMEOUT
        return config


_GUEST_SCRIPT = StepPolicy(15, 45, "a script runs for seconds; the first one installs the handler", beats=True)
_DIRECTORY = StepPolicy(2, 60, "at once; deleted devices stay visible for a while")

STEP_POLICIES: dict[Step, StepPolicy] = {
    Step.CHOOSE_COMPUTER_NAME: StepPolicy(2, 20, "a few reads of Entra ID and Azure"),
    Step.ALLOCATE_CAPACITY: StepPolicy(
        15, 60, "the list of sizes is large but comes within seconds; a capacity reservation takes up to a minute", True
    ),
    Step.ATTACH_NETWORK: StepPolicy(
        15, 45, "2 to 10 s for an interface, about a minute for a new virtual network with its NAT gateway", beats=True
    ),
    Step.CREATE_VIRTUAL_MACHINE: StepPolicy(
        60, 120, "1.5 to 5 minutes; Azure gives up on an OS that does not start after 20 to 40", beats=True
    ),
    Step.JOIN_ENTRA_ID: StepPolicy(
        45, 90, "1 to 4 minutes for the extension; a guest tries a refused join again every 15", beats=True
    ),
    Step.JOIN_DOMAIN: StepPolicy(45, 90, "1 to 4 minutes for the extension, 1 to 2 for the restart", beats=True),
    Step.WAIT_FOR_ENTRA_DEVICE: StepPolicy(
        2, 90, "Entra Connect runs every 30 minutes, the guest's own task hourly; hybridJoinTimeoutInMinutes overrides"
    ),
    Step.ENROLL_IN_INTUNE: StepPolicy(
        15, 120, "2 to 15 minutes, with a tail beyond 30; a hybrid-joined guest runs a script first", beats=True
    ),
    Step.ASSIGN_PRIMARY_USER: StepPolicy(2, 45, "up to 10 minutes until Intune and Entra ID agree"),
    Step.INSTALL_LANGUAGE: StepPolicy(90, 120, "5 to 20 minutes of download and a restart", beats=True),
    Step.HIDE_START_MENU_POWER_ICONS: _GUEST_SCRIPT,
    Step.DISABLE_WINDOWS_RESET: _GUEST_SCRIPT,
    Step.ASSIGN_USER_AS_ADMINISTRATOR: _GUEST_SCRIPT,
    Step.SET_TEAMS_VDI_MODE: _GUEST_SCRIPT,
    Step.ENABLE_TIME_ZONE_REDIRECTION: _GUEST_SCRIPT,
    Step.RESIZE_OS_DISK_PARTITION: _GUEST_SCRIPT,
    Step.DISABLE_PORT_3389: _GUEST_SCRIPT,
    Step.REGISTER_SESSION_HOST: StepPolicy(
        30, 90, "2 to 10 minutes from the agent's installation to an available session host", beats=True
    ),
    Step.GRANT_SIGN_IN: StepPolicy(2, 30, "at once; a new principal may take minutes to be known"),
    Step.ASSIGN_USER: StepPolicy(2, 45, "at once"),
    Step.REMOVE_RUN_COMMANDS: StepPolicy(15, 60, "seconds each", beats=True),
    Step.REMOVE_COMPUTER_ACCOUNT: StepPolicy(15, 30, "a script runs for seconds; the rest goes on without it", True),
    Step.DELETE_VIRTUAL_MACHINE: StepPolicy(
        30, 120, "1 to 3 minutes, and Azure holds a network interface for 3 more", beats=True
    ),
    Step.REMOVE_SESSION_HOST: _DIRECTORY,
    Step.REMOVE_ROLE_ASSIGNMENTS: _DIRECTORY,
    Step.DELETE_MANAGED_DEVICE: _DIRECTORY,
    Step.DELETE_ENTRA_DEVICE: _DIRECTORY,
}
"""The table."""

ACTIVITY_OPTIONS: dict[Step, workflow.ActivityConfig] = {step: policy.options for step, policy in STEP_POLICIES.items()}

FIND_USER: workflow.ActivityConfig = StepPolicy(0.5, 1.5, "before there is a Cloud PC").options
"""Looking a user up."""

CHECK: workflow.ActivityConfig = StepPolicy(0.5, 0.75, "a few reads").options
"""One of the doctor's checks."""

AUDIT: workflow.ActivityConfig = StepPolicy(
    8, 9, "lists of resources, session hosts, roles and devices, and a query of every Cloud PC", beats=True
).options
"""Comparing what exists with the Cloud PCs that there are."""
PLAN_FLEET: workflow.ActivityConfig = StepPolicy(
    8, 9, "a page of each group for 999 members, and a list of every Cloud PC", beats=True
).options
"""Telling what a reconciliation of a policy would do."""
RECONCILE_FLEET: workflow.ActivityConfig = StepPolicy(
    30, 60, "the same, and a start or a signal for each Cloud PC that something happens to", beats=True
).options
"""Reconciling a policy."""
START_WAVE: workflow.ActivityConfig = StepPolicy(5, 30, "a signal for each Cloud PC").options
"""Beginning with a wave of a rollout."""
AWAIT_WAVE: workflow.ActivityConfig = StepPolicy(
    10, 24 * 60, "as long as the slowest step of the wave's Cloud PCs and its retries take"
).options
"""Waiting for a wave of a rollout."""
REVOKE_ROLES: workflow.ActivityConfig = _DIRECTORY.options
"""Taking the role assignments of an orphan away."""

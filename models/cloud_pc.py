"""One Cloud PC: who it is for, what happened to it, and what its admin may ask of it.

Source of the states: https://learn.microsoft.com/graph/api/resources/cloudpc (beta)
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from models.azure_network_connection import Connections
from models.base import GraphModel, WorkflowInput
from models.provisioning_policy import (
    IMAGE_LOCALE,
    DomainJoinType,
    GracePeriodInHours,
    ProvisioningPolicy,
    UserAccountType,
)
from models.service_plan import ServicePlan

_GUID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
UserName = Annotated[str, Field(pattern=rf"^([-A-Za-z0-9'._!#^~]+@[-A-Za-z0-9.]+|{_GUID})$", max_length=320)]
"""User principal name, or Entra object id.

Source of the characters: https://learn.microsoft.com/graph/api/resources/user
"""
CloudPcName = Annotated[str, Field(pattern=r"^[-A-Za-z0-9'._!#^~@]+$", max_length=320)]
"""What a Cloud PC can be called by: its id, its computer name, or its user's name or object id."""
RolloutId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9]{0,99}$")]
Reason = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$", max_length=500)]
"""Why something was asked for, in one line."""


class CloudPcStatus(StrEnum):
    """Graph's `cloudPcStatus`, the members that this product reaches."""

    NOT_PROVISIONED = "notProvisioned"
    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    PROVISIONED_WITH_WARNINGS = "provisionedWithWarnings"
    IN_GRACE_PERIOD = "inGracePeriod"
    """Usable, and taken away when the period ends: the user has lost the licence or left the policy's groups."""
    FAILED = "failed"
    DEPROVISIONING = "deprovisioning"


class Stage(StrEnum):
    """The three stages of provisioning, and the taking away."""

    CORE_PROVISIONING = "coreProvisioning"
    POST_PROVISIONING = "postProvisioning"
    ASSIGNMENT = "assignment"
    DEPROVISIONING = "deprovisioning"


class Step(StrEnum):
    """A step of the work; its value is the name of the activity that does it."""

    CHOOSE_COMPUTER_NAME = "choose_computer_name"
    ALLOCATE_CAPACITY = "allocate_capacity"
    CREATE_VIRTUAL_MACHINE = "create_virtual_machine"
    ATTACH_NETWORK = "attach_network"
    JOIN_ENTRA_ID = "join_entra_id"
    JOIN_DOMAIN = "join_domain"
    WAIT_FOR_ENTRA_DEVICE = "wait_for_entra_device"
    ENROLL_IN_INTUNE = "enroll_in_intune"
    ASSIGN_PRIMARY_USER = "assign_primary_user"

    INSTALL_LANGUAGE = "install_language"
    HIDE_START_MENU_POWER_ICONS = "hide_start_menu_power_icons"
    DISABLE_WINDOWS_RESET = "disable_windows_reset"
    ASSIGN_USER_AS_ADMINISTRATOR = "assign_user_as_administrator"
    SET_TEAMS_VDI_MODE = "set_teams_vdi_mode"
    ENABLE_TIME_ZONE_REDIRECTION = "enable_time_zone_redirection"
    RESIZE_OS_DISK_PARTITION = "resize_os_disk_partition"
    DISABLE_PORT_3389 = "disable_port_3389"

    REGISTER_SESSION_HOST = "register_session_host"
    GRANT_SIGN_IN = "grant_sign_in"
    ASSIGN_USER = "assign_user"
    REMOVE_RUN_COMMANDS = "remove_run_commands"

    REMOVE_COMPUTER_ACCOUNT = "remove_computer_account"
    DELETE_VIRTUAL_MACHINE = "delete_virtual_machine"
    REMOVE_SESSION_HOST = "remove_session_host"
    REMOVE_ROLE_ASSIGNMENTS = "remove_role_assignments"
    DELETE_MANAGED_DEVICE = "delete_managed_device"
    DELETE_ENTRA_DEVICE = "delete_entra_device"

    @property
    def activity_id(self) -> str:
        """The step's activity id, as it is typed after `temporal activity … --activity-id`."""
        return self.value.replace("_", "-")


STAGES: dict[Stage, dict[Step, str]] = {
    Stage.CORE_PROVISIONING: {
        Step.CHOOSE_COMPUTER_NAME: "Choose the computer name",
        Step.ALLOCATE_CAPACITY: "Allocate Azure capacity",
        Step.CREATE_VIRTUAL_MACHINE: "Create VM",
        Step.ATTACH_NETWORK: "Attach the VM to the network",
        Step.JOIN_ENTRA_ID: "Join to Microsoft Entra ID",
        Step.JOIN_DOMAIN: "Join the Active Directory domain",
        Step.WAIT_FOR_ENTRA_DEVICE: "Wait for the device in Microsoft Entra ID",
        Step.ENROLL_IN_INTUNE: "Intune MDM enroll",
        Step.ASSIGN_PRIMARY_USER: "Primary user assignment",
    },
    Stage.POST_PROVISIONING: {
        Step.INSTALL_LANGUAGE: "Install the language of Windows",
        Step.HIDE_START_MENU_POWER_ICONS: "Hide Start menu power icons",
        Step.DISABLE_WINDOWS_RESET: "Disable Windows reset",
        Step.ASSIGN_USER_AS_ADMINISTRATOR: "Assign user as administrator",
        Step.SET_TEAMS_VDI_MODE: "Set Teams VDI mode",
        Step.ENABLE_TIME_ZONE_REDIRECTION: "Enable time zone redirection",
        Step.RESIZE_OS_DISK_PARTITION: "Resize OS disk partition",
        Step.DISABLE_PORT_3389: "Disable port 3389",
    },
    Stage.ASSIGNMENT: {
        Step.REGISTER_SESSION_HOST: "Register the session host",
        Step.GRANT_SIGN_IN: "Grant the right to sign in",
        Step.ASSIGN_USER: "Assign the user",
        Step.REMOVE_RUN_COMMANDS: "Remove the run commands",
    },
    Stage.DEPROVISIONING: {
        Step.REMOVE_COMPUTER_ACCOUNT: "Remove the computer account from the domain",
        Step.DELETE_VIRTUAL_MACHINE: "Delete the VM, its NIC and disk",
        Step.REMOVE_SESSION_HOST: "Remove the session host",
        Step.REMOVE_ROLE_ASSIGNMENTS: "Remove the role assignments",
        Step.DELETE_MANAGED_DEVICE: "Delete the Intune managed device",
        Step.DELETE_ENTRA_DEVICE: "Delete the Entra device",
    },
}
"""The steps of each stage, in order, with the names that people read."""

_HYBRID_STEPS = frozenset({Step.JOIN_DOMAIN, Step.WAIT_FOR_ENTRA_DEVICE, Step.REMOVE_COMPUTER_ACCOUNT})


def steps_of(stage: Stage, policy: ProvisioningPolicy) -> dict[Step, str]:
    """Return the steps of a stage that Cloud PCs of this policy go through, in order, with their names."""
    is_hybrid = policy.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN
    left_out = {Step.JOIN_ENTRA_ID} if is_hybrid else set(_HYBRID_STEPS)
    if policy.windows_setting.locale == IMAGE_LOCALE:
        left_out.add(Step.INSTALL_LANGUAGE)
    return {step: title for step, title in STAGES[stage].items() if step not in left_out}


class StepState(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    WARNING = "warning"
    FAILED = "failed"
    NOT_APPLICABLE = "notApplicable"


class StepStatus(GraphModel):
    """How one step went."""

    step: Step
    stage: Stage
    display_name: str
    state: StepState = StepState.PENDING
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None
    duration_in_seconds: float | None = None
    attempts: int | None = None
    """How often the activity ran, the last time included; None while it is not known."""
    detail: str = ""
    """What came of it, in one line."""


class CloudPcWarning(GraphModel):
    """A post-provisioning step that failed without failing the Cloud PC."""

    step: Step
    code: str
    message: str
    attempts: int | None


class StatusDetail(GraphModel):
    """Why a Cloud PC is `failed`, after Graph's `cloudPcStatusDetail`."""

    step: Step
    code: str
    message: str
    remedy: str
    correlation_id: str | None = None
    leftovers: tuple[Step, ...] = ()
    """Steps of the take-down that failed: what they should have removed may still exist."""


class User(GraphModel):
    """The person a Cloud PC is for, as Entra ID knows them."""

    id: str
    """Entra object id."""
    user_principal_name: str
    display_name: str
    on_premises_user_principal_name: str | None = None


class CloudPcRequest(WorkflowInput):
    """The wish for a Cloud PC: input of the workflow that is its life."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$")]
    policy: ProvisioningPolicy
    connections: Connections = ()
    """The Azure network connections that the policy names."""
    service_plan: ServicePlan
    user: User
    attempt: Annotated[int, Field(ge=1)] = 1
    reason: str = ""
    """Why this attempt was asked for."""
    rollout_id: str | None = None
    """The rollout that asked for this attempt."""
    grace_period_end_date_time: datetime | None = None
    """Until when the Cloud PC lives, where its grace period began in an earlier run."""
    cloud_pc: "CloudPc | None" = None
    """What is known of the Cloud PC, where this run goes on with one that has been made already."""


class Reprovision(GraphModel):
    """An admin's wish to have the Cloud PC made anew; Graph's `cloudPC: reprovision`."""

    reason: Reason = ""
    user_account_type: UserAccountType | None = None
    """Account type of the user from now on; None keeps the policy's."""
    policy: ProvisioningPolicy | None = None
    """The policy as it is now; None keeps the one that the Cloud PC was made from."""
    connections: Connections = ()
    """The connections that `policy` names."""
    rollout_id: RolloutId | None = None
    """The rollout that asks: a Cloud PC is made anew once for each, however often it is asked."""

    def merged_with(self, later: "Reprovision") -> "Reprovision":
        """Return the one wish that this and a later one are together; what the later one says, counts."""
        return self.model_copy(update={name: value for name, value in later if value})


class Deprovision(GraphModel):
    """An admin's wish to end the Cloud PC's life."""

    reason: Reason = ""


class StartGracePeriod(GraphModel):
    """The policy's word that its user may keep the Cloud PC for a while only."""

    grace_period_in_hours: GracePeriodInHours


class CancelGracePeriod(GraphModel):
    """The policy's word that its user may keep the Cloud PC after all."""


class EndGracePeriod(GraphModel):
    """An admin's wish to take a Cloud PC away before its grace period ends; Graph's `cloudPC: endGracePeriod`."""

    reason: Reason = ""


class Accepted(GraphModel):
    """Answer to an accepted wish."""

    cloud_pc_id: str
    operation: str
    when: str
    """`now`, or `afterCurrentAttempt` while an attempt is under way."""


class RefusedSignal(GraphModel):
    """A signal that could not be understood, kept so that its sender can see it."""

    signal: str
    date_time: datetime
    error: str


class CloudPc(GraphModel):
    """All that is known of a Cloud PC: answer to the query `cloud_pc`."""

    id: str
    status: CloudPcStatus
    attempt: int
    reason: str
    """Why this attempt was asked for."""
    policy_id: str
    policy_display_name: str
    service_plan: str
    user: User
    computer_name: str
    region: str
    """Azure region; empty until the network of a connection has been looked at."""
    on_premises_connection_name: str | None = None
    """Display name of the Azure network connection in use; None in a Microsoft-hosted network."""
    join_type: str
    vm_size: str | None = None
    virtual_machine_id: str | None = None
    network_id: str | None = None
    """ARM id of the subnet in which the network interface sits."""
    private_ip_address: str | None = None
    entra_device_id: str | None = None
    """`deviceId` of the Entra device."""
    managed_device_id: str | None = None
    primary_user: str | None = None
    """User principal name of the Intune primary user, once confirmed."""
    host_pool: str | None = None
    session_host: str | None = None
    single_sign_on: bool = False
    connection: str | None = None
    """How the user reaches the Cloud PC, in one line."""
    steps: tuple[StepStatus, ...]
    warnings: tuple[CloudPcWarning, ...] = ()
    status_detail: StatusDetail | None = None
    refused_signals: tuple[RefusedSignal, ...] = ()
    grace_period_end_date_time: datetime | None = None
    """When the Cloud PC is taken away; None outside a grace period."""
    rollout_id: str | None = None
    """The rollout that asked for this attempt."""
    pending_operation: str | None = None
    """A wish that waits for the current attempt to end: `reprovision` or `deprovision`."""

    @property
    def settled_status(self) -> CloudPcStatus:
        """What the status is while nothing is under way."""
        if self.status_detail:
            return CloudPcStatus.FAILED
        if self.grace_period_end_date_time:
            return CloudPcStatus.IN_GRACE_PERIOD
        return CloudPcStatus.PROVISIONED_WITH_WARNINGS if self.warnings else CloudPcStatus.PROVISIONED

"""One Cloud PC: who it is for, and what happened to it.

Source of the states: https://learn.microsoft.com/graph/api/resources/cloudpc (beta)
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, computed_field

from models.azure_network_connection import Connections
from models.base import GraphModel, WorkflowInput
from models.provisioning_policy import DomainJoinType, ProvisioningPolicy
from models.remote_actions import ActionState, RefusedSignal, RemoteActionResult
from models.service_plan import ServicePlan
from models.types import CloudPcId, StepName


class CloudPcStatus(StrEnum):
    """Graph's `cloudPcStatus`, the members that this product reaches."""

    NOT_PROVISIONED = "notProvisioned"
    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    PROVISIONED_WITH_WARNINGS = "provisionedWithWarnings"
    IN_GRACE_PERIOD = "inGracePeriod"
    """Usable, and removed when the period ends: the user has lost the licence or left the policy's groups."""
    FAILED = "failed"
    DEPROVISIONING = "deprovisioning"


class Stage(StrEnum):
    """The three stages of provisioning, the removal, and what is done to a living Cloud PC."""

    CORE_PROVISIONING = "coreProvisioning"
    POST_PROVISIONING = "postProvisioning"
    ASSIGNMENT = "assignment"
    DEPROVISIONING = "deprovisioning"
    REMOTE_ACTION = "remoteAction"


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

    step: StepName
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

    step: StepName
    code: str
    message: str
    attempts: int | None


class StatusDetail(GraphModel):
    """Why a Cloud PC is `failed`, after Graph's `cloudPcStatusDetail`."""

    step: StepName
    code: str
    message: str
    remedy: str
    correlation_id: str | None = None
    leftovers: tuple[StepName, ...] = ()
    """Steps of the removal that failed: what they should have removed may still exist."""


class User(GraphModel):
    """The person a Cloud PC is for, as Entra ID knows them."""

    id: str
    """Entra object id."""
    user_principal_name: str
    display_name: str
    on_premises_user_principal_name: str | None = None


class CloudPcReference(GraphModel):
    """Which Cloud PC a step works on; names and tags of everything in Azure come from it."""

    cloud_pc_id: str
    policy_id: str
    user_id: str
    """Entra object id of the user."""
    computer_name: str
    """Name of the VM and of the computer, at most 15 characters; a new one each attempt."""
    region: str
    """Azure region, short name; empty until the network of a connection has been looked at."""
    resource_group_id: str | None = None
    """ARM id of the resource group of VM, network interface and disk; None is the worker's own."""
    domain_join_type: DomainJoinType = DomainJoinType.AZURE_AD_JOIN
    entra_device_id: str | None = None
    """`deviceId` of the Entra device, once it is known: Intune knows the machine by it even when that is gone."""
    is_name_chosen: bool = True
    """Whether the computer name was found to be nobody's; until then it is a proposal, and nothing by it is ours."""


class CloudPcRequest(WorkflowInput):
    """What a Cloud PC is made from and for whom: input of the workflow that is its life."""

    id: CloudPcId
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
    remote_actions: tuple[RemoteActionResult, ...] = ()
    """The last actions of earlier runs; the one that asked for this attempt is `active`."""
    cloud_pc: "CloudPc | None" = None
    """What is known of the Cloud PC, where this run goes on with one that has been made already."""


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
    is_name_chosen: bool = True
    """Whether the computer name was found to be nobody's; until then it is a proposal that may be somebody's."""
    region: str
    """Azure region; empty until the network of a connection has been looked at."""
    on_premises_connection_id: str | None = None
    """Id of the Azure network connection in use; None in a Microsoft-hosted network, and where it is not known."""
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
    """When the Cloud PC is removed; None outside a grace period."""
    rollout_id: str | None = None
    """The rollout that asked for this attempt."""
    remote_actions: tuple[RemoteActionResult, ...] = ()
    """The last actions, the oldest first; they outlive a reprovision."""

    @computed_field
    @property
    def pending_operation(self) -> str | None:
        """The action that begins next, when what is under way has ended."""
        pending = (each.action_name for each in self.remote_actions if each.action_state == ActionState.PENDING)
        return next(pending, None)

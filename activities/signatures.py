"""What workflows know of the activities: names, inputs and results, without any Azure code.

Workflows call these functions by reference; the classes beside this module implement each under the
same name and with the same types, which a test holds them to.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field
from temporalio import activity

from models.audit import Finding, PartKind
from models.azure_network_connection import ActiveDirectoryDomain, AzureNetworkConnection, Connections
from models.base import GraphModel
from models.cloud_pc import Reprovision, User
from models.doctor import Check, Identity
from models.fleet import FleetPlan, Requirement
from models.provisioning_policy import CustomImage, DomainJoinType, GalleryImage, ProvisioningPolicy
from models.service_plan import ServicePlan, ServicePlanCatalogue

NOT_YET = "NotYet"
"""Type of the error by which an activity asks to be run again, as a look at something slow."""


class StepResult(GraphModel):
    """What every step tells of itself; the worker's interceptor fills it in."""

    attempts: int = 0
    """How often the activity ran, this time included."""
    detail: str = ""
    """What came of it, in one line."""


class ErrorClass(StrEnum):
    """What a failure means for the step that meets it."""

    TRANSIENT = "transient"
    """It passes by itself: the step is tried again."""
    CAPACITY = "capacity"
    """Azure cannot give what was asked for, but perhaps another size, in another zone or region."""
    TERMINAL = "terminal"
    """An admin has to mend something first."""


class FailureDetails(GraphModel):
    """Detail of the `ApplicationError` by which every step fails; `activities.errors` makes it."""

    attempts: int | None = None
    error_class: ErrorClass = ErrorClass.TERMINAL
    remedy: str = "look at the step's failure in the Temporal Web UI, then reprovision"
    correlation_id: str | None = None


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


class ChooseComputerNameInput(GraphModel):
    """What the computer may be called."""

    cloud_pc: CloudPcReference
    proposals: tuple[str, ...]


class ComputerName(StepResult):
    """A name that nothing in Azure or Entra ID bears."""

    computer_name: str


class FindUserInput(GraphModel):
    """Whom to look up."""

    user: str
    """User principal name or Entra object id."""
    needs_synchronization: bool = False
    """Whether the account must be synchronised from Active Directory, as a hybrid-joined Cloud PC's must."""


class FoundUser(StepResult):
    """A user who may have a Cloud PC."""

    user: User


class RefusedCandidate(GraphModel):
    """A VM size in a zone that Azure refused when the VM was to be created."""

    vm_size: str
    zone: str | None
    reason: str


class AllocateCapacityInput(GraphModel):
    """What capacity is wanted."""

    cloud_pc: CloudPcReference
    service_plan: ServicePlan
    refused: tuple[RefusedCandidate, ...] = ()
    """What is not to be tried again."""
    capacity_reservation: bool = False


class AllocatedCapacity(StepResult):
    """The first VM size and zone of the plan that this subscription can have in the region."""

    vm_size: str
    zone: str | None
    """Availability zone, or None where the region offers the size without zones."""
    capacity_reservation_group_id: str | None = None
    """ARM id of the group in which the capacity is reserved, or None when it is not."""


class AttachNetworkInput(GraphModel):
    """Whose network interface is wanted, and where."""

    cloud_pc: CloudPcReference
    connection: AzureNetworkConnection | None = None
    """None is the region's Microsoft-hosted network."""


class NetworkAttachment(StepResult):
    """The network interface that the VM is created with."""

    subnet_id: str
    private_ip_address: str | None
    region: str = ""
    """Azure region of the network, short name."""


class CreateVirtualMachineInput(GraphModel):
    """The machine to be made."""

    cloud_pc: CloudPcReference
    service_plan: ServicePlan
    vm_size: str
    zone: str | None
    subnet_id: str
    image: GalleryImage | CustomImage
    capacity_reservation_group_id: str | None = None


class VirtualMachine(StepResult):
    """A machine that exists and runs."""

    id: Annotated[str, Field(pattern=r"(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/.+/virtualMachines/[^/]+$")]
    """ARM id: a step that was completed by hand may give anything."""
    private_ip_address: str | None


class JoinEntraIdInput(GraphModel):
    """The machine that is to join Microsoft Entra ID."""

    cloud_pc: CloudPcReference
    virtual_machine_id: str


class JoinDomainInput(GraphModel):
    """The machine that is to join an Active Directory domain."""

    cloud_pc: CloudPcReference
    domain: ActiveDirectoryDomain


class WaitForEntraDeviceInput(GraphModel):
    """The domain-joined machine whose device object is waited for."""

    cloud_pc: CloudPcReference


class EntraDevice(StepResult):
    """The device object of our machine."""

    device_id: str


class EnrollInIntuneInput(GraphModel):
    """The Entra device whose managed device is waited for."""

    cloud_pc: CloudPcReference
    device_id: str


class ManagedDevice(StepResult):
    """The Intune managed device of our Entra device."""

    id: str


class AssignPrimaryUserInput(GraphModel):
    """Who is to be the primary user of which managed device."""

    managed_device_id: str
    user: User


class PrimaryUser(StepResult):
    """The primary user as Intune confirms it."""

    user_principal_name: str


class GuestScriptInput(GraphModel):
    """The machine that a guest script is to run on."""

    cloud_pc: CloudPcReference


class AssignUserAsAdministratorInput(GraphModel):
    """The account that is to be a local administrator."""

    cloud_pc: CloudPcReference
    user_principal_name: str
    """On-premises user principal name where there is one."""


class InstallLanguageInput(GraphModel):
    """The language that Windows is to speak."""

    cloud_pc: CloudPcReference
    locale: str
    """BCP 47 tag."""


class RegisterSessionHostInput(GraphModel):
    """The machine that is to become a session host of its policy's host pool."""

    cloud_pc: CloudPcReference
    policy_display_name: str
    enable_single_sign_on: bool


class SessionHost(StepResult):
    """A session host that is available."""

    host_pool: str
    """Name of the host pool."""
    name: str
    """Name of the session host in it."""


class GrantSignInInput(GraphModel):
    """Who is to sign in where."""

    cloud_pc: CloudPcReference
    virtual_machine_id: str
    administrator: bool


class AssignUserInput(GraphModel):
    """Who gets which session host."""

    cloud_pc: CloudPcReference
    session_host: str
    user_principal_name: str


class CloudPcInput(GraphModel):
    """The Cloud PC to work on."""

    cloud_pc: CloudPcReference


class RemoveComputerAccountInput(GraphModel):
    """The machine whose account is to leave its domain."""

    cloud_pc: CloudPcReference
    domain: ActiveDirectoryDomain


@activity.defn
async def find_user(request: FindUserInput) -> FoundUser:
    """Find an enabled user in Entra ID and what they are called."""
    raise NotImplementedError


@activity.defn
async def choose_computer_name(request: ChooseComputerNameInput) -> ComputerName:
    """Take the first proposed name that nothing in Azure or Entra ID bears."""
    raise NotImplementedError


@activity.defn
async def allocate_capacity(request: AllocateCapacityInput) -> AllocatedCapacity:
    """Find, and on demand reserve, the first of the plan's VM sizes that offer, restrictions and quota allow."""
    raise NotImplementedError


@activity.defn
async def attach_network(request: AttachNetworkInput) -> NetworkAttachment:
    """Make the network interface in the connection's subnet, or in a Microsoft-hosted network, made at need."""
    raise NotImplementedError


@activity.defn
async def create_virtual_machine(request: CreateVirtualMachineInput) -> VirtualMachine:
    """Create the VM with its network interface."""
    raise NotImplementedError


@activity.defn
async def join_entra_id(request: JoinEntraIdInput) -> EntraDevice:
    """Join the VM to Microsoft Entra ID; done when a device object names our VM."""
    raise NotImplementedError


@activity.defn
async def join_domain(request: JoinDomainInput) -> StepResult:
    """Join the VM to the Active Directory domain."""
    raise NotImplementedError


@activity.defn
async def wait_for_entra_device(request: WaitForEntraDeviceInput) -> EntraDevice:
    """Wait until the computer has appeared in Microsoft Entra ID and is registered."""
    raise NotImplementedError


@activity.defn
async def enroll_in_intune(request: EnrollInIntuneInput) -> ManagedDevice:
    """Wait until Intune manages the device; a hybrid-joined one is enrolled by its own credential first."""
    raise NotImplementedError


@activity.defn
async def assign_primary_user(request: AssignPrimaryUserInput) -> PrimaryUser:
    """Make the user the Intune primary user; done when Intune names them."""
    raise NotImplementedError


@activity.defn
async def install_language(request: InstallLanguageInput) -> StepResult:
    """Install the language and make Windows speak it."""
    raise NotImplementedError


@activity.defn
async def hide_start_menu_power_icons(request: GuestScriptInput) -> StepResult:
    """Hide the Start menu's power icons and the sign-in screen's shutdown button."""
    raise NotImplementedError


@activity.defn
async def disable_windows_reset(request: GuestScriptInput) -> StepResult:
    """Disable the recovery environment, and with it Windows reset."""
    raise NotImplementedError


@activity.defn
async def assign_user_as_administrator(request: AssignUserAsAdministratorInput) -> StepResult:
    """Make the user a local administrator."""
    raise NotImplementedError


@activity.defn
async def set_teams_vdi_mode(request: GuestScriptInput) -> StepResult:
    """Tell Teams that it runs on a virtual desktop."""
    raise NotImplementedError


@activity.defn
async def enable_time_zone_redirection(request: GuestScriptInput) -> StepResult:
    """Let sessions take the time zone of the user's own device."""
    raise NotImplementedError


@activity.defn
async def resize_os_disk_partition(request: GuestScriptInput) -> StepResult:
    """Grow the OS partition to the disk."""
    raise NotImplementedError


@activity.defn
async def disable_port_3389(request: GuestScriptInput) -> StepResult:
    """Block inbound port 3389."""
    raise NotImplementedError


@activity.defn
async def register_session_host(request: RegisterSessionHostInput) -> SessionHost:
    """Make the VM a session host of its policy's host pool; done when it is available."""
    raise NotImplementedError


@activity.defn
async def grant_sign_in(request: GrantSignInInput) -> StepResult:
    """Give the user the roles that signing in needs."""
    raise NotImplementedError


@activity.defn
async def assign_user(request: AssignUserInput) -> StepResult:
    """Assign the session host to the user; done when it is available and assigned."""
    raise NotImplementedError


@activity.defn
async def remove_run_commands(request: CloudPcInput) -> StepResult:
    """Remove the run commands from the VM."""
    raise NotImplementedError


@activity.defn
async def remove_computer_account(request: RemoveComputerAccountInput) -> StepResult:
    """Delete the machine's account from its Active Directory domain."""
    raise NotImplementedError


@activity.defn
async def remove_session_host(request: CloudPcInput) -> StepResult:
    """Take the Cloud PC's machines out of the host pool."""
    raise NotImplementedError


@activity.defn
async def remove_role_assignments(request: CloudPcInput) -> StepResult:
    """Take the user's rights on the Cloud PC away."""
    raise NotImplementedError


@activity.defn
async def delete_managed_device(request: CloudPcInput) -> StepResult:
    """Delete the Intune managed devices of the Cloud PC's machines."""
    raise NotImplementedError


@activity.defn
async def delete_virtual_machine(request: CloudPcInput) -> StepResult:
    """Delete the Cloud PC's machines with their network interfaces and disks."""
    raise NotImplementedError


@activity.defn
async def delete_entra_device(request: CloudPcInput) -> StepResult:
    """Delete the Entra devices of the Cloud PC's machines; done when their names are free."""
    raise NotImplementedError


class Checks(GraphModel):
    """What the doctor found."""

    checks: tuple[Check, ...]


class SignInChecks(Checks):
    """What signing in showed."""

    identity: Identity = Identity()


class ResourceGroupChecks(Checks):
    """The resource group."""

    region: str | None = None
    """Azure region, short name; None when the group is not there."""


class IdentityInput(GraphModel):
    """Who is to be given what is missing."""

    identity: Identity


class RegionsInput(GraphModel):
    """Where Cloud PCs are to be made."""

    regions: tuple[str, ...]


class CapacityInput(GraphModel):
    """What there is to be room for."""

    region: str
    service_plans: tuple[ServicePlan, ...]
    are_wanted: bool
    """Whether no room is a failure, or a warning."""


class SingleSignOnInput(GraphModel):
    """Whether policies use single sign-on."""

    is_wanted: bool


@activity.defn
async def check_sign_in() -> SignInChecks:
    """Sign in to Azure and Graph, and look at the permissions in the token."""
    raise NotImplementedError


@activity.defn
async def check_resource_group() -> ResourceGroupChecks:
    """See that the resource group exists."""
    raise NotImplementedError


@activity.defn
async def check_azure_actions(request: IdentityInput) -> Checks:
    """See that roles allow every action at the resource group."""
    raise NotImplementedError


@activity.defn
async def check_resource_providers(request: RegionsInput) -> Checks:
    """See that the resource providers are registered and offered in the regions."""
    raise NotImplementedError


@activity.defn
async def check_capacity(request: CapacityInput) -> Checks:
    """See for how many Cloud PCs of each service plan a region has room."""
    raise NotImplementedError


@activity.defn
async def check_licenses() -> Checks:
    """See that the tenant has bought what Intune enrolment needs."""
    raise NotImplementedError


@activity.defn
async def check_single_sign_on(request: SingleSignOnInput) -> Checks:
    """See that Entra ID lets Remote Desktop sign users in."""
    raise NotImplementedError


class AuditInput(GraphModel):
    """What is to be looked through."""

    connections: tuple[AzureNetworkConnection, ...] = ()
    """Whose resource groups are looked through too, besides the worker's own and those of the Cloud PCs."""
    older_than_minutes: float
    """Age below which nothing may be taken away."""


class SignInRole(GraphModel):
    """A role assignment that let a user sign in."""

    scope: str
    role: str
    """GUID of the role definition."""
    user_id: str


class OrphanedComputer(GraphModel):
    """Orphans that may be taken away, together."""

    workflow_id: str
    """Id of the workflow that does it; the Cloud PC's own keeps others from starting that Cloud PC meanwhile."""
    cloud_pc: CloudPcReference
    """What is known of the Cloud PC; without a computer name only `roles` are left."""
    roles: tuple[SignInRole, ...]
    domain: ActiveDirectoryDomain | None = None
    """The domain that the machine has joined, or None."""
    kinds: tuple[PartKind, ...]
    """What is left."""
    finding_ids: tuple[str, ...]


class AuditResult(GraphModel):
    """What exists that should not, and what should exist and does not."""

    findings: tuple[Finding, ...]
    left_off: int
    """How many more findings there are."""
    orphaned: tuple[OrphanedComputer, ...]
    cloud_pcs: int
    """How many Cloud PCs there are."""


class RevokeRolesInput(GraphModel):
    """The role assignments to be taken away."""

    roles: tuple[SignInRole, ...]


@activity.defn
async def audit(request: AuditInput) -> AuditResult:
    """Compare what exists with the Cloud PCs that there are."""
    raise NotImplementedError


@activity.defn
async def revoke_roles(request: RevokeRolesInput) -> StepResult:
    """Take role assignments away that this product made."""
    raise NotImplementedError


class FleetInput(GraphModel):
    """A policy with all that its Cloud PCs are made from."""

    policy: ProvisioningPolicy
    connections: Connections = ()
    service_plans: ServicePlanCatalogue


class ReconcileInput(FleetInput):
    """What may be done."""

    grace_period_starts: int
    """How many Cloud PCs may lose their user; when there are more, none does."""


class Reconciled(GraphModel):
    """What was done."""

    plan: FleetPlan
    is_held: bool
    """Whether more Cloud PCs would lose their user than may, so that none did."""


class RoomInput(FleetInput):
    """How many Cloud PCs are to be made."""

    created: dict[str, int]
    """Their number by the service plan's id."""


class Room(GraphModel):
    """What they need of quota and addresses against what is free."""

    requirements: tuple[Requirement, ...]


class ChooseInput(GraphModel):
    """Whose Cloud PCs a rollout is about."""

    policy: ProvisioningPolicy
    connections: Connections = ()
    everyone: bool
    """Those too that have the policy's settings already."""


class ChosenCloudPcs(GraphModel):
    """The Cloud PCs of a rollout."""

    cloud_pc_ids: tuple[str, ...]


class StartWaveInput(GraphModel):
    """The Cloud PCs that are made anew."""

    cloud_pc_ids: tuple[str, ...]
    wish: Reprovision


class AwaitWaveInput(GraphModel):
    """The Cloud PCs that are being made anew."""

    cloud_pc_ids: tuple[str, ...]
    rollout_id: str


class WaveResult(GraphModel):
    """What came of a wave."""

    reprovisioned: int
    failed: tuple[str, ...]
    """Ids of those that failed."""
    gone: int
    """How many were deprovisioned meanwhile."""


@activity.defn
async def choose_cloud_pcs(request: ChooseInput) -> ChosenCloudPcs:
    """Tell which Cloud PCs a rollout is about."""
    raise NotImplementedError


@activity.defn
async def start_wave(request: StartWaveInput) -> None:
    """Ask Cloud PCs to be made anew."""
    raise NotImplementedError


@activity.defn
async def await_wave(request: AwaitWaveInput) -> WaveResult:
    """Wait until Cloud PCs have been made anew."""
    raise NotImplementedError


@activity.defn
async def plan_fleet(request: FleetInput) -> FleetPlan:
    """Tell what a reconciliation would do."""
    raise NotImplementedError


@activity.defn
async def reconcile_fleet(request: ReconcileInput) -> Reconciled:
    """Start the Cloud PCs that are missing, and let grace periods begin and end."""
    raise NotImplementedError


@activity.defn
async def check_room(request: RoomInput) -> Room:
    """Tell what new Cloud PCs need of quota and addresses, and what is free."""
    raise NotImplementedError

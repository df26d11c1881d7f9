"""What workflows know of the activities: names, inputs and results, without any Azure code.

Workflows call these functions by reference; the classes beside this module implement each under the
same name and with the same types, which a test holds them to.
"""

from temporalio import activity

from models.base import GraphModel
from models.cloud_pc import User
from models.provisioning_policy import GalleryImage
from models.service_plan import ServicePlan


class StepResult(GraphModel):
    """What every step tells of itself; the worker's interceptor fills it in."""

    attempts: int = 0
    """How often the activity ran, this time included."""
    detail: str = ""
    """What came of it, in one line."""


class FailureDetails(GraphModel):
    """Detail of the `ApplicationError` by which every step fails; `activities.errors` makes it."""

    attempts: int | None = None
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
    """Azure region, short name."""


class FindUserInput(GraphModel):
    """Whom to look up."""

    user: str
    """User principal name or Entra object id."""


class FoundUser(StepResult):
    """A user who may have a Cloud PC."""

    user: User


class AllocateCapacityInput(GraphModel):
    """What capacity is wanted."""

    cloud_pc: CloudPcReference
    service_plan: ServicePlan


class AllocatedCapacity(StepResult):
    """The first VM size and zone of the plan that this subscription can have in the region."""

    vm_size: str
    zone: str | None
    """Availability zone, or None where the region offers the size without zones."""


class AttachNetworkInput(GraphModel):
    """Whose network interface is wanted."""

    cloud_pc: CloudPcReference


class NetworkAttachment(StepResult):
    """The network interface that the VM is created with."""

    subnet_id: str
    private_ip_address: str | None


class CreateVirtualMachineInput(GraphModel):
    """The machine to be made."""

    cloud_pc: CloudPcReference
    service_plan: ServicePlan
    vm_size: str
    zone: str | None
    subnet_id: str
    image: GalleryImage


class VirtualMachine(StepResult):
    """A machine that exists and runs."""

    id: str
    """ARM id."""
    private_ip_address: str | None


class JoinEntraIdInput(GraphModel):
    """The machine that is to join Microsoft Entra ID."""

    cloud_pc: CloudPcReference
    virtual_machine_id: str


class EntraDevice(StepResult):
    """The device object that names our machine."""

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


@activity.defn
async def find_user(request: FindUserInput) -> FoundUser:
    """Find an enabled user in Entra ID and what they are called."""
    raise NotImplementedError


@activity.defn
async def allocate_capacity(request: AllocateCapacityInput) -> AllocatedCapacity:
    """Find the first of the plan's VM sizes that offer, restrictions and quota allow."""
    raise NotImplementedError


@activity.defn
async def attach_network(request: AttachNetworkInput) -> NetworkAttachment:
    """Make the network interface in the region's Microsoft-hosted network, and that network first."""
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
async def enroll_in_intune(request: EnrollInIntuneInput) -> ManagedDevice:
    """Wait until Intune manages the device, which enrols by itself with the join."""
    raise NotImplementedError


@activity.defn
async def assign_primary_user(request: AssignPrimaryUserInput) -> PrimaryUser:
    """Make the user the Intune primary user; done when Intune names them."""
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

"""The tables of activities: `STEPS`, the work on a Cloud PC in the order of its stages, and the other activities.

A step is one row. Its activity is the method that `@ROW.implemented_by` marks in `activities/`, its workflow code runs
the row, and its title, timeouts, queue and documentation come from here. A step that only runs a script in the guest
needs a row made by `guest_script` and the `.ps1` of its name beside the other steps of its stage, and no more.
"""

from typing import Any

from contract import assignment, audit, core_provisioning, deprovisioning, doctor, fleet, post_provisioning, users
from contract.activity import (
    Activity,
    CloudPcInput,
    GuestScript,
    NoInput,
    Service,
    Step,
    StepPolicy,
    StepResult,
    guest_script,
)
from models.cloud_pc import Stage
from models.fleet import FleetPlan
from models.provisioning_policy import IMAGE_LOCALE, DomainJoinType, ProvisioningPolicy

_AZURE, _GRAPH, _TEMPORAL = Service.AZURE, Service.GRAPH, Service.TEMPORAL


def _is_hybrid(policy: ProvisioningPolicy) -> bool:
    return policy.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN


def _is_entra_joined(policy: ProvisioningPolicy) -> bool:
    return not _is_hybrid(policy)


def _has_another_language(policy: ProvisioningPolicy) -> bool:
    return policy.windows_setting.locale != IMAGE_LOCALE


_CORE = Stage.CORE_PROVISIONING

CHOOSE_COMPUTER_NAME = Step(
    "choose_computer_name",
    "Choose the computer name",
    core_provisioning.ChooseComputerNameInput,
    core_provisioning.ComputerName,
    _AZURE,
    StepPolicy(2, 20, "a few reads of Entra ID and Azure"),
    _CORE,
    patch="choose-computer-name",
)
ALLOCATE_CAPACITY = Step(
    "allocate_capacity",
    "Allocate Azure capacity",
    core_provisioning.AllocateCapacityInput,
    core_provisioning.AllocatedCapacity,
    _AZURE,
    StepPolicy(
        15,
        60,
        "the list of sizes is large but comes within seconds; a capacity reservation takes up to a minute",
        beats=True,
    ),
    _CORE,
)
CREATE_VIRTUAL_MACHINE = Step(
    "create_virtual_machine",
    "Create VM",
    core_provisioning.CreateVirtualMachineInput,
    core_provisioning.VirtualMachine,
    _AZURE,
    StepPolicy(60, 120, "1.5 to 5 minutes; Azure gives up on an OS that does not start after 20 to 40", beats=True),
    _CORE,
)
ATTACH_NETWORK = Step(
    "attach_network",
    "Attach the VM to the network",
    core_provisioning.AttachNetworkInput,
    core_provisioning.NetworkAttachment,
    _AZURE,
    StepPolicy(
        15, 45, "2 to 10 s for an interface, about a minute for a new virtual network with its NAT gateway", beats=True
    ),
    _CORE,
)
JOIN_ENTRA_ID = Step(
    "join_entra_id",
    "Join to Microsoft Entra ID",
    core_provisioning.JoinEntraIdInput,
    core_provisioning.EntraDevice,
    _AZURE,
    StepPolicy(45, 90, "1 to 4 minutes for the extension; a guest tries a refused join again every 15", beats=True),
    _CORE,
    _is_entra_joined,
)
JOIN_DOMAIN = Step(
    "join_domain",
    "Join the Active Directory domain",
    core_provisioning.JoinDomainInput,
    StepResult,
    _AZURE,
    StepPolicy(45, 90, "1 to 4 minutes for the extension, 1 to 2 for the restart", beats=True),
    _CORE,
    _is_hybrid,
)
WAIT_FOR_ENTRA_DEVICE = Step(
    "wait_for_entra_device",
    "Wait for the device in Microsoft Entra ID",
    CloudPcInput,
    core_provisioning.EntraDevice,
    _GRAPH,
    StepPolicy(
        2, 90, "Entra Connect runs every 30 minutes, the guest's own task hourly; hybridJoinTimeoutInMinutes overrides"
    ),
    _CORE,
    _is_hybrid,
)
REMOVE_DOMAIN_JOIN_EXTENSION = Step(
    "remove_domain_join_extension",
    "Remove the domain join extension",
    CloudPcInput,
    StepResult,
    _AZURE,
    StepPolicy(15, 60, "seconds to a minute", beats=True),
    _CORE,
    _is_hybrid,
    patch="remove-domain-join-extension",
)
"""Once the join is confirmed, and before the machine is its user's: an administrator of a machine can read the settings
of its extensions, and this one's hold the join account's password."""
ENROLL_IN_INTUNE = Step(
    "enroll_in_intune",
    "Intune MDM enroll",
    core_provisioning.EnrollInIntuneInput,
    core_provisioning.ManagedDevice,
    _GRAPH,
    StepPolicy(
        15, 120, "2 to 15 minutes, with a tail beyond 30; a hybrid-joined guest runs a script first", beats=True
    ),
    _CORE,
)
ASSIGN_PRIMARY_USER = Step(
    "assign_primary_user",
    "Primary user assignment",
    core_provisioning.AssignPrimaryUserInput,
    core_provisioning.PrimaryUser,
    _GRAPH,
    StepPolicy(2, 45, "up to 10 minutes until Intune and Entra ID agree"),
    _CORE,
)

_POST = Stage.POST_PROVISIONING
_SCRIPT = StepPolicy(15, 45, "a script runs for seconds; the first one installs the handler", beats=True)

INSTALL_LANGUAGE = Step(
    "install_language",
    "Install the language of Windows",
    post_provisioning.InstallLanguageInput,
    StepResult,
    _AZURE,
    StepPolicy(90, 120, "5 to 20 minutes of download and a restart", beats=True),
    _POST,
    _has_another_language,
)
HIDE_START_MENU_POWER_ICONS = guest_script("hide_start_menu_power_icons", "Hide Start menu power icons", _SCRIPT, _POST)
DISABLE_WINDOWS_RESET = guest_script("disable_windows_reset", "Disable Windows reset", _SCRIPT, _POST)
ASSIGN_USER_AS_ADMINISTRATOR = Step(
    "assign_user_as_administrator",
    "Assign user as administrator",
    post_provisioning.AssignUserAsAdministratorInput,
    StepResult,
    _AZURE,
    _SCRIPT,
    _POST,
)
SET_TEAMS_VDI_MODE = guest_script("set_teams_vdi_mode", "Set Teams VDI mode", _SCRIPT, _POST)
ENABLE_TIME_ZONE_REDIRECTION = guest_script(
    "enable_time_zone_redirection", "Enable time zone redirection", _SCRIPT, _POST
)
RESIZE_OS_DISK_PARTITION = guest_script("resize_os_disk_partition", "Resize OS disk partition", _SCRIPT, _POST)
DISABLE_PORT_3389 = guest_script("disable_port_3389", "Disable port 3389", _SCRIPT, _POST)

_ASSIGNMENT = Stage.ASSIGNMENT

REGISTER_SESSION_HOST = Step(
    "register_session_host",
    "Register the session host",
    assignment.RegisterSessionHostInput,
    assignment.SessionHost,
    _AZURE,
    StepPolicy(30, 90, "2 to 10 minutes from the agent's installation to an available session host", beats=True),
    _ASSIGNMENT,
)
GRANT_SIGN_IN = Step(
    "grant_sign_in",
    "Grant the right to sign in",
    assignment.GrantSignInInput,
    StepResult,
    _AZURE,
    StepPolicy(2, 30, "at once; a new principal may take minutes to be known"),
    _ASSIGNMENT,
)
ASSIGN_USER = Step(
    "assign_user",
    "Assign the user",
    assignment.AssignUserInput,
    StepResult,
    _AZURE,
    StepPolicy(2, 45, "at once"),
    _ASSIGNMENT,
)
REMOVE_RUN_COMMANDS = Step(
    "remove_run_commands",
    "Remove the run commands",
    CloudPcInput,
    StepResult,
    _AZURE,
    StepPolicy(15, 60, "seconds each", beats=True),
    _ASSIGNMENT,
)

_DEPROVISIONING = Stage.DEPROVISIONING
_DIRECTORY = StepPolicy(2, 60, "at once; deleted devices stay visible for a while")

REMOVE_COMPUTER_ACCOUNT = Step(
    "remove_computer_account",
    "Leave the computer account to the domain",
    deprovisioning.RemoveComputerAccountInput,
    StepResult,
    _TEMPORAL,
    StepPolicy(0.5, 30, "at once: it asks nobody"),
    _DEPROVISIONING,
    _is_hybrid,
)
"""It says which account stays. Its name is from a time when a script in the machine removed the account."""
DELETE_VIRTUAL_MACHINE = Step(
    "delete_virtual_machine",
    "Delete the VM, its NIC and disk",
    CloudPcInput,
    StepResult,
    _AZURE,
    StepPolicy(30, 120, "1 to 3 minutes, and Azure holds a network interface for 3 more", beats=True),
    _DEPROVISIONING,
)
"""Before what follows: while the machine runs, its agents may still register what has just been removed."""
REMOVE_SESSION_HOST = Step(
    "remove_session_host", "Remove the session host", CloudPcInput, StepResult, _AZURE, _DIRECTORY, _DEPROVISIONING
)
REMOVE_ROLE_ASSIGNMENTS = Step(
    "remove_role_assignments",
    "Remove the role assignments",
    CloudPcInput,
    StepResult,
    _AZURE,
    _DIRECTORY,
    _DEPROVISIONING,
)
DELETE_MANAGED_DEVICE = Step(
    "delete_managed_device",
    "Delete the Intune managed device",
    CloudPcInput,
    StepResult,
    _GRAPH,
    _DIRECTORY,
    _DEPROVISIONING,
)
"""Before the Entra device, by which it is found."""
DELETE_ENTRA_DEVICE = Step(
    "delete_entra_device", "Delete the Entra device", CloudPcInput, StepResult, _GRAPH, _DIRECTORY, _DEPROVISIONING
)

RESTART_VIRTUAL_MACHINE = Step(
    "restart_virtual_machine",
    "Restart the VM",
    CloudPcInput,
    StepResult,
    _AZURE,
    StepPolicy(20, 40, "1 to 3 minutes", beats=True),
    Stage.REMOTE_ACTION,
)

FIND_USER = Activity(
    "find_user",
    "Find the user in Entra ID",
    users.FindUserInput,
    users.FoundUser,
    _GRAPH,
    StepPolicy(0.5, 1.5, "before there is a Cloud PC"),
)

_CHECK = StepPolicy(0.5, 0.75, "a few reads")

CHECK_SIGN_IN = Activity("check_sign_in", "Sign in", NoInput, doctor.SignInChecks, _GRAPH, _CHECK)
CHECK_RESOURCE_GROUP = Activity(
    "check_resource_group", "Resource group", NoInput, doctor.ResourceGroupChecks, _AZURE, _CHECK
)
CHECK_AZURE_ACTIONS = Activity(
    "check_azure_actions", "Azure actions", doctor.IdentityInput, doctor.Checks, _AZURE, _CHECK
)
CHECK_RESOURCE_PROVIDERS = Activity(
    "check_resource_providers", "Resource providers", doctor.RegionsInput, doctor.Checks, _AZURE, _CHECK
)
CHECK_CAPACITY = Activity("check_capacity", "Service plans", doctor.CapacityInput, doctor.Checks, _AZURE, _CHECK)
CHECK_LICENSES = Activity("check_licenses", "Licences", NoInput, doctor.Checks, _GRAPH, _CHECK)
CHECK_SINGLE_SIGN_ON = Activity(
    "check_single_sign_on", "Single sign-on", doctor.SingleSignOnInput, doctor.Checks, _GRAPH, _CHECK
)

AUDIT = Activity(
    "audit",
    "Compare what exists with the Cloud PCs",
    audit.AuditInput,
    audit.AuditResult,
    _AZURE,
    StepPolicy(8, 9, "lists of resources, session hosts, roles and devices, and a query of every Cloud PC", beats=True),
)
REVOKE_ROLES = Activity(
    "revoke_roles",
    "Revoke the role assignments of an orphan",
    deprovisioning.RevokeRolesInput,
    StepResult,
    _AZURE,
    _DIRECTORY,
)

PLAN_FLEET = Activity(
    "plan_fleet",
    "Plan the reconciliation of a policy",
    fleet.FleetInput,
    FleetPlan,
    _GRAPH,
    StepPolicy(8, 9, "a page of each group for 999 members, and a list of every Cloud PC", beats=True),
)
RECONCILE_FLEET = Activity(
    "reconcile_fleet",
    "Reconcile a policy",
    fleet.ReconcileInput,
    fleet.Reconciled,
    _GRAPH,
    StepPolicy(30, 60, "the same, and a start or a signal for each Cloud PC that something happens to", beats=True),
)
CHECK_ROOM = Activity(
    "check_room", "Compare quota and addresses with the need", fleet.RoomInput, fleet.Room, _AZURE, _CHECK
)
CHOOSE_CLOUD_PCS = Activity(
    "choose_cloud_pcs",
    "Choose the Cloud PCs of a rollout",
    fleet.ChooseInput,
    fleet.ChosenCloudPcs,
    _TEMPORAL,
    StepPolicy(8, 9, "a list of the policy's Cloud PCs", beats=True),
)
START_WAVE = Activity(
    "start_wave",
    "Start a wave of a rollout",
    fleet.StartWaveInput,
    type(None),
    _TEMPORAL,
    StepPolicy(5, 30, "a signal for each Cloud PC"),
)
AWAIT_WAVE = Activity(
    "await_wave",
    "Await a wave of a rollout",
    fleet.AwaitWaveInput,
    fleet.WaveResult,
    _TEMPORAL,
    StepPolicy(10, 24 * 60, "as long as the slowest step of the wave's Cloud PCs and its retries take"),
)


_ROWS: list[Any] = [row for row in globals().values() if isinstance(row, Activity)]
ACTIVITIES: tuple[Activity[Any, Any], ...] = tuple(_ROWS)
"""Every activity that a worker serves."""
STEPS: tuple[Step[Any, Any], ...] = tuple(row for row in ACTIVITIES if isinstance(row, Step))
"""The steps of the work on a Cloud PC, in order."""
GUEST_SCRIPTS: tuple[GuestScript, ...] = tuple(step for step in STEPS if isinstance(step, GuestScript))
"""The steps that only run a file in the guest."""


def steps_of(stage: Stage, policy: ProvisioningPolicy | None = None) -> tuple[Step[Any, Any], ...]:
    """Return the steps of a stage in order: all, or those that the Cloud PCs of a policy go through."""
    return tuple(step for step in STEPS if step.stage == stage and (policy is None or step.applies(policy)))


def step_named(name: str) -> Step[Any, Any] | None:
    """Return the step of this name, or None: a Cloud PC may remember one that is gone."""
    return next((step for step in STEPS if step.name == name), None)

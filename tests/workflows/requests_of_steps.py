"""A request of each step, by which a test makes it fail, holds it, or strikes in its middle."""

from contract import steps
from contract.activity import AnyStep
from models.cloud_pc import Stage

_RUN_COMMANDS = r"virtualMachines/[^/]+/runCommands/"
_VM = r"virtualMachines/[^/]+$"

FATAL: dict[AnyStep, tuple[str, str]] = {
    steps.CHOOSE_COMPUTER_NAME: ("GET", r"/devices$"),
    steps.ALLOCATE_CAPACITY: ("GET", r"Microsoft\.Compute/skus$"),
    steps.ATTACH_NETWORK: ("PUT", r"networkInterfaces/[^/]+$"),
    steps.CREATE_VIRTUAL_MACHINE: ("PUT", _VM),
    steps.JOIN_ENTRA_ID: ("PUT", r"extensions/AADLoginForWindows$"),
    steps.ENROLL_IN_INTUNE: ("GET", r"/managedDevices$"),
    steps.ASSIGN_PRIMARY_USER: ("POST", r"/managedDevices/[^/]+/users/\$ref$"),
    steps.REGISTER_SESSION_HOST: ("PUT", r"hostPools/[^/]+$"),
    steps.GRANT_SIGN_IN: ("PUT", r"roleAssignments/[^/]+$"),
    steps.ASSIGN_USER: ("PATCH", r"sessionHosts/[^/]+$"),
}
"""Of the steps that must succeed, where the Cloud PC joins Entra ID."""

HYBRID: dict[AnyStep, tuple[str, str]] = {
    steps.JOIN_DOMAIN: ("PUT", r"extensions/[^/]*Domain[^/]*$"),
    steps.WAIT_FOR_ENTRA_DEVICE: ("GET", r"/devices$"),
    steps.REMOVE_DOMAIN_JOIN_EXTENSION: ("DELETE", r"extensions/[^/]*Domain[^/]*$"),
}
"""Of the steps that take the place of `join_entra_id` where the Cloud PC joins a domain too."""

NOT_FATAL: dict[AnyStep, tuple[str, str]] = {
    step: ("PUT", f"{_RUN_COMMANDS}{step.activity_id}$") for step in steps.steps_of(Stage.POST_PROVISIONING)
} | {steps.REMOVE_RUN_COMMANDS: ("DELETE", f"{_RUN_COMMANDS}[^/]+$")}
"""Of the steps whose failure is a warning."""

DEPROVISIONING: dict[AnyStep, tuple[str, str]] = {
    steps.DELETE_VIRTUAL_MACHINE: ("DELETE", _VM),
    steps.REMOVE_SESSION_HOST: ("DELETE", r"sessionHosts/[^/]+$"),
    steps.REMOVE_ROLE_ASSIGNMENTS: ("DELETE", r"roleAssignments/[^/]+$"),
    steps.DELETE_MANAGED_DEVICE: ("DELETE", r"/managedDevices/[^/]+$"),
    steps.DELETE_ENTRA_DEVICE: ("DELETE", r"/devices/[^/]+$"),
}
"""Of the steps that take a Cloud PC away."""

REMOTE_ACTIONS: dict[AnyStep, tuple[str, str]] = {
    steps.RESTART_VIRTUAL_MACHINE: ("POST", r"/virtualMachines/[^/]+/restart$"),
}
"""Of the steps that are done to a living Cloud PC."""

REQUEST_OF = FATAL | HYBRID | NOT_FATAL | DEPROVISIONING | REMOTE_ACTIONS
"""Of every step but that of the computer account, which asks nobody."""

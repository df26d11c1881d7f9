"""A request of each step, by which a test makes it fail, holds it, or strikes in its middle."""

from models.cloud_pc import STAGES, Stage, Step

_RUN_COMMANDS = r"virtualMachines/[^/]+/runCommands/"
_VM = r"virtualMachines/[^/]+$"

FATAL: dict[Step, tuple[str, str]] = {
    Step.CHOOSE_COMPUTER_NAME: ("GET", r"/devices$"),
    Step.ALLOCATE_CAPACITY: ("GET", r"Microsoft\.Compute/skus$"),
    Step.ATTACH_NETWORK: ("PUT", r"networkInterfaces/[^/]+$"),
    Step.CREATE_VIRTUAL_MACHINE: ("PUT", _VM),
    Step.JOIN_ENTRA_ID: ("PUT", r"extensions/AADLoginForWindows$"),
    Step.ENROLL_IN_INTUNE: ("GET", r"/managedDevices$"),
    Step.ASSIGN_PRIMARY_USER: ("POST", r"/managedDevices/[^/]+/users/\$ref$"),
    Step.REGISTER_SESSION_HOST: ("PUT", r"hostPools/[^/]+$"),
    Step.GRANT_SIGN_IN: ("PUT", r"roleAssignments/[^/]+$"),
    Step.ASSIGN_USER: ("PATCH", r"sessionHosts/[^/]+$"),
}
"""Of the steps that must succeed, where the Cloud PC joins Entra ID."""

HYBRID: dict[Step, tuple[str, str]] = {
    Step.JOIN_DOMAIN: ("PUT", r"extensions/[^/]*Domain[^/]*$"),
    Step.WAIT_FOR_ENTRA_DEVICE: ("GET", r"/devices$"),
}
"""Of the steps that take the place of `join_entra_id` where the Cloud PC joins a domain too."""

NOT_FATAL: dict[Step, tuple[str, str]] = {
    step: ("PUT", f"{_RUN_COMMANDS}{step.activity_id}$") for step in STAGES[Stage.POST_PROVISIONING]
} | {Step.REMOVE_RUN_COMMANDS: ("DELETE", f"{_RUN_COMMANDS}[^/]+$")}
"""Of the steps whose failure is a warning."""

DEPROVISIONING: dict[Step, tuple[str, str]] = {
    Step.REMOVE_COMPUTER_ACCOUNT: ("PUT", f"{_RUN_COMMANDS}remove-computer-account$"),
    Step.DELETE_VIRTUAL_MACHINE: ("DELETE", _VM),
    Step.REMOVE_SESSION_HOST: ("DELETE", r"sessionHosts/[^/]+$"),
    Step.REMOVE_ROLE_ASSIGNMENTS: ("DELETE", r"roleAssignments/[^/]+$"),
    Step.DELETE_MANAGED_DEVICE: ("DELETE", r"/managedDevices/[^/]+$"),
    Step.DELETE_ENTRA_DEVICE: ("DELETE", r"/devices/[^/]+$"),
}
"""Of the steps that take a Cloud PC away."""

REQUEST_OF = FATAL | HYBRID | NOT_FATAL | DEPROVISIONING
"""Of every step."""

"""What the steps of assignment are given and what they return."""

from contract.activity import CloudPcInput, StepResult


class RegisterSessionHostInput(CloudPcInput):
    """The machine that is to become a session host of its policy's host pool."""

    policy_display_name: str
    enable_single_sign_on: bool


class SessionHost(StepResult):
    """A session host that is available."""

    host_pool: str
    """Name of the host pool."""
    name: str
    """Name of the session host in it."""


class GrantSignInInput(CloudPcInput):
    """Who is to sign in where."""

    virtual_machine_id: str
    administrator: bool


class AssignUserInput(CloudPcInput):
    """Who gets which session host."""

    session_host: str
    user_principal_name: str

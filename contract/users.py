"""Looking a user up."""

from contract.activity import StepResult
from models.base import GraphModel
from models.cloud_pc import User


class FindUserInput(GraphModel):
    """Whom to look up."""

    user: str
    """User principal name or Entra object id."""
    needs_synchronization: bool = False
    """Whether the account must be synchronised from Active Directory, as a hybrid-joined Cloud PC's must."""


class FoundUser(StepResult):
    """A user who may have a Cloud PC."""

    user: User

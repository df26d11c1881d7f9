"""What the doctor's checks are given and what they return."""

from models.base import GraphModel
from models.doctor import Check, Identity
from models.service_plan import ServicePlan


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

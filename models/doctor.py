"""What the doctor answers: one check a line."""

from enum import StrEnum

from models.base import GraphModel


class CheckState(StrEnum):
    """What came of one check."""

    PASSED = "passed"
    WARNING = "warning"
    """Something is missing that some Cloud PCs need."""
    FAILED = "failed"
    """Something is missing without which Cloud PCs cannot be made."""
    NOT_CHECKED = "notChecked"
    """The worker's identity may not look, or the service did not answer."""


class Check(GraphModel):
    """One line of the doctor's answer."""

    name: str
    state: CheckState
    detail: str
    remedy: str = ""
    """Command, or path in a portal, that repairs it; empty when there is nothing to repair."""


class Identity(GraphModel):
    """Who the worker is, as its access token says."""

    tenant_id: str = "<tenant id>"
    client_id: str = "<client id>"
    object_id: str = "<object id>"
    """Object id of the service principal."""
    is_managed: bool = False
    """Whether it is a managed identity of Azure, which has no app registration."""

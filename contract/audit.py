"""What the audit is given and what it returns."""

from contract.deprovisioning import SignInRole
from models.audit import Finding, PartKind
from models.azure_network_connection import ActiveDirectoryDomain, AzureNetworkConnection
from models.base import GraphModel
from models.cloud_pc import CloudPcReference


class AuditInput(GraphModel):
    """What is to be looked through."""

    connections: tuple[AzureNetworkConnection, ...] = ()
    """Whose resource groups are looked through too, besides the worker's own and those of the Cloud PCs."""
    older_than_minutes: float
    """Age below which nothing may be removed."""


class OrphanedComputer(GraphModel):
    """Orphans that may be removed, together."""

    workflow_id: str
    """Id of the workflow that does it; the Cloud PC's own keeps others from starting that Cloud PC until then."""
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

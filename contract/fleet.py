"""What the activities of policies and rollouts are given and what they return."""

from models.azure_network_connection import Connections
from models.base import GraphModel
from models.fleet import FleetPlan, Requirement
from models.provisioning_policy import ProvisioningPolicy
from models.remote_actions import Reprovision
from models.service_plan import ServicePlanCatalogue


class FleetInput(GraphModel):
    """A policy with all that its Cloud PCs are made from."""

    policy: ProvisioningPolicy
    connections: Connections = ()
    service_plans: ServicePlanCatalogue


class ReconcileInput(FleetInput):
    """What may be done."""

    grace_period_starts: int
    """How many Cloud PCs may lose their user; when there are more, none does."""
    task_queue: str = ""
    """Task queue of the workflows; empty in runs whose activities wait on it themselves."""


class Reconciled(GraphModel):
    """What was done."""

    plan: FleetPlan
    is_held: bool
    """Whether more Cloud PCs would lose their user than may, so that none did."""
    unreached: tuple[str, ...] = ()
    """The first Cloud PCs that could not be started or signaled, each with the reason; the others were."""


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
    """The Cloud PCs to be reprovisioned."""

    cloud_pc_ids: tuple[str, ...]
    wish: Reprovision


class AwaitWaveInput(GraphModel):
    """The Cloud PCs that are being reprovisioned."""

    cloud_pc_ids: tuple[str, ...]
    rollout_id: str


class WaveResult(GraphModel):
    """What came of a wave."""

    reprovisioned: int
    failed: tuple[str, ...]
    """Ids of those that failed."""
    gone: int
    """How many were deprovisioned in the meantime."""

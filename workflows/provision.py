"""From a provisioning policy and a user to that user's Cloud PC."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from contract import search_attributes, steps
from contract.users import FindUserInput
from domain.naming import cloud_pc_id
from models.azure_network_connection import Connections
from models.base import GraphModel, WorkflowInput
from models.cloud_pc import CloudPcRequest
from models.provisioning_policy import DomainJoinType, ProvisioningPolicy
from models.service_plan import ServicePlan
from models.types import UserName
from workflows import messages, runner
from workflows.cloud_pc.workflow import CloudPcWorkflow


class ProvisionRequest(WorkflowInput):
    """Who is to get a Cloud PC of which size, made after which policy."""

    policy: ProvisioningPolicy
    connections: Connections = ()
    service_plan: ServicePlan
    user: UserName


class ProvisionResponse(GraphModel):
    """The Cloud PC of that policy and user."""

    cloud_pc_id: str
    started: bool
    """False when it existed already: starting twice is starting once."""


@workflow.defn
class ProvisionWorkflow:
    """Finds the user in Entra ID and starts their Cloud PC's workflow, whose life is its own."""

    @workflow.run
    async def run(self, request: ProvisionRequest = messages.NO_INPUT) -> ProvisionResponse:
        """Start the Cloud PC and return its id.

        Raises:
            ApplicationError: `InvalidInput`, or `UnusableConnection`, when the policy names a connection that is
                missing or does not match.
            ActivityFailedError: The user cannot be found, is disabled, or is not synchronized for a hybrid join.

        """
        request = messages.required(request, ProvisionRequest)
        policy = request.policy
        connections = messages.usable_connections(policy, request.connections)
        is_hybrid = policy.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN
        wanted = FindUserInput(user=request.user, needs_synchronization=is_hybrid)
        found = await runner.run(steps.FIND_USER, wanted)
        user, plan = found.user, request.service_plan
        id = cloud_pc_id(policy.id, user.id)
        try:
            await workflow.start_child_workflow(
                CloudPcWorkflow.run,
                CloudPcRequest(id=id, policy=policy, connections=connections, service_plan=plan, user=user),
                id=id,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"{policy.display_name} · {plan.display_name}",
                memo=search_attributes.memo_of_new(user, policy, connections, is_assigned=False),
                search_attributes=search_attributes.of_new(policy, user, plan),
            )
        except WorkflowAlreadyStartedError:
            return ProvisionResponse(cloud_pc_id=id, started=False)
        return ProvisionResponse(cloud_pc_id=id, started=True)

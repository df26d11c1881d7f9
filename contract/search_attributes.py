"""Search attributes of Cloud PCs, by which fleets are found, and what a Cloud PC's memo says beside them.

They are never encrypted: no names of people are in them. Old attempts are closed runs with the same attributes, so
every query of a fleet asks for running ones.
"""

from collections.abc import Iterable
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from domain.fleet import settings_version
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPcStatus, User
from models.provisioning_policy import ProvisioningPolicy
from models.service_plan import ServicePlan

STATUS = SearchAttributeKey.for_keyword("CloudPcStatus")
POLICY_ID = SearchAttributeKey.for_keyword("ProvisioningPolicyId")
USER_ID = SearchAttributeKey.for_keyword("CloudPcUserId")
COMPUTER_NAME = SearchAttributeKey.for_keyword("CloudPcName")
SERVICE_PLAN = SearchAttributeKey.for_keyword("ServicePlan")
WARNINGS = SearchAttributeKey.for_keyword_list("CloudPcWarnings")
"""Steps that ended in a warning, or the one that failed."""
FAILURE = SearchAttributeKey.for_keyword("CloudPcFailure")
"""Why a failed Cloud PC failed: the step and the code, such as `create_virtual_machine: SkuNotAvailable`."""
GRACE_PERIOD_END = SearchAttributeKey.for_datetime("CloudPcGracePeriodEnd")

SEARCH_ATTRIBUTES: dict[str, str] = {
    STATUS.name: "Keyword",
    POLICY_ID.name: "Keyword",
    USER_ID.name: "Keyword",
    COMPUTER_NAME.name: "Keyword",
    SERVICE_PLAN.name: "Keyword",
    WARNINGS.name: "KeywordList",
    FAILURE.name: "Keyword",
    GRACE_PERIOD_END.name: "Datetime",
}
"""Search attributes that the namespace must have, with their type."""

RUNNING = 'WorkflowType="CloudPcWorkflow" AND ExecutionStatus="Running"'
"""Visibility query of every Cloud PC that there is."""

MEMO_USER = "userPrincipalName"
MEMO_SETTINGS = "settings"
"""Memo field: `domain.fleet.settings_version` of what the Cloud PC is made from."""
MEMO_ASSIGNED = "isAssigned"
"""Memo field: an assignment of the policy asked for the Cloud PC, and not somebody by hand."""


def memo_of_new(
    user: User, policy: ProvisioningPolicy, connections: Iterable[AzureNetworkConnection], *, is_assigned: bool
) -> dict[str, Any]:
    """Return the memo of a new Cloud PC."""
    return {
        MEMO_USER: user.user_principal_name,
        MEMO_SETTINGS: settings_version(policy, connections),
        MEMO_ASSIGNED: is_assigned,
    }


def of_new(policy: ProvisioningPolicy, user: User, plan: ServicePlan) -> TypedSearchAttributes:
    """Return the search attributes of a new Cloud PC."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(STATUS, CloudPcStatus.PROVISIONING),
            SearchAttributePair(POLICY_ID, policy.id),
            SearchAttributePair(USER_ID, user.id),
            SearchAttributePair(SERVICE_PLAN, plan.id),
        ]
    )

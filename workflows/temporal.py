"""How client, worker and replayer agree on Temporal: converter, sandbox, task queue, search attributes."""

import dataclasses

from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

TASK_QUEUE = "cloud-pc"
"""Task queue of workflows and activities."""

STATUS = SearchAttributeKey.for_keyword("CloudPcStatus")
POLICY_ID = SearchAttributeKey.for_keyword("ProvisioningPolicyId")
USER_ID = SearchAttributeKey.for_keyword("CloudPcUserId")
COMPUTER_NAME = SearchAttributeKey.for_keyword("CloudPcName")
SERVICE_PLAN = SearchAttributeKey.for_keyword("ServicePlan")
WARNINGS = SearchAttributeKey.for_keyword_list("CloudPcWarnings")
"""Steps that ended in a warning, or the one that failed."""

SEARCH_ATTRIBUTES: dict[str, str] = {
    STATUS.name: "Keyword",
    POLICY_ID.name: "Keyword",
    USER_ID.name: "Keyword",
    COMPUTER_NAME.name: "Keyword",
    SERVICE_PLAN.name: "Keyword",
    WARNINGS.name: "KeywordList",
}
"""Search attributes that the namespace must have, with their type. They are never encrypted: no names of people."""


def _sandbox(runner: WorkflowRunner | None) -> WorkflowRunner:
    if not isinstance(runner, SandboxedWorkflowRunner):
        raise TypeError(f"workflows run in the sandbox, not in {type(runner).__name__}")
    # Our own pure modules need not be imported anew for every workflow run.
    restrictions = runner.restrictions.with_passthrough_modules("models", "activities", "workflows")
    return dataclasses.replace(runner, restrictions=restrictions)


PLUGIN = SimplePlugin("cloud-pc", data_converter=pydantic_data_converter, workflow_runner=_sandbox)
"""Given to the client, from which workers inherit it, and to a replayer."""


async def connect() -> Client:
    """Connect as `TEMPORAL_*` variables or the profile in `temporal.toml` say, as the CLI does.

    Raises:
        RuntimeError: The server cannot be reached or refuses.

    """
    return await Client.connect(**ClientConfig.load_client_connect_config(), plugins=[PLUGIN])

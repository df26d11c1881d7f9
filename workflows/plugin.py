"""How client, worker and replayer agree on Temporal: converter, sandbox and task queue."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, Self

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import SerializationContext, WorkflowSerializationContext
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from models.base import WorkflowInput

TASK_QUEUE = "cloud-pc"
"""Task queue of workflows; those of the services' activities begin with it."""


def _sandbox(runner: WorkflowRunner | None) -> WorkflowRunner:
    if not isinstance(runner, SandboxedWorkflowRunner):
        raise TypeError(f"workflows run in the sandbox, not in {type(runner).__name__}")
    # Our own pure modules need not be imported again for every workflow run. What the sandbox would see in them, the
    # linter forbids, and the replay tests run with the workflows inside it.
    restrictions = runner.restrictions.with_passthrough_modules("models", "domain", "contract", "workflows")
    return dataclasses.replace(runner, restrictions=restrictions)


class _PayloadConverter(PydanticPayloadConverter):
    """Hands a workflow's input that cannot be decoded on to `messages.required`, undecoded.

    An error here would fail the workflow task, and the server would try that again for ever.
    """

    _is_of_workflow = False

    def with_context(self, context: SerializationContext) -> Self:
        """Return the converter of a workflow's or an activity's payloads."""
        is_of_workflow = isinstance(context, WorkflowSerializationContext)
        if is_of_workflow == self._is_of_workflow:
            # The SDK asks for each payload of each task several times, and copies all it has for a new converter.
            return self
        made = copy.copy(self)
        made._is_of_workflow = is_of_workflow
        return made

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode payloads."""
        if self._is_of_workflow and len(payloads) > 1 and not type_hints:
            # The types are left out where their number is another: every handler takes one input.
            return [RawValue(Payload())]
        try:
            return super().from_payloads(payloads, type_hints)
        except (ValidationError, KeyError, RuntimeError):
            if type_hints and issubclass(type_hints[0], WorkflowInput):
                return [RawValue(payloads[0])]
            raise


PLUGIN = SimplePlugin(
    "cloud-pc",
    data_converter=dataclasses.replace(pydantic_data_converter, payload_converter_class=_PayloadConverter),
    workflow_runner=_sandbox,
)
"""Given to the client, from which workers inherit it, and to a replayer."""

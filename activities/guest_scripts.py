"""The steps that only run a file in the guest: the row says which, and the file lies with the steps of its stage."""

from collections.abc import Callable, Coroutine
from typing import Any

from cloud.arm.run_commands import GuestScripts, script_text
from cloud.clients import CloudClients
from contract.activity import CloudPcInput, GuestScript, StepResult
from contract.steps import GUEST_SCRIPTS
from models.cloud_pc import Stage

_FOLDERS = {Stage.POST_PROVISIONING: "activities.post_provisioning", Stage.REMOTE_ACTION: "activities.remote_actions"}


class GuestScriptSteps:
    """Serves every row that `contract.activity.guest_script` makes."""

    def __init__(self, clients: CloudClients) -> None:
        self._scripts = GuestScripts(clients)

    def activities(self) -> list[Callable[..., Coroutine[Any, Any, Any]]]:
        """Return the activities of the rows."""
        return [self._activity_of(step) for step in GUEST_SCRIPTS]

    def _activity_of(self, step: GuestScript) -> Callable[..., Coroutine[Any, Any, Any]]:
        script = script_text(_FOLDERS[step.stage], f"{step.name}.ps1")

        async def run(request: CloudPcInput) -> StepResult:
            return StepResult(detail=await self._scripts.run(request.cloud_pc, step.activity_id, script))

        return step.served_by(run)

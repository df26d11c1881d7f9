"""How a PowerShell script is run in a guest: by managed Run Command, one resource a script."""

from datetime import timedelta
from importlib import resources
from typing import Any

from azure.core.polling import AsyncLROPoller
from temporalio.exceptions import ApplicationError

from cloud.arm.operations import complete, discard, found, remove
from cloud.clients import CloudClients
from cloud.errors import not_yet
from contract.error_catalogue import find
from contract.errors import FailureDetails
from models.cloud_pc import CloudPcReference
from models.validation import bounded

_TIMEOUT_IN_SECONDS = 600
_RUNS = 3
"""A script that fails so often has failed for good; what is no script's fault is retried longer."""
_REVISION, _RUN = "revision", "run"
"""Tags of a run command; the second is the number of this run, from 1: attempts end for other reasons too."""


class GuestScripts:
    """Runs script files in a Cloud PC's Windows and reads what came of them.

    Azure allows 25 run commands a VM, and 12 changes to a VM refilled by 4 a minute, which run commands
    and their removal share with extensions. The seven steps, the extension and the agent's installation
    fit; so the commands are removed later, all together.
    Source: https://learn.microsoft.com/azure/virtual-machines/windows/run-command-managed
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval

    async def run(
        self,
        cloud_pc: CloudPcReference,
        command: str,
        script: str,
        *,
        parameters: dict[str, str] | None = None,
        secrets: dict[str, str] | None = None,
        revision: str = "",
        remedy: str | None = None,
    ) -> str:
        """Run a script and return what it wrote, in one bounded line.

        A command that succeeded already is not run again; one that failed, or that ran with another
        revision, is removed and run again.

        Args:
            cloud_pc: Where to run it.
            command: Name of the run command resource.
            script: The script's text.
            parameters: The script's parameters.
            secrets: Parameters that Azure keeps to itself.
            revision: Tells runs with different secrets apart, which Azure does not show; no secret itself.
            remedy: What the admin can do when the script fails, where it is not the catalogue's.

        Raises:
            ApplicationError: `GuestScriptFailed` with the guest's own error text.

        """
        commands, group = self._of(cloud_pc)
        ids = (group, cloud_pc.computer_name, command)
        body = _body(cloud_pc, script, parameters or {}, secrets or {}, revision)

        async def begin() -> AsyncLROPoller[Any] | None:
            state, run = await _state(commands, ids, revision)
            match state:
                case "Succeeded":
                    return None
                case "Failed" | "TimedOut":
                    run += 1
                    await discard(commands, ids)
                case "Canceled" | "Outdated" | "NotMade":
                    await discard(commands, ids)
                case "Missing":
                    pass
                case _:
                    raise not_yet(f"the run command {command} is {state}", self._poll_interval)
            return await commands.begin_create_or_update(*ids, {**body, "tags": {**body["tags"], _RUN: str(run)}})

        async def resume(token: str) -> AsyncLROPoller[Any]:
            return await commands.begin_create_or_update(*ids, {}, continuation_token=token)

        await complete("/".join(ids), resume=resume, begin=begin, poll_interval=self._poll_interval)
        # The provisioning state says only that the script was started.
        command_run = await _get(commands, ids)
        view = command_run.properties.instance_view
        if view.execution_state != "Succeeded" or view.exit_code != 0:
            text: str = view.error or view.output or view.execution_message or "the script wrote nothing"
            raise ApplicationError(
                bounded(text),
                FailureDetails(remedy=remedy or find("GuestScriptFailed").remedy),
                type="GuestScriptFailed",
                non_retryable=_run(command_run) >= _RUNS,
                next_retry_delay=timedelta(seconds=self._poll_interval),
            )
        return bounded(view.output or "")

    async def remove(self, cloud_pc: CloudPcReference) -> int:
        """Remove every run command of the Cloud PC's machine and return how many there were."""
        commands, group = self._of(cloud_pc)
        names = [
            command.name
            async for command in commands.list_by_virtual_machine(group, cloud_pc.computer_name)
            if command.name
        ]
        for name in names:
            ids = (group, cloud_pc.computer_name, name)
            await remove(commands, ids, poll_interval=self._poll_interval, owner=None)
        return len(names)

    def _of(self, cloud_pc: CloudPcReference) -> tuple[Any, str]:
        """Return the run command operations of the Cloud PC's subscription, and its resource group."""
        group = self._groups.get(cloud_pc.resource_group_id)
        return group.compute.virtual_machine_run_commands, group.name


async def _get(commands: Any, ids: tuple[str, str, str]) -> Any:
    return await commands.get_by_virtual_machine(*ids, expand="instanceView")


async def _state(commands: Any, ids: tuple[str, str, str], revision: str) -> tuple[str, int]:
    """Return how a run command is, and the number of its run."""
    existing = await found(_get(commands, ids))
    if existing is None:
        return "Missing", 1
    run = _run(existing)
    if existing.properties.provisioning_state in ("Failed", "Canceled"):
        return "NotMade", run
    view = existing.properties.instance_view
    if view is None or view.execution_state in ("Pending", "Running", "Unknown"):
        return "Running", run
    tags: dict[str, str] = existing.tags or {}
    if tags.get(_REVISION, "") != revision:
        return "Outdated", run
    return "Failed" if view.execution_state == "Succeeded" and view.exit_code else view.execution_state, run


def _run(command: Any) -> int:
    tags: dict[str, str] = command.tags or {}
    return int(tags.get(_RUN, "1"))


def script_text(package: str, name: str) -> str:
    """Return the text of a script file that lies beside the modules of `package`."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _body(
    cloud_pc: CloudPcReference, script: str, parameters: dict[str, str], secrets: dict[str, str], revision: str
) -> dict[str, Any]:
    return {
        "location": cloud_pc.region,
        "tags": {_REVISION: revision} if revision else {},
        "properties": {
            "source": {"script": script},
            "parameters": [{"name": name, "value": value} for name, value in parameters.items()],
            "protectedParameters": [{"name": name, "value": value} for name, value in secrets.items()],
            "timeoutInSeconds": _TIMEOUT_IN_SECONDS,
            "asyncExecution": False,
        },
    }

"""Run commands: PowerShell in the guest, as managed resources and as the older action of a machine.

Sources: learn.microsoft.com/azure/virtual-machines/windows/run-command-managed and run-command
"""

from typing import Any

from aiohttp import web

from simulator.active_directory import ReachedDomain
from simulator.arm.call import Call
from simulator.arm.compute import ComputeResourceType, VirtualMachines, hash_of
from simulator.arm.desktopvirtualization import register_session_host
from simulator.arm.errors import ArmError, invalid_parameter
from simulator.arm.extensions import check_machine_runs, dns_servers, start_enrollment
from simulator.arm.ids import parent_of
from simulator.arm.operations import Operations
from simulator.arm.resource_type import object_in
from simulator.arm.store import Resource
from simulator.cloud import Cloud
from simulator.faults import FaultKind
from simulator.windows.powershell import ScriptResult, run_script

RUN_COMMANDS = "Microsoft.Compute/virtualMachines/runCommands"
LARGEST_NUMBER = 25
"""How many managed run commands a machine can have."""
OUTPUT_BYTES = 4096
"""How much of the end of a script's output and errors is kept."""
SCRIPT_SECONDS = 10
"""How long until a script starts, and again until its end is known: 20 seconds even for an empty one."""


class RunCommands(ComputeResourceType):
    """Managed run commands; those of one machine run side by side."""

    type = RUN_COMMANDS
    create_seconds = SCRIPT_SECONDS
    update_seconds = SCRIPT_SECONDS
    delete_seconds = 5

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the script; the same body again is nothing to do."""
        machine = self.store.get(parent_of(resource.id))
        if machine is None:
            raise ArmError(404, "ParentResourceNotFound", f"The machine of '{resource.id}' could not be found.")
        check_machine_runs(machine)
        if existing is None and len(self.store.children(machine.id, RUN_COMMANDS)) >= LARGEST_NUMBER:
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"The maximum number of managed Run commands (max={LARGEST_NUMBER}, current={LARGEST_NUMBER}) has been "
                "exceeded.",
            )
        properties = resource.properties
        if not object_in(properties, "source").get("script"):
            raise invalid_parameter("source", "The simulated cloud runs 'source.script' only.")
        protected: Any = properties.pop("protectedParameters", None) or []
        secrets = (protected, properties.pop("runAsPassword", None))
        properties.pop("instanceView", None)
        properties.pop("provisioningState", None)
        properties.setdefault("asyncExecution", False)
        properties.setdefault("treatFailureAsDeploymentFailure", False)
        wanted = hash_of([properties, secrets])
        if existing and existing.private["wanted"] == wanted and existing.properties["provisioningState"] != "Failed":
            return False
        given: list[dict[str, Any]] = [*(properties.get("parameters") or []), *protected]
        resource.private["wanted"] = wanted
        resource.private["parameters"] = {str(item["name"]): str(item["value"]) for item in given}
        resource.private["instance_view"] = {"executionState": "Pending", "executionMessage": "", "exitCode": 0}
        resource.private["instance_view"] |= {"output": "", "error": "", "statuses": []}
        return True

    async def finish(self, resource: Resource) -> None:
        """Start the script and, unless it executes asynchronously, wait for its end."""
        view = resource.private["instance_view"]
        view |= {"executionState": "Running", "startTime": self.cloud.clock.timestamp()}
        if resource.properties["asyncExecution"]:
            self.cloud.spawn(self._execute_alone(resource, view))
            return
        await self._execute(resource, view)
        if view["exitCode"] and resource.properties["treatFailureAsDeploymentFailure"]:
            raise ArmError(
                409,
                "VMExtensionProvisioningError",
                f"VM has reported a failure when processing extension '{resource.name}' (publisher "
                "'Microsoft.CPlat.Core' and type 'RunCommandHandlerWindows'). Error message: 'Finished "
                "executing command. Exit code "
                f"{view['exitCode']}: {view['error']}'.",
            )

    async def _execute_alone(self, resource: Resource, view: dict[str, Any]) -> None:
        try:
            await self._execute(resource, view)
        except ArmError as error:
            self.failed(resource, error)

    async def _execute(self, resource: Resource, view: dict[str, Any]) -> None:
        await self.cloud.clock.sleep(SCRIPT_SECONDS)
        machine = self.store.get(parent_of(resource.id))
        states = [r.properties["provisioningState"] for r in (resource, machine) if r]
        if machine is None or "Deleting" in states or resource.private["instance_view"] is not view:
            view |= {"executionState": "Canceled", "endTime": self.cloud.clock.timestamp()}
            return
        script = resource.properties["source"]["script"]
        result = run_in_guest(self.cloud, machine, script, resource.private["parameters"])
        if self.cloud.faults.strikes(FaultKind.SCRIPT_FAILS, resource.id):
            # At its end: what it did is done, and a second run finds it so.
            result = ScriptResult(exit_code=1, output="", error="The script failed by the simulator's fault plan.")
        state = "Failed" if result.exit_code else "Succeeded"
        failure = f"RunCommand script execution failed with exit code {result.exit_code}"
        view |= {
            "executionState": state,
            "executionMessage": failure if result.exit_code else "RunCommand script execution completed",
            "exitCode": result.exit_code,
            "output": _end_of(result.output),
            "error": _end_of(result.error),
            "endTime": self.cloud.clock.timestamp(),
        }

    def failed(self, resource: Resource, error: ArmError) -> None:
        """Show a script that did not run to its end as failed."""
        view = resource.private["instance_view"]
        if view["executionState"] in ("Pending", "Running"):
            view |= {"executionState": "Failed", "executionMessage": error.message, "exitCode": -1}
            view["endTime"] = self.cloud.clock.timestamp()

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the run command, on demand with its instance view."""
        if call is None or "instanceview" not in call.query.get("$expand", "").lower():
            return resource.body
        properties = {**resource.properties, "instanceView": resource.private["instance_view"]}
        return {**resource.body, "properties": properties}

    async def delete(self, call: Call, resource_id: str) -> web.Response:
        """Delete a run command and terminate its script."""
        resource = self.store.get(resource_id)
        if resource and resource.operation and resource.properties["provisioningState"] != "Deleting":
            self.operations.preempt(resource)
        return await super().delete(call, resource_id)

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the run command and its machine."""
        machine = self.store.get(parent_of(resource_id))
        return [*super().locks(resource_id), *([machine] if machine else [])]


class RunCommandAction:
    """The older run command: `POST .../runCommand`, one at a time on a machine."""

    def __init__(self, cloud: Cloud, operations: Operations, machines: VirtualMachines) -> None:
        self._cloud = cloud
        self._operations = operations
        self._machines = machines
        machines.actions["runcommand"] = self.post

    async def post(self, machine: Resource, call: Call) -> web.Response:
        """Begin to run a script on a machine."""
        self._machines.refuse_while_busy(machine.id, call)
        check_machine_runs(machine)
        if call.body.get("commandId") != "RunPowerShellScript":
            raise ArmError(
                404, "NotFound", f"The run command '{call.body.get('commandId')}' was not found.", target="commandId"
            )
        if machine.private.get("run_command"):
            raise ArmError(
                409,
                "Conflict",
                "Run command extension execution is in progress. Please wait for completion before invoking a run "
                "command.",
            )
        lines: list[str] = call.body.get("script") or []
        given: list[dict[str, Any]] = call.body.get("parameters") or []

        async def work() -> dict[str, Any]:
            machine.private["run_command"] = False
            parameters = {str(item["name"]): str(item["value"]) for item in given}
            result = run_in_guest(self._cloud, machine, "\n".join(lines), parameters)
            return {"value": [_component("StdOut", result.output), _component("StdErr", result.error)]}

        def failed(error: ArmError) -> None:
            machine.private["run_command"] = False

        machine.private["run_command"] = True
        path = self._machines.operations_path(machine)
        seconds = 2 * SCRIPT_SECONDS
        operation = self._operations.begin(call, machine, seconds, work, failed, path=path, exclusive=False)
        return web.Response(status=202, headers=self._operations.headers(operation, monitor=True))


def run_in_guest(cloud: Cloud, machine: Resource, script: str, parameters: dict[str, str]) -> ScriptResult:
    """Run a script in a machine's guest and let its agents, of Azure Virtual Desktop and Intune, do their part.

    Raises:
        ArmError: There is no guest any more.

    """
    guest = cloud.guests.get(machine.id.lower())
    if guest is None or machine.private.get("power_state") != "running":
        raise ArmError(
            409,
            "VMAgentStatusCommunicationError",
            f"VM '{machine.name}' has not reported status for VM agent or extensions. Verify that the OS is up and "
            "healthy, the VM has a running VM agent, and that it can establish outbound connections to Azure storage.",
        )
    domain = ReachedDomain(cloud.active_directory, guest, dns_servers(cloud.resources, machine))
    result = run_script(guest, script, parameters, domain)
    register_session_host(cloud, machine, guest)
    start_enrollment(cloud, guest)
    return result


def _end_of(text: str) -> str:
    return text.encode()[-OUTPUT_BYTES:].decode(errors="ignore")


def _component(stream: str, text: str) -> dict[str, Any]:
    return {
        "code": f"ComponentStatus/{stream}/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": _end_of(text),
    }

"""The one kind of long-running operation that every resource type uses.

Source: learn.microsoft.com/azure/azure-resource-manager/management/async-operations
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.errors import ArmError
from simulator.arm.operation import Operation
from simulator.arm.store import Resource
from simulator.cloud import Cloud
from simulator.fault_rules import IN_GUEST
from simulator.faults import Fault, FaultKind

RETRY_AFTER_SECONDS = 10
"""How long clients are asked to wait between polls: the least that the resource provider contract allows."""

Work = Callable[[], Awaitable[dict[str, Any] | None]]


class Operations:
    """Begins operations, lets them take their time, and tells clients how far they are.

    Attributes:
        by_id: Every operation ever begun, by its id.

    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.by_id: dict[str, Operation] = {}
        self._by_resource: dict[str, list[Operation]] = {}

    def begin(
        self,
        call: Call,
        resource: Resource,
        seconds: float,
        work: Work,
        failed: Callable[[ArmError], None],
        *,
        path: str,
        exclusive: bool = True,
    ) -> Operation:
        """Begin an operation.

        Args:
            call: The request that begins it.
            resource: What it works on.
            seconds: How long the real service takes before the effect.
            work: Brings the effect about; what it returns, the operation's `Location` answers. It may raise `ArmError`.
            failed: Told when the operation fails, in place of the effect or after it.
            path: Where it is read, without its id.
            exclusive: Whether the resource counts as busy meanwhile.

        """
        operation_id = self._cloud.new_id("operation")
        operation = Operation(
            id=operation_id,
            resource_id=resource.id,
            path=f"{path}/{operation_id}",
            api_version=call.api_version,
            start_time=self._cloud.clock.timestamp(),
            entry=call.entry,
        )
        operation.entry.operation = operation.status
        others = self._by_resource.setdefault(resource.id.lower(), [])
        operation.entry.overlaps = next((other.entry.sequence for other in others if other.is_running), None)
        others.append(operation)
        self.by_id[operation_id] = operation
        if exclusive:
            resource.operation = operation
        fault = self._cloud.faults.take(call.method, call.path, "operation")
        if fault and fault.how == "gone":
            operation.gone, fault = True, None
        is_silent = bool(IN_GUEST.search(call.path)) and self._cloud.faults.strikes(FaultKind.AGENT_SILENT, call.path)
        self._cloud.spawn(self._run(operation, resource, seconds, work, failed, fault, is_silent=is_silent))
        return operation

    async def _run(
        self,
        operation: Operation,
        resource: Resource,
        seconds: float,
        work: Work,
        failed: Callable[[ArmError], None],
        fault: Fault | None,
        *,
        is_silent: bool,
    ) -> None:
        await self._cloud.clock.sleep(seconds)
        if is_silent:
            await self._cloud.faults.until_stopped()
        if not operation.is_running:
            return
        is_canceled = fault is not None and fault.how == "canceled"
        try:
            if is_canceled:
                raise ArmError(409, "OperationPreempted", "The operation was canceled.")
            if fault:
                raise ArmError(fault.status, fault.code, fault.message)
            output = await work()
        except ArmError as error:
            if operation.is_running:
                failed(error)
                self._end(operation, resource, "Canceled" if is_canceled else "Failed", error)
        else:
            if operation.is_running:
                operation.output = output
                self._end(operation, resource, "Succeeded")

    def preempt(self, resource: Resource) -> None:
        """End the operation under way on a resource, for a newer one takes its place."""
        if resource.operation is not None:
            message = "Operation execution has been preempted by a more recent operation."
            self._end(resource.operation, resource, "Canceled", ArmError(409, "OperationPreempted", message))

    def _end(self, operation: Operation, resource: Resource, status: str, error: ArmError | None = None) -> None:
        operation.status = operation.entry.operation = status
        operation.error = error
        operation.end_time = operation.entry.end_time = self._cloud.clock.timestamp()
        if resource.operation is operation:
            resource.operation = None

    def headers(self, operation: Operation, *, status: bool = True, monitor: bool = False) -> dict[str, str]:
        """Return the headers that lead a client to an operation.

        Args:
            operation: The operation.
            status: Whether to give the address of its status, `Azure-AsyncOperation`.
            monitor: Whether to give the address of its result, `Location`.

        """
        address = f"{self._cloud.base_url}{operation.path}?"
        version = f"api-version={operation.api_version}"
        headers = self._cloud.clock.retry_after(RETRY_AFTER_SECONDS)
        if status:
            headers["Azure-AsyncOperation"] = f"{address}{version}"
        if monitor:
            headers["Location"] = f"{address}monitor=true&{version}"
        return headers

    def answer(self, operation_id: str, *, monitor: bool) -> web.Response:
        """Answer a poll: the operation's status or, with `monitor`, its result once it is there.

        Raises:
            ArmError: 404, there is no such operation; or, for its result, how it failed.

        """
        operation = self.by_id.get(operation_id.lower())
        if operation is None or operation.gone:
            raise ArmError(404, "NotFound", f"The operation '{operation_id}' was not found.")
        if not monitor:
            headers = self._cloud.clock.retry_after(RETRY_AFTER_SECONDS) if operation.is_running else {}
            return web.json_response(_status(operation), headers=headers)
        if operation.is_running:
            return web.Response(status=202, headers=self.headers(operation, status=False, monitor=True))
        if operation.error:
            raise operation.error
        if operation.output is None:
            return web.Response(status=204)
        return web.json_response(operation.output)


def _status(operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": operation.id,
        "startTime": operation.start_time,
        "status": operation.status,
    }
    if operation.end_time:
        body["endTime"] = operation.end_time
    if operation.error:
        body["error"] = operation.error.as_json()
    if operation.output is not None:
        body["properties"] = {"output": operation.output}
    return body

"""What all resource types have in common: reading, writing, deleting and listing one of them."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.errors import ArmError, not_found
from simulator.arm.ids import Address, parent_of, part_of
from simulator.arm.operations import Operations
from simulator.arm.store import Resource
from simulator.cloud import Cloud
from simulator.ledger import LedgerEntry

Action = Callable[[Resource, Call], Awaitable[web.Response]]

_WRITABLE = ("location", "tags", "zones", "identity", "sku", "plan", "kind", "managedBy", "properties")


class ResourceType:
    """The rules of one resource type. As they stand here they are those of the plainest one.

    A type overrides what is different about it; `write` is where its validation and its defaults live.

    Attributes:
        type: Full type, such as `Microsoft.Compute/virtualMachines`.
        is_tracked: Whether it has a location and tags, and is found by the generic listing.
        create_seconds: How long the real service takes to create one; None: it is done when the PUT is answered.
        update_seconds: How long it takes to update one; None as above.
        delete_seconds: How long it takes to delete one; None as above.
        creating_state: Its `provisioningState` meanwhile.
        created_status: HTTP status of a PUT that creates.
        updated_status: HTTP status of a PUT that updates.
        actions: What can be POSTed to a resource, by name in lower case.

    """

    type: ClassVar[str]
    is_tracked: ClassVar[bool] = True
    create_seconds: ClassVar[float | None] = None
    update_seconds: ClassVar[float | None] = None
    delete_seconds: ClassVar[float | None] = None
    creating_state: ClassVar[str] = "Creating"
    created_status: ClassVar[int] = 201
    updated_status: ClassVar[int] = 200

    def __init__(self, cloud: Cloud, operations: Operations) -> None:
        self.cloud = cloud
        self.store = cloud.resources
        self.operations = operations
        self.actions: dict[str, Action] = {}

    # What a type may override.

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Validate a resource that is to be and fill in what the service adds; runs before anything is stored.

        Args:
            resource: The resource as the request wants it; filled in by this method. It becomes `existing`
                or the new resource when this method returns.
            existing: The resource as it is, or None when it does not exist yet.
            call: The request.

        Returns:
            Whether there is anything to do; if not, the resource stays as it is.

        Raises:
            ArmError: The service refuses. Nothing has been changed then.

        """
        return True

    async def finish(self, resource: Resource) -> None:
        """Bring about what a create or an update brings about at its end. May raise `ArmError`: it fails then."""

    def failed(self, resource: Resource, error: ArmError) -> None:
        """Leave a resource as a failed create or update leaves it."""

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Raise `ArmError` when a resource must not be deleted now."""

    def removed(self, resource: Resource) -> None:
        """Undo what a resource meant to others; it and all below it have just been removed."""

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return a resource as a request reads it; without one, as another resource shows it."""
        return resource.body

    def busy(self, resource: Resource, call: Call) -> ArmError:
        """Return how the service refuses a request because of the operation under way on a resource."""
        return ArmError(
            409, "AnotherOperationInProgress", f"Another operation on resource '{resource.id}' is in progress."
        )

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the resources whose operations stand in the way of writing to or deleting one."""
        resource = self.store.get(resource_id)
        return [resource] if resource else []

    # What they have in common.

    async def put(self, call: Call, resource_id: str) -> web.Response:
        """Create or update a resource."""
        existing = self.store.get(resource_id)
        return self._write(call, resource_id, existing, call.body)

    def seed(self, resource_id: str, body: dict[str, Any]) -> None:
        """Make a resource that has always been there: without a request, its ledger entry and its delay."""
        entry = LedgerEntry(0, "", "PUT", resource_id)
        call = Call("PUT", resource_id, Address.parse(resource_id), {}, {}, body, entry)
        resource = self._wanted(resource_id, None, body)
        self.write(resource, None, call)
        resource.properties["provisioningState"] = "Succeeded"
        self.store.add(resource)

    async def patch(self, call: Call, resource_id: str) -> web.Response:
        """Update a resource by what is to be different about it."""
        existing = self.existing(resource_id)
        return self._write(call, resource_id, existing, merged(existing.body, call.body))

    async def get(self, call: Call, resource_id: str) -> web.Response:
        """Read a resource."""
        return web.json_response(self.view(self.existing(resource_id), call))

    async def delete(self, call: Call, resource_id: str) -> web.Response:
        """Delete a resource; one that does not exist is deleted already."""
        resource = self.store.get(resource_id)
        if resource is None:
            return web.Response(status=204)
        self.refuse_while_busy(resource.id, call)
        self.check_delete(resource, call)
        call.entry.effect = "deleted"
        if self.delete_seconds is None:
            self.remove(resource)
            return web.Response(status=200)

        async def work() -> None:
            self.remove(resource)

        resource.properties["provisioningState"] = "Deleting"
        return self.accepted(call, resource, self.delete_seconds, work)

    async def post(self, call: Call, resource_id: str, action: str) -> web.Response:
        """Let a resource do something."""
        resource = self.existing(resource_id)
        handler = self.actions.get(action.lower())
        if handler is None:
            raise ArmError(404, "InvalidResourceType", f"The resource type '{self.type}' has no action '{action}'.")
        call.entry.effect = "invoked"
        return await handler(resource, call)

    def existing(self, resource_id: str) -> Resource:
        """Return the resource of an id.

        Raises:
            ArmError: 404, it does not exist.

        """
        resource = self.store.get(resource_id)
        if resource is None:
            names = "/".join(resource_id.rsplit("/providers/", 1)[-1].split("/")[2::2])
            raise not_found(f"{self.type}/{names}", part_of(resource_id, "resourceGroups"))
        return resource

    def refuse_while_busy(self, resource_id: str, call: Call) -> None:
        """Raise `ArmError` while an operation is under way that stands in the way."""
        for resource in self.locks(resource_id):
            if resource.operation:
                raise self.busy(resource, call)

    def remove(self, resource: Resource) -> None:
        """Remove a resource with all below it, at once."""
        self.store.remove(resource.id)
        self.removed(resource)

    def accepted(
        self, call: Call, resource: Resource, seconds: float, work: Callable[[], Awaitable[dict[str, Any] | None]]
    ) -> web.Response:
        """Begin an operation that answers 202 and leaves a failed resource when it fails."""

        def failed(error: ArmError) -> None:
            resource.properties["provisioningState"] = "Failed"

        operation = self.operations.begin(call, resource, seconds, work, failed, path=self.operations_path(resource))
        return web.Response(status=202, headers=self.operations.headers(operation, monitor=True))

    def operations_path(self, resource: Resource) -> str:
        """Return where the operations on a resource are read."""
        subscription = part_of(resource.id, "subscriptions")
        located = resource
        while not located.location and (parent := self.store.get(parent_of(located.id))):
            located = parent
        namespace = self.type.split("/", 1)[0]
        return f"/subscriptions/{subscription}/providers/{namespace}/locations/{located.location}/operations"

    def _write(self, call: Call, resource_id: str, existing: Resource | None, body: dict[str, Any]) -> web.Response:
        self.refuse_while_busy(resource_id, call)
        resource = self._wanted(resource_id, existing, body)
        if not self.write(resource, existing, call):
            call.entry.effect = "none"
            return web.json_response(self.view(existing or resource, call), status=self.updated_status)
        if existing is None:
            call.entry.effect = "created"
            self.store.add(resource)
            status, state, seconds = self.created_status, self.creating_state, self.create_seconds
        else:
            call.entry.effect = "updated"
            existing.body, existing.private = resource.body, resource.private
            existing.changed = self.cloud.clock.now()
            resource, status, state, seconds = existing, self.updated_status, "Updating", self.update_seconds
        if call.method == "PATCH":
            status = 200
        if seconds is None:
            return web.json_response(self.view(resource, call), status=status)

        async def work() -> None:
            await self.finish(resource)
            resource.properties["provisioningState"] = "Succeeded"

        def failed(error: ArmError) -> None:
            resource.properties["provisioningState"] = "Failed"
            self.failed(resource, error)

        resource.properties["provisioningState"] = state
        operation = self.operations.begin(call, resource, seconds, work, failed, path=self.operations_path(resource))
        headers = self.operations.headers(operation, monitor=status == 202)
        return web.json_response(self.view(resource, call), status=status, headers=headers)

    def _wanted(self, resource_id: str, existing: Resource | None, body: dict[str, Any]) -> Resource:
        properties = object_in(body, "properties")
        wanted = {name: body[name] for name in _WRITABLE if body.get(name) is not None}
        resource = Resource(existing.id if existing else resource_id, self.type, {}, {})
        resource.body = {"id": resource.id, "name": resource.name, "type": self.type, **wanted}
        resource.body["properties"] = dict(properties)
        if existing:
            resource.private = dict(existing.private)
        if self.is_tracked:
            self._locate(resource, existing)
        return resource

    def _locate(self, resource: Resource, existing: Resource | None) -> None:
        location = str(resource.body.get("location", "")).replace(" ", "").lower()
        if not location:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        if location not in self.store.capacity.regions:
            raise ArmError(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{location}' is not available for resource type '{self.type}'. List of "
                f"available regions for the resource type is '{','.join(self.store.capacity.regions)}'.",
            )
        if existing and existing.location != location:
            group = part_of(resource.id, "resourceGroups")
            raise ArmError(
                409,
                "InvalidResourceLocation",
                f"The resource '{resource.name}' already exists in location '{existing.location}' in resource group "
                f"'{group}'. A resource with the same name cannot be created in location '{location}'. Please select "
                "a new resource name.",
            )
        resource.body["location"] = location

    async def list(self, call: Call, below: str) -> web.Response:
        """List the resources below a scope or a parent."""
        return web.json_response(
            {"value": [self.view(resource, call) for resource in self.store.list(self.type, below)]}
        )


def object_in(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object that a JSON object has under a name, an empty one where there is none.

    Raises:
        ArmError: 400, something else is there.

    """
    value: Any = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ArmError(400, "InvalidRequestContent", f"The request content was invalid: '{name}' is no object.")
    return cast(dict[str, Any], value)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return an object changed by a PATCH: objects are merged, all else and the tags are replaced."""
    result = dict(old)
    for name, value in new.items():
        before = result.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and name != "tags":
            result[name] = merged(cast(dict[str, Any], before), cast(dict[str, Any], value))
        else:
            result[name] = value
    return result

"""Everything that exists in Azure Resource Manager, in one generic store."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.arm.capacity import Capacity
from simulator.arm.ids import parent_of
from simulator.arm.operation import Operation


@dataclass(eq=False)
class Resource:
    """One resource of any type.

    Attributes:
        id: ARM id in the case in which it was made.
        type: Full type, such as `Microsoft.Compute/virtualMachines`.
        body: What a GET answers, save what a type adds when it is read.
        private: What no answer shows: hashes of secrets, and what the type remembers for itself.
        operation: The long-running operation under way on it, or None.
        created: When it was made.
        changed: When a request last changed it.

    """

    id: str
    type: str
    body: dict[str, Any]
    private: dict[str, Any] = field(default_factory=dict[str, Any])
    operation: Operation | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def name(self) -> str:
        """The last segment of the id."""
        return self.id.rsplit("/", 1)[-1]

    @property
    def location(self) -> str:
        """The region, or an empty string for a resource without one."""
        return self.body.get("location", "")

    @property
    def properties(self) -> dict[str, Any]:
        """The body's `properties`."""
        return self.body["properties"]


class ResourceStore:
    """All resources by id, ignoring case.

    Attributes:
        capacity: What VM sizes and how much quota the subscription has; tests change it here.
        unregistered: Lower-case namespaces of the resource providers that are not registered.
        roles: Names of the built-in roles that the application holds on the subscription.

    """

    def __init__(self) -> None:
        self.capacity = Capacity()
        self.unregistered: set[str] = set()
        self.roles = {"Contributor", "Role Based Access Control Administrator"}
        self._resources: dict[str, Resource] = {}
        self._by_type: dict[str, dict[str, Resource]] = {}
        self._by_parent: dict[str, dict[str, Resource]] = {}

    def get(self, resource_id: str) -> Resource | None:
        """Return the resource of an id, or None."""
        return self._resources.get(resource_id.lower())

    def add(self, resource: Resource) -> None:
        """Add a new resource."""
        key = resource.id.lower()
        self._resources[key] = resource
        self._by_type.setdefault(resource.type.lower(), {})[key] = resource
        self._by_parent.setdefault(parent_of(key), {})[key] = resource

    def remove(self, resource_id: str) -> list[Resource]:
        """Remove a resource with all below it: children, and assignments that have it as their scope.

        Returns:
            What was removed, outermost first.

        """
        key = resource_id.lower()
        resource = self._resources.pop(key, None)
        if resource is None:
            return []
        del self._by_type[resource.type.lower()][key]
        del self._by_parent[parent_of(key)][key]
        return [resource, *(gone for child in self.children(key) for gone in self.remove(child.id))]

    def children(self, resource_id: str, resource_type: str = "") -> list[Resource]:
        """Return what belongs to a resource directly, all of it or of one full type."""
        children = self._by_parent.get(resource_id.lower(), {}).values()
        return [child for child in children if resource_type.lower() in ("", child.type.lower())]

    def all(self) -> Iterator[Resource]:
        """Yield every resource in the order in which they were made."""
        return iter(self._resources.values())

    def inventory(self) -> dict[str, list[str]]:
        """Return the ARM ids of all resources by full type."""
        types = ([*resources.values()] for resources in self._by_type.values())
        return {resources[0].type: [resource.id for resource in resources] for resources in types if resources}

    def list(self, resource_type: str, below: str = "") -> Iterator[Resource]:
        """Yield the resources of a full type whose ids lie below an id, in the order in which they were made."""
        prefix = f"{below.lower()}/"
        return (r for key, r in self._by_type.get(resource_type.lower(), {}).items() if key.startswith(prefix))

"""ARM ids: what they are made of. They are compared ignoring case and answered as they were stored."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """The path of a request to Azure Resource Manager, taken apart at its last `/providers/`.

    Attributes:
        scope: What stands before: empty, a subscription, a resource group or, for an extension resource
            such as a role assignment, another resource.
        namespace: The resource provider, such as `Microsoft.Compute`, or an empty string.
        segments: What stands behind the provider: types and names in turn, perhaps an action.

    """

    scope: str
    namespace: str
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, path: str) -> "Address":
        """Take a path apart."""
        at = path.lower().rfind("/providers/")
        if at < 0:
            return cls(path.rstrip("/"), "", ())
        namespace, *segments = (part for part in path[at + len("/providers/") :].split("/") if part)
        return cls(path[:at], namespace, tuple(segments))

    @property
    def types(self) -> tuple[str, ...]:
        """The type segments, such as `("virtualMachines", "extensions")`."""
        return self.segments[0::2]

    @property
    def resource_type(self) -> str:
        """The full type in lower case, such as `microsoft.compute/virtualmachines/extensions`."""
        return "/".join((self.namespace, *self.types)).lower()


def part_of(resource_id: str, name: str) -> str:
    """Return what follows the segment `name` in an id, such as the group after `resourceGroups`, or an empty string."""
    parts = resource_id.split("/")
    folded = [part.lower() for part in parts]
    at = folded.index(name.lower()) + 1 if name.lower() in folded else len(parts)
    return parts[at] if at < len(parts) else ""


def parent_of(resource_id: str) -> str:
    """Return the id of what a resource belongs to: its parent resource, the scope it extends, its group."""
    parts = resource_id.split("/")[:-2]
    if len(parts) > 2 and parts[-2].lower() == "providers":
        parts = parts[:-2]
    return "/".join(parts)

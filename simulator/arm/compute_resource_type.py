"""What the types of Microsoft.Compute have in common."""

from typing import Any

from simulator.arm.call import Call
from simulator.arm.errors import ArmError
from simulator.arm.resource_type import ResourceType
from simulator.arm.store import Resource

MACHINES = "Microsoft.Compute/virtualMachines"


class ComputeResourceType(ResourceType):
    """What the types of Microsoft.Compute have in common."""

    def busy(self, resource: Resource, call: Call) -> ArmError:
        """Return the 409 for a request that comes during another operation."""
        what = {"PUT": "Create or update", "PATCH": "Update", "DELETE": "Delete"}.get(call.method, "Action")
        kind = "VM" if resource.type == MACHINES else "resource"
        if resource.properties["provisioningState"] == "Deleting":
            return ArmError(
                409,
                "OperationNotAllowed",
                f"Operation '{what}' is not allowed on {kind} '{resource.name}' since the {kind} is marked for "
                "deletion. You can only retry the Delete operation (or wait for an ongoing one to complete).",
            )
        return ArmError(
            409,
            "OperationNotAllowed",
            f"Operation '{what}' is not allowed on {kind} '{resource.name}' since another operation is in progress.",
        )

    def refuse_nested(self, resource: Resource) -> None:
        """Raise `ArmError` while a resource that is to be deleted has children.

        Source of the message: github.com/Azure/terraform-provider-azapi issue 894
        """
        if children := self.store.children(resource.id):
            names = ", ".join(child.id.rsplit("/providers/", 1)[-1] for child in children)
            raise ArmError(
                409,
                "CannotDeleteResource",
                f"Cannot delete resource while nested resources exist. Some existing nested resource IDs include: "
                f"'{names}'. Please delete all nested resources before deleting this resource.",
            )


def instance_status(code: str, display: str, time: str) -> dict[str, Any]:
    """Return one status of an instance view."""
    level = "Error" if "/failed" in code else "Info"
    return {"code": code, "level": level, "displayStatus": display, "time": time}


def property_change_not_allowed(target: str) -> ArmError:
    """Return the 409 for a property that is fixed when its resource is made."""
    return ArmError(409, "PropertyChangeNotAllowed", f"Changing property '{target}' is not allowed.", target=target)


def other_subscription(referenced: str) -> ArmError:
    """Return the 400 for a body that names a resource of another subscription.

    Source of the message: learn.microsoft.com/azure/service-fabric/how-to-managed-cluster-dedicated-hosts
    """
    return ArmError(400, "BadRequest", f"Entity subscriptionId in resource reference id {referenced} is invalid.")

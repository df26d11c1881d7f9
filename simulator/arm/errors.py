"""Failures as Azure Resource Manager words them."""

from collections.abc import Mapping, Sequence
from typing import Any


class ArmError(Exception):
    """A request, or the long-running operation it began, that failed.

    Attributes:
        status: HTTP status of the answer; not used for a long-running operation.
        code: `error.code`.
        message: `error.message`.
        target: `error.target`, or None.
        details: `error.details`.
        headers: Headers of the answer, such as `Retry-After`.

    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.details = [dict(detail) for detail in details]
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        """Return the error object."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        return error

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        return {"error": self.as_json()}


class TooManyComputeRequests(ArmError):
    """The compute resource provider's 429, which comes without the `error` wrapper.

    Source: learn.microsoft.com/troubleshoot/azure/virtual-machines/troubleshooting-throttling-errors
    """

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        return self.as_json()


def invalid_parameter(target: str, message: str) -> ArmError:
    """Return the 400 for a value in the body that does not do; `target` is its JSON path."""
    return ArmError(400, "InvalidParameter", message, target=target)


def invalid_reference(referenced: str, by: str) -> ArmError:
    """Return the 400 for a body that names a resource which does not exist, by their ARM ids."""
    return ArmError(
        400,
        "InvalidResourceReference",
        f"Resource {referenced} referenced by resource {by} was not found. Please make sure that the referenced "
        "resource exists, and that both resources are in the same region.",
    )


def not_found(type_and_name: str, group: str) -> ArmError:
    """Return the 404 for a missing resource, named as `Microsoft.Compute/virtualMachines/pc1`."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{type_and_name}' under resource group '{group}' was not found. For more details please go "
        "to https://aka.ms/ARMResourceNotFoundFix",
    )

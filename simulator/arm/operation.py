"""What is known of one long-running operation."""

from dataclasses import dataclass
from typing import Any

from simulator.arm.errors import ArmError
from simulator.ledger import LedgerEntry


@dataclass(eq=False)
class Operation:
    """One long-running operation; it stays readable when it is over.

    Attributes:
        id: GUID.
        resource_id: ARM id of what it works on.
        path: Where it is read.
        api_version: The api-version of the request that began it.
        start_time: ISO 8601 UTC.
        entry: The ledger entry of the request that began it.
        status: `InProgress`, `Succeeded`, `Failed` or `Canceled`.
        end_time: ISO 8601 UTC, or None while it is under way.
        error: Why it failed, or None.
        output: What its `Location` answers in the end, or None for no body.
        gone: Whether its record is lost: nobody can read it, though its work goes on.

    """

    id: str
    resource_id: str
    path: str
    api_version: str
    start_time: str
    entry: LedgerEntry
    status: str = "InProgress"
    end_time: str | None = None
    error: ArmError | None = None
    output: dict[str, Any] | None = None
    gone: bool = False

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status == "InProgress"

"""The machines of the resource groups that were read, by which everything else is known to be of a Cloud PC."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.audit import Part
from models.types import ResourceId


@dataclass(frozen=True)
class Machines:
    """Every machine of some resource groups.

    Attributes:
        groups: ARM ids, in lower case, of the groups that were read.
        parts: The machines by their ARM ids in lower case; None for one that is not ours.

    """

    groups: frozenset[str]
    parts: Mapping[str, Part | None]

    def part_of(self, machine_id: str, **facts: Any) -> Part | None:
        """Return something that names a machine as a part of its Cloud PC.

        Args:
            machine_id: ARM id that it names.
            facts: Fields of the part; the machine's own tell the rest.

        Returns:
            The part, or None where the machine is, or may be, somebody else's.

        """
        try:
            id = ResourceId.parse(machine_id)
        except ValueError:
            return None
        kinds = [kind.casefold() for kind, _ in id.parts]
        if kinds != ["virtualmachines"] or id.group_id.casefold() not in self.groups:
            return None
        if machine_id.casefold() not in self.parts:
            return Part(computer_name=id.name, resource_group_id=id.group_id, **facts)
        machine = self.parts[machine_id.casefold()]
        if machine is None:
            return None
        owner: dict[str, Any] = {
            "computer_name": machine.computer_name,
            "resource_group_id": machine.resource_group_id,
            "cloud_pc_id": machine.cloud_pc_id,
            "policy_id": machine.policy_id,
            "user_id": machine.user_id,
        }
        return Part(**{**owner, **facts})

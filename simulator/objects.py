"""Objects of the directory by their id, found by some of their properties as well."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


class Objects(dict[str, Json]):
    """Objects by id, with an index over properties that do not change, so that a tenant may be large.

    Args:
        items: The objects at first.
        indexed: Names of properties that hold a string or a list of strings; case is ignored.

    """

    def __init__(self, items: Iterable[Json] = (), *, indexed: Iterable[str]) -> None:
        super().__init__()
        self._index: dict[str, dict[str, dict[str, Json]]] = {name: {} for name in indexed}
        for item in items:
            self[item["id"]] = item

    def __setitem__(self, id: str, item: Json) -> None:
        """Add an object, or put it in another's place."""
        if id in self:
            del self[id]
        super().__setitem__(id, item)
        for name, found in self._index.items():
            for value in _values(item, name):
                found.setdefault(value, {})[id] = item

    def __delitem__(self, id: str) -> None:
        """Remove an object."""
        item = self[id]
        super().__delitem__(id)
        for name, found in self._index.items():
            for value in _values(item, name):
                del found[value][id]
                if not found[value]:
                    del found[value]

    def is_indexed(self, name: str) -> bool:
        """Tell whether objects are found by a property."""
        return name in self._index

    def by(self, name: str, value: str) -> list[Json]:
        """Return the objects whose indexed property is a value, or holds it."""
        return list(self._index[name].get(value.lower(), {}).values())


def _values(item: Json, name: str) -> set[str]:
    values: list[str] = item[name] if isinstance(item[name], list) else [item[name]]
    return {value.lower() for value in values}

"""Extensions of a virtual machine: what they say of themselves."""

import re
from collections.abc import Iterator
from typing import Any

from cloud.arm.operations import Operations, found

DOMAIN_JOIN = "JsonADDomainExtension"
"""Type, and name on the VM, of the extension that joins a domain."""
_NUMBER = re.compile(r"error\s*code\D{0,4}(\d+)", re.IGNORECASE)


async def instance_view_of(extensions: Operations, ids: tuple[str, ...]) -> Any:
    """Return an extension with its instance view, or None where the machine has none of that name."""
    return await found(extensions.get(*ids, expand="instanceView"))


def words_and_errors(extension: Any) -> tuple[str, list[int]]:
    """Return what an extension says in its instance view, and the Win32 errors in that."""
    words = " ".join(_words(extension.properties.instance_view))
    return words, [int(number) for number in _NUMBER.findall(words)]


def _words(view: Any) -> Iterator[str]:
    """Yield what the statuses of an instance view say."""
    if view is None:
        return
    statuses: list[Any] = [*(view.statuses or []), *(view.substatuses or [])]
    for status in statuses:
        yield f"{status.code or ''} {status.message or ''}".strip()

"""What may come in: anything, and what is nearly right."""

import os
import unicodedata
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("PROPERTY_EXAMPLES_TIMES", "1"))
"""By how much the number of examples is multiplied."""


def examples(count: int) -> Callable[[Any], Any]:
    """Let a test run with so many examples."""
    return settings(max_examples=count * TIMES)


# Made when they are drawn, for they would be long to write out.
LONG_TEXTS = st.sampled_from(["x", "9", "é"]).map(lambda character: character * 5000)
ODD_TEXTS = LONG_TEXTS | st.sampled_from(
    [
        "",
        " ",
        "a\nb",
        "a\x00b",
        "\x1b[31m",
        "a\u2028b",
        "..",
        "../x",
        "a'b",
        'a"b',
        "x'; --",
        "a\\",
        "٥",
        "²",
        "ß" * 40,
        "İ",
        "[/x]",
        "[bold]",
        "%s",
        "{0}",
        "a_b_c\n",
        "1e400",
        "-1",
        "😀",
    ]
)
TEXTS = st.text(max_size=30) | ODD_TEXTS
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.just(400).map(lambda digits: 16**digits)
    | st.floats(width=32)
    | TEXTS
)


def fit_to_print(line: str) -> bool:
    """Tell whether a text is one line, without anything that a terminal would obey or cannot show."""
    return len(line.splitlines()) == 1 and not any(unicodedata.category(c) in ("Cc", "Cs") for c in line)


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
"""Any value that JSON and YAML can hold."""


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where something can be changed in a document."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(found for key, item in inner for found in _paths(item, (*path, key)))]


def _changed(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """Return a copy in which `change` was made to the thing around the end of the path."""
    if not path:
        return value
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        change(copy, path[0])
    else:
        copy[path[0]] = _changed(value[path[0]], path[1:], change)
    return copy


@st.composite
def near_misses(draw: st.DrawFn, documents: list[dict[str, Any]], fields: st.SearchStrategy[str]) -> dict[str, Any]:
    """A document with one thing in it dropped, added, or given another value."""
    document = draw(st.sampled_from(documents))
    path = draw(st.sampled_from(_paths(document)[1:]))
    kind = draw(st.sampled_from(["drop", "retype", "mutate", "add"]))
    value = draw(VALUES)
    name = draw(fields | TEXTS)

    def change(around: Any, key: Any) -> None:
        old = around[key]
        if kind == "drop":
            del around[key]
        elif kind == "add" and isinstance(around, dict):
            around[name] = value
        elif kind == "mutate" and isinstance(old, str):
            place = draw(st.integers(0, len(old)))
            around[key] = old[:place] + draw(ODD_TEXTS | st.characters()) + old[place + draw(st.integers(0, 2)) :]
        else:
            around[key] = value

    return _changed(document, path, change)

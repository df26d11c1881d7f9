"""Our parser of ARM ids reads whatever Azure's own reads, and says so of what is none."""

from collections.abc import Mapping
from typing import Any

import pytest
from azure.mgmt.core.tools import parse_resource_id
from hypothesis import example, given
from hypothesis import strategies as st

from models.types import ResourceId, parent_id, same_id
from tests.properties.strategies import TEXTS, examples

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True).filter(lambda name: name.casefold() != "providers")
CHILDREN = st.lists(st.tuples(st.sampled_from(["extensions", "subnets", "runCommands"]), NAMES), max_size=3)
KINDS = st.sampled_from(["virtualMachines", "disks"])
HEADS = st.sampled_from(["subscriptions", "Subscriptions", "SUBSCRIPTIONS"])
GROUPS = st.sampled_from(["resourceGroups", "resourcegroups", "RESOURCEGROUPS"])


@given(
    head=HEADS,
    groups=GROUPS,
    group=NAMES,
    kind=st.sampled_from(["virtualMachines", "disks"]),
    name=NAMES,
    children=CHILDREN,
)
@examples(300)
@example("subscriptions", "resourceGroups", "rg", "virtualMachines", "PC", [("extensions", "a"), ("subnets", "b")])
def test_an_id_is_read_as_azure_reads_it(
    head: str, groups: str, group: str, kind: str, name: str, children: list[tuple[str, str]]
) -> None:
    below = "".join(f"/{child}/{of}" for child, of in children)
    text = f"/{head}/{SUBSCRIPTION}/{groups}/{group}/providers/Microsoft.Compute/{kind}/{name}{below}"
    theirs: Mapping[str, Any] = parse_resource_id(text)
    ours = ResourceId.parse(text)
    assert (ours.subscription, ours.resource_group) == (theirs["subscription"], theirs["resource_group"])
    assert (ours.provider, ours.parts[0]) == (theirs["namespace"], (theirs["type"], theirs["name"]))
    assert ours.name == theirs["resource_name"]
    assert ours.parts[1:] == tuple(
        (theirs[f"child_type_{number}"], theirs[f"child_name_{number}"]) for number in range(1, len(children) + 1)
    )
    assert same_id(ours.group_id, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}")
    if children:
        assert ResourceId.parse(parent_id(text)).parts == ours.parts[:-1]


@given(TEXTS | st.lists(st.sampled_from(["", "a", "subscriptions", "providers", "resourceGroups"])).map("/".join))
@examples(300)
@example("/subscriptions//resourceGroups/rg")
@example(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/virtualMachines/PC")
@example(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute")
@example("rg")
def test_what_is_no_id_is_refused_in_one_line(text: str) -> None:
    try:
        read = ResourceId.parse(text)
    except ValueError as error:
        assert "is no ARM id" in str(error) and "\n" not in str(error)
    else:
        assert read.subscription or read.parts


@pytest.mark.parametrize(
    ("text", "group", "name"),
    [
        (f"/subscriptions/{SUBSCRIPTION}", "", ""),
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg", "rg", "rg"),
        (f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/role", "", "role"),
        ("/providers/Microsoft.Authorization/roleDefinitions/role", "", "role"),
    ],
)
def test_ids_above_resources(text: str, group: str, name: str) -> None:
    read = ResourceId.parse(text)
    assert (read.resource_group, read.name) == (group, name)

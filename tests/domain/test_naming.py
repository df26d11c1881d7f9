"""Names, ids and tags: each thing has its own, always the same, and in its own Cloud PC's group."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import naming
from models.cloud_pc import CloudPcReference
from models.types import ResourceId
from tests.domain.made import ADA, BOB, GROUP, PROPERTY

WORD = st.from_regex(r"[a-z][a-z0-9]{1,12}", fullmatch=True)
OF_A_COMPUTER = (
    naming.network_interface_name,
    naming.os_disk_name,
    naming.capacity_reservation_group_name,
)
OF_A_POLICY = (naming.host_pool_name, naming.application_group_name, naming.workspace_name)
IDS = {
    naming.virtual_machine_id: ("Microsoft.Compute", "virtualMachines"),
    naming.network_interface_id: ("Microsoft.Network", "networkInterfaces"),
    naming.os_disk_id: ("Microsoft.Compute", "disks"),
}


def reference(user_id: str = ADA.id, policy_id: str = "engineering") -> CloudPcReference:
    """A Cloud PC of a user and a policy."""
    return CloudPcReference(
        cloud_pc_id=naming.cloud_pc_id(policy_id, user_id),
        policy_id=policy_id,
        user_id=user_id,
        computer_name="CPC-ada-00001",
        region="westeurope",
    )


@PROPERTY
@given(WORD, WORD)
def test_a_computers_things_are_told_apart_and_tell_the_computer(one: str, other: str) -> None:
    names = [name(one) for name in OF_A_COMPUTER]
    assert len({one, *names}) == len(names) + 1
    assert all(re.fullmatch(rf"{one}-[a-z]+", name) for name in names)
    assert (one == other) == (names == [name(other) for name in OF_A_COMPUTER])


@PROPERTY
@given(WORD, WORD, WORD)
def test_policies_and_regions_share_nothing(policy: str, region: str, other: str) -> None:
    names = [name(policy, region) for name in OF_A_POLICY]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(rf"[a-z]{{2}}-{policy}-{region}", name) for name in names)
    if other not in (policy, region):
        assert not {name(policy, other) for name in OF_A_POLICY} & set(names)
        assert not {name(other, region) for name in OF_A_POLICY} & set(names)


@pytest.mark.parametrize(("made", "wanted"), IDS.items())
def test_ids_are_what_the_parser_reads(made: Callable[[str, str], str], wanted: tuple[str, str]) -> None:
    provider, kind = wanted
    read = ResourceId.parse(made(GROUP, "CPC-ada-00001"))
    assert read.group_id == GROUP
    assert (read.provider, [kind for kind, _ in read.parts]) == (provider, [kind])
    assert read.name.startswith("CPC-ada-00001")


def test_each_id_ends_with_its_name() -> None:
    name = "CPC-ada-00001"
    assert ResourceId.parse(naming.virtual_machine_id(GROUP, name)).name == name
    assert ResourceId.parse(naming.network_interface_id(GROUP, name)).name == naming.network_interface_name(name)
    assert ResourceId.parse(naming.os_disk_id(GROUP, name)).name == naming.os_disk_name(name)


def test_the_application_groups_id() -> None:
    read = ResourceId.parse(naming.application_group_id(GROUP, "engineering", "westeurope"))
    assert (read.group_id, read.provider) == (GROUP, "Microsoft.DesktopVirtualization")
    assert read.parts == (("applicationGroups", naming.application_group_name("engineering", "westeurope")),)


def test_a_user_has_one_cloud_pc_of_a_policy() -> None:
    assert reference().cloud_pc_id == reference().cloud_pc_id
    ids = {reference(user, policy).cloud_pc_id for user in (ADA.id, BOB.id) for policy in ("engineering", "sales")}
    assert len(ids) == 4


def test_the_tags_tell_whose_it_is_and_that_it_is_ours() -> None:
    tags = naming.tags(reference())
    assert tags[naming.CLOUD_PC_TAG] == reference().cloud_pc_id
    assert tags[naming.USER_TAG] == ADA.id
    assert tags[naming.POLICY_TAG] == "engineering"
    assert tags["managedBy"] == naming.MANAGED_BY
    # What a policy's Cloud PCs share is nobody's alone.
    shared = naming.shared_tags("engineering")
    assert shared.items() < tags.items()
    assert naming.CLOUD_PC_TAG not in shared and naming.USER_TAG not in shared

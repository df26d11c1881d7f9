"""What is judged of the things that exist, and what may be removed of them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import naming
from domain.audit import Inventory, Part, Remains, judge, missing_parts, remains_of
from models.audit import Finding, FindingState, PartKind
from models.azure_network_connection import ActiveDirectoryDomain, SecretReference
from models.cloud_pc import CloudPc, CloudPcStatus
from models.remote_actions import ActionState
from models.types import ResourceId
from tests.domain.made import (
    ADA,
    BOB,
    EARLIER,
    GROUP,
    LATER,
    NOW,
    PROPERTY,
    action,
    cloud_pc,
    fleet,
    inventory,
    part,
    right,
    step,
)

DOMAIN = ActiveDirectoryDomain(
    name="corp.contoso.com",
    username="join@corp.contoso.com",
    password=SecretReference(environment_variable="CLOUD_PC_JOIN"),
    organizational_unit=None,
)
OLD_ENOUGH = timedelta(hours=2)


class TestInProgress:
    """What is being changed, or was while things were read, is not judged."""

    @pytest.mark.parametrize(
        "facts",
        [
            {"status": CloudPcStatus.PROVISIONING},
            {"status": CloudPcStatus.DEPROVISIONING},
            {"remote_actions": (action(ActionState.ACTIVE),)},
            {"remote_actions": (action(ActionState.PENDING),)},
            {"steps": (step(end_date_time=LATER),)},
            {"steps": (step(end_date_time=LATER), step(), step(end_date_time=EARLIER))},
        ],
    )
    def test_it_is(self, facts: dict[str, Any]) -> None:
        pc = cloud_pc(**facts)
        assert fleet(pc).in_progress(pc)

    @pytest.mark.parametrize("facts", [{}, {"steps": (step(),)}, {"steps": (step(end_date_time=NOW), step())}])
    def test_it_is_not(self, facts: dict[str, Any]) -> None:
        pc = cloud_pc(**facts)
        assert not fleet(pc).in_progress(pc)


class TestJudge:
    """`ORPHAN`, `LEFT_OVER` or nothing."""

    def test_what_nobody_owns_is_an_orphan(self) -> None:
        assert judge(fleet(cloud_pc()), part()) == FindingState.ORPHAN
        assert judge(fleet(), right()) == FindingState.ORPHAN

    @pytest.mark.parametrize("status", [CloudPcStatus.PROVISIONED, CloudPcStatus.IN_GRACE_PERIOD])
    def test_what_a_living_one_owns_is_in_order(self, status: CloudPcStatus) -> None:
        pc = cloud_pc(status=status)
        assert judge(fleet(pc), part(computer_name="cpc-ADA-00001")) is None
        assert judge(fleet(pc), part(computer_name="CPC-ada-00001", cloud_pc_id=pc.id)) is None
        assert judge(fleet(pc), right()) is None

    def test_what_an_earlier_machine_of_a_living_one_left_is_an_orphan(self) -> None:
        pc = cloud_pc()
        assert judge(fleet(pc), part(cloud_pc_id=pc.id)) == FindingState.ORPHAN
        assert judge(fleet(pc), right(region="northeurope")) == FindingState.ORPHAN

    def test_what_a_failed_one_has_is_left_over(self) -> None:
        pc = cloud_pc(status=CloudPcStatus.FAILED)
        assert judge(fleet(pc), part(computer_name=pc.computer_name)) == FindingState.LEFT_OVER
        assert judge(fleet(pc), right()) == FindingState.LEFT_OVER

    def test_a_failed_namesake_does_not_make_a_living_ones_things_left_over(self) -> None:
        failed = cloud_pc(id="sales-x", status=CloudPcStatus.FAILED)
        assert judge(fleet(failed, cloud_pc()), part(computer_name=failed.computer_name)) is None

    @pytest.mark.parametrize(
        "facts",
        [
            {"status": CloudPcStatus.PROVISIONING},
            {"status": CloudPcStatus.FAILED, "steps": (step(end_date_time=LATER),)},
        ],
    )
    def test_of_one_in_progress_nothing_is_judged(self, facts: dict[str, Any]) -> None:
        pc = cloud_pc(**facts)
        for found in (part(cloud_pc_id=pc.id), part(computer_name=pc.computer_name), right(region="northeurope")):
            assert judge(fleet(pc, cloud_pc(id="other")), found) is None

    def test_of_a_silent_one_nothing_is_judged(self) -> None:
        silent = {"engineering-x": "CPC-old-00001"}
        assert judge(fleet(silent=silent), part(computer_name="cpc-OLD-00001")) is None
        assert judge(fleet(silent=silent), part(computer_name="CPC-new-00001", cloud_pc_id="engineering-x")) is None
        assert judge(fleet(silent=silent), part(computer_name="CPC-new-00001")) == FindingState.ORPHAN
        # Whose right it is, only those that answer tell.
        assert judge(fleet(silent=silent), right()) is None

    def test_the_tag_says_more_than_the_name(self) -> None:
        namesake = cloud_pc(id="sales-x")
        tagged = part(computer_name=namesake.computer_name, cloud_pc_id="engineering-y")
        owner = cloud_pc(id="engineering-y", computer_name="CPC-new-00002")
        assert fleet(namesake, owner).owners(tagged) == [owner]
        assert judge(fleet(namesake, owner), tagged) == FindingState.ORPHAN
        assert fleet(namesake).owners(tagged) == [namesake]

    def test_a_right_is_its_users_of_its_policy(self) -> None:
        ours = cloud_pc()
        others = (cloud_pc(id="1", policy_id="sales"), cloud_pc(id="2", user=BOB))
        assert fleet(*others, ours).owners(right()) == [ours]
        assert fleet(*others, ours).owners(right(cloud_pc_id="2")) == [others[1]]
        # What has a computer's name is never known by its user alone.
        assert fleet(ours).owners(part(policy_id=ours.policy_id, user_id=ADA.id)) == []


@PROPERTY
@given(
    st.sampled_from(CloudPcStatus),
    st.sampled_from(["", "CPC-ada-00001", "CPC-new-00001"]),
    st.sampled_from([None, f"engineering-{ADA.id}", "else"]),
    st.booleans(),
)
def test_no_living_ones_own_part_is_ever_held_against_it(
    status: CloudPcStatus, name: str, tag: str | None, answers: bool
) -> None:
    pc = cloud_pc(status=status)
    own = pc.computer_name.casefold() == name.casefold() and tag in (None, pc.id)
    known = fleet(pc) if answers else fleet(silent={pc.id: pc.computer_name})
    verdict = judge(known, part(computer_name=name, cloud_pc_id=tag))
    if own and status != CloudPcStatus.FAILED:
        assert verdict is None or status == CloudPcStatus.NOT_PROVISIONED
    if not answers and (tag == pc.id or not name):
        assert verdict is None


class TestMissingParts:
    """What a provisioned Cloud PC should have."""

    PC = cloud_pc()

    def found(self, having: Inventory, pc: CloudPc | None = None) -> list[Finding]:
        return missing_parts(fleet(pc or self.PC), having)

    def kinds(self, having: Inventory, pc: CloudPc | None = None) -> list[PartKind]:
        return [finding.kind for finding in self.found(having, pc)]

    def test_one_that_has_everything_lacks_nothing(self) -> None:
        assert self.found(inventory(self.PC)) == []

    @pytest.mark.parametrize(
        "facts",
        [
            {"status": CloudPcStatus.FAILED},
            {"status": CloudPcStatus.PROVISIONING},
            {"virtual_machine_id": None},
            {"steps": (step(end_date_time=LATER),)},
        ],
    )
    def test_of_one_that_is_not_there_yet_nothing_is_missing(self, facts: dict[str, Any]) -> None:
        assert self.found(Inventory(groups={GROUP.casefold()}), cloud_pc(**facts)) == []

    def test_one_after_it_is_looked_at_all_the_same(self) -> None:
        skipped = cloud_pc(id="1", status=CloudPcStatus.FAILED)
        assert missing_parts(fleet(skipped, self.PC), Inventory())

    @pytest.mark.parametrize("kind", [PartKind.VIRTUAL_MACHINE, PartKind.NETWORK_INTERFACE, PartKind.DISK])
    def test_a_resource_that_is_gone(self, kind: PartKind) -> None:
        having = inventory(self.PC)
        [gone] = [part for part in having.parts if part.kind == kind]
        having.parts.remove(gone)
        [finding] = self.found(having)
        assert (finding.kind, finding.state, finding.detail) == (kind, FindingState.MISSING, "does not exist")
        assert finding.id.casefold() == gone.id.casefold()
        assert (finding.cloud_pc_id, finding.computer_name) == (self.PC.id, self.PC.computer_name)
        # It is for the admin to make it again, and never for the repair.
        assert finding.command == f"starter.py reprovision {self.PC.id}"
        assert finding.kept == "--repair makes nothing"

    def test_in_a_group_that_was_not_read_no_resource_is_missing(self) -> None:
        having = inventory(self.PC)
        having.parts.clear()
        having.groups = {f"{GROUP}-2".casefold()}
        assert self.found(having) == []

    def test_no_session_host(self) -> None:
        having = inventory(self.PC)
        having.assigned_users = {id.replace("/hp-", "/hp2-"): user for id, user in having.assigned_users.items()}
        [finding] = self.found(having)
        assert (finding.kind, finding.state) == (PartKind.SESSION_HOST, FindingState.MISSING)
        assert (finding.id, finding.detail) == (f"{self.PC.host_pool}/{self.PC.session_host}", "the host pool has none")

    @pytest.mark.parametrize(("user", "whom"), [("", "nobody"), ("bob@contoso.com", "bob@contoso.com")])
    def test_a_session_host_of_somebody_else(self, user: str, whom: str) -> None:
        having = inventory(self.PC)
        [host] = having.assigned_users
        having.assigned_users[host] = user
        [finding] = self.found(having)
        assert (finding.kind, finding.state) == (PartKind.ASSIGNED_USER, FindingState.DIFFERENT)
        assert (finding.id, finding.detail) == (host, f"assigned to {whom}")

    def test_the_users_roles(self) -> None:
        having = inventory(self.PC)
        for scope, _ in having.roles:
            lacking = inventory(self.PC)
            lacking.roles.remove((scope, ADA.id))
            lacking.roles.add((scope, BOB.id))
            [finding] = self.found(lacking)
            assert (finding.kind, finding.state) == (PartKind.ROLE_ASSIGNMENT, FindingState.MISSING)
            assert scope.endswith(finding.id)
            assert finding.detail == "the user has no role that lets them sign in there"

    def test_a_hybrid_one_needs_no_role_at_the_machine(self) -> None:
        having = inventory(self.PC)
        having.roles = {role for role in having.roles if "applicationgroups" in role[0]}
        assert self.kinds(having, cloud_pc(join_type="hybridAzureADJoin")) == []
        assert self.kinds(having) == [PartKind.ROLE_ASSIGNMENT]

    @pytest.mark.parametrize("id", [None, "device-ada"])
    def test_no_entra_device(self, id: str | None) -> None:
        pc, having = cloud_pc(entra_device_id=id), inventory(self.PC)
        having.device_ids = {"device-bob"}
        [finding] = self.found(having, pc)
        assert (finding.kind, finding.state) == (PartKind.DEVICE, FindingState.MISSING)
        assert (finding.id, finding.detail) == (id or "", "Entra ID has no such device")

    @pytest.mark.parametrize("id", [None, "managed-ada"])
    def test_no_managed_device(self, id: str | None) -> None:
        pc, having = cloud_pc(managed_device_id=id), inventory(self.PC)
        having.managed, having.primary_users = {"else"}, {}
        [finding] = self.found(having, pc)
        assert (finding.kind, finding.state) == (PartKind.MANAGED_DEVICE, FindingState.MISSING)
        assert (finding.id, finding.detail) == (id or "", "Intune has no such device")

    @pytest.mark.parametrize(("user", "who"), [(None, "nobody"), (BOB.id, BOB.id)])
    @pytest.mark.parametrize("id", [None, "managed-ada"])
    def test_another_primary_user(self, user: str | None, who: str, id: str | None) -> None:
        pc, having = cloud_pc(managed_device_id=id), inventory(self.PC)
        having.primary_users[self.PC.id] = user
        [finding] = self.found(having, pc)
        assert (finding.kind, finding.state) == (PartKind.PRIMARY_USER, FindingState.DIFFERENT)
        assert (finding.id, finding.detail) == (id or "", f"the primary user is {who}")

    def test_what_could_not_be_read_is_not_missing(self) -> None:
        nothing = Inventory(groups={GROUP.casefold()})
        kinds = set(self.kinds(nothing))
        assert len(kinds) == 7
        for kind in kinds:
            assert set(self.kinds(Inventory(groups=nothing.groups, unread={kind}))) == kinds - {kind}


class TestRemains:
    """The orphans of one computer go together, when they may."""

    def of(self, *orphans: Part, living: tuple[CloudPc, ...] = (), foreign: set[str] | None = None) -> list[Remains]:
        return remains_of(fleet(*living), orphans, foreign or set(), NOW, OLD_ENOUGH)

    def test_those_of_one_computer_are_together_in_the_order_of_removal(self) -> None:
        parts = [part(kind, computer_name=name) for kind in (PartKind.DISK, PartKind.VIRTUAL_MACHINE) for name in "ab"]
        parts.append(part(PartKind.NETWORK_INTERFACE, computer_name="A", resource_group_id=GROUP.upper()))
        parts.append(part(computer_name="a", resource_group_id=f"{GROUP}-2", id="another"))
        first, second, third = sorted(self.of(*parts), key=lambda remains: (len(remains.parts), remains.fact("id")))
        assert [each.id for each in first.parts] == ["another"]
        assert [each.kind for each in second.parts] == [PartKind.VIRTUAL_MACHINE, PartKind.DISK]
        assert [each.kind for each in third.parts] == [
            PartKind.VIRTUAL_MACHINE,
            PartKind.NETWORK_INTERFACE,
            PartKind.DISK,
        ]

    def test_old_ones_may_go(self) -> None:
        assert [remains.kept for remains in self.of(part(), right(user_id=BOB.id))] == ["", ""]

    def test_what_is_too_young_keeps_all_that_belongs_to_it(self) -> None:
        exactly, younger = NOW - OLD_ENOUGH, NOW - OLD_ENOUGH + timedelta(seconds=1)
        assert [remains.kept for remains in self.of(part(created=exactly))] == [""]
        [remains] = self.of(part(), part(PartKind.DISK, created=younger))
        assert remains.kept == "it, or what belongs to it, is younger than 120 minutes"

    def test_what_has_an_unknown_age_is_kept(self) -> None:
        [remains] = self.of(part(), part(PartKind.DISK, created=None))
        assert remains.kept == "its age, or that of what belongs to it, is not known"

    def test_without_the_domain_the_computer_account_would_stay(self) -> None:
        [remains] = self.of(part(is_domain_joined=True), part(PartKind.DISK))
        assert remains.kept == ("its computer account is in a domain; give the file of its connection by --connection")
        [remains] = self.of(part(is_domain_joined=True, domain=DOMAIN), part(PartKind.DISK))
        assert remains.kept == ""

    def test_a_disk_of_the_machines_name_that_is_not_ours_keeps_it(self) -> None:
        disk = naming.os_disk_id(GROUP, "CPC-old-00001").casefold()
        [remains] = self.of(part(), foreign={disk})
        assert remains.kept == "a disk of its name is not ours"
        [remains] = self.of(part(), foreign={disk + "2"})
        assert remains.kept == ""

    def test_another_reason_stays_beside_a_disk_that_is_ours(self) -> None:
        [remains] = self.of(part(created=None), foreign={"/else"})
        assert remains.kept

    def test_a_users_right_goes_with_the_machine_of_that_user(self) -> None:
        machine = part(policy_id="engineering", user_id=ADA.id)
        others = (part(computer_name="x", policy_id="engineering", user_id=BOB.id), part(computer_name="y"))
        for order in ([right(), *others, machine], [machine, *others, right()]):
            made = self.of(*order)
            assert len(made) == 3
            [together] = [remains for remains in made if len(remains.parts) == 2]
            assert [each.kind for each in together.parts] == [PartKind.VIRTUAL_MACHINE, PartKind.ROLE_ASSIGNMENT]

    def test_rights_alone_are_together_by_their_cloud_pc(self) -> None:
        made = self.of(right(), right(region="northeurope"), right(user_id=BOB.id))
        assert [(remains.workflow_id, len(remains.parts)) for remains in made] == [
            (naming.cloud_pc_id("engineering", ADA.id), 2),
            (naming.cloud_pc_id("engineering", BOB.id), 1),
        ]

    def test_the_workflow_has_the_cloud_pcs_id_so_that_none_is_started_meanwhile(self) -> None:
        [remains] = self.of(part(), part(PartKind.DISK, cloud_pc_id="engineering-x"))
        assert remains.workflow_id == "engineering-x"

    def test_beside_a_living_one_of_that_id_it_has_its_own(self) -> None:
        living = (cloud_pc(), cloud_pc(id="engineering-x"))
        [remains] = self.of(part(cloud_pc_id="engineering-x"), living=living)
        assert remains.workflow_id == "engineering-x/remains/CPC-old-00001"

    def test_without_a_tag_it_is_known_by_the_computer(self) -> None:
        [remains] = self.of(part(policy_id="engineering", user_id=ADA.id))
        assert remains.workflow_id == "remains/CPC-old-00001"

    def test_they_are_in_order(self) -> None:
        made = self.of(
            *(part(computer_name=name, cloud_pc_id="one") for name in ("c", "a", "b")), part(cloud_pc_id="0")
        )
        assert [(remains.workflow_id, remains.fact("computer_name")) for remains in made] == [
            ("0", "CPC-old-00001"),
            ("one", "a"),
            ("one", "b"),
            ("one", "c"),
        ]

    def test_a_fact_is_the_first_that_is_known(self) -> None:
        [remains] = self.of(part(), part(PartKind.DISK, region="", user_id="u"), part(PartKind.DEVICE, user_id="v"))
        assert (remains.fact("user_id"), remains.fact("scope")) == ("u", "")


@PROPERTY
@given(
    st.lists(
        st.builds(
            part,
            kind=st.sampled_from(PartKind),
            id=st.uuids().map(str),
            computer_name=st.sampled_from(["", "a", "A", "b"]),
            resource_group_id=st.sampled_from([GROUP, GROUP.upper()]),
            cloud_pc_id=st.sampled_from([None, "one", "two"]),
            policy_id=st.sampled_from(["p", "q"]),
            user_id=st.sampled_from(["u", "v"]),
            created=st.sampled_from([None, EARLIER, NOW - timedelta(days=1)]),
        ),
        max_size=8,
    )
)
def test_each_orphan_goes_once_and_nothing_young_or_of_unknown_age_goes(orphans: list[Part]) -> None:
    made = remains_of(fleet(), orphans, set(), NOW, OLD_ENOUGH)
    assert sorted(each.id for remains in made for each in remains.parts) == sorted(each.id for each in orphans)
    for remains in made:
        assert len({each.computer_name.casefold() for each in remains.parts if each.computer_name}) <= 1
        if not remains.kept:
            assert all(each.created and NOW - each.created >= OLD_ENOUGH for each in remains.parts)


def test_what_was_read_in_two_places_is_added_up() -> None:
    def read(name: str) -> Inventory:
        return Inventory(
            parts=[part(id=name)],
            not_checked=[Finding(kind=PartKind.DISK, state=FindingState.NOT_CHECKED, id=name, detail="", command="")],
            unread={PartKind.DISK if name == "a" else PartKind.DEVICE},
            groups={name},
            foreign_disks={name},
            assigned_users={name: "u"},
            primary_users={name: None},
            managed={name},
            device_ids={name},
            roles={(name, "u")},
        )

    both = read("a")
    both.add(read("b"))
    for field, value in vars(both).items():
        assert len(value) == 2, field
    assert {each.id for each in both.parts} == set(both.assigned_users) == set(both.primary_users) == {"a", "b"}


def test_the_builders_ids_are_ones() -> None:
    assert ResourceId.parse(GROUP).group_id == GROUP

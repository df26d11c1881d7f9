"""Who gets a Cloud PC, who keeps it, and who loses it."""

import dataclasses
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import naming
from domain.fleet import INTUNE_PLANS, MAX_ENTRIES, Decision, KnownCloudPc, Member, decide, settings_version
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPcStatus, User
from models.fleet import Change, PlannedChange
from models.provisioning_policy import Assignment, ProvisioningPolicy
from models.service_plan import ServicePlan, ServicePlanCatalogue
from tests.domain.made import ADA, BOB, LATER, PROPERTY

GROUP_ID = "9409d000-0000-4000-8000-000000000001"
LICENSES = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(4)]
INTUNE = min(INTUNE_PLANS)
SETTINGS = "as applied"


def service_plan(id: str, cpus: int = 2, ram: int = 8, storage: int = 128, license: str | None = None) -> ServicePlan:
    return ServicePlan(
        id=id,
        display_name=id,
        service_plan_id=license,
        v_cpu_count=cpus,
        ram_in_gb=ram,
        storage_in_gb=storage,
        vm_sizes=("Standard_D2as_v5",),
    )


SMALL, LARGE = service_plan("small", license=LICENSES[0]), service_plan("large", cpus=4, license=LICENSES[1])
UNLICENSED = service_plan("unlicensed", cpus=64)
PLANS = ServicePlanCatalogue(service_plans=(UNLICENSED, SMALL, LARGE))
ONE_GROUP = Assignment(group_id=GROUP_ID)


def policy(**changes: Any) -> ProvisioningPolicy:
    fields: dict[str, Any] = {
        "id": "engineering",
        "displayName": "Engineering",
        "domainJoinConfigurations": [{"regionName": "westeurope"}],
        "assignments": [{"groupId": GROUP_ID}],
    }
    return ProvisioningPolicy.model_validate(fields | changes)


HYBRID = policy(
    domainJoinConfigurations=[{"domainJoinType": "hybridAzureADJoin", "onPremisesConnectionId": "headquarters"}]
)


def member(user: User = ADA, *licenses: str, **changes: Any) -> Member:
    """Somebody who may have a Cloud PC of a small plan."""
    fields: dict[str, Any] = {
        "user": user,
        "service_plan_ids": frozenset({INTUNE, *(licenses or LICENSES[:1])}),
        "account_enabled": True,
        "is_synchronized": True,
    }
    return Member(**fields | changes)


def known(user: User = ADA, **changes: Any) -> KnownCloudPc:
    """A small Cloud PC that was made because of an assignment, with the settings as they are."""
    fields: dict[str, Any] = {
        "id": naming.cloud_pc_id("engineering", user.id),
        "policy_id": "engineering",
        "user_id": user.id,
        "user_principal_name": user.user_principal_name,
        "status": CloudPcStatus.PROVISIONED,
        "service_plan": SMALL.id,
        "settings": SETTINGS,
        "is_assigned": True,
        "grace_period_end": None,
    }
    return KnownCloudPc(**fields | changes)


def decided(members: list[Member], *pcs: KnownCloudPc, made: ProvisioningPolicy | None = None, **more: Any) -> Decision:
    groups = more.get("groups", [(ONE_GROUP, members)])
    return decide(made or policy(), SETTINGS, more.get("plans", PLANS), groups, pcs)


def only(decision: Decision) -> PlannedChange:
    [change] = decision.changes
    return change


class TestNewcomers:
    """Members without a Cloud PC."""

    def test_one_with_everything_gets_one(self) -> None:
        decision = decided([member()])
        assert decision.create == [(ADA, SMALL)]
        assert only(decision) == PlannedChange(
            change=Change.CREATED,
            user_principal_name=ADA.user_principal_name,
            cloud_pc_id=naming.cloud_pc_id("engineering", ADA.id),
            service_plan=SMALL.id,
        )
        assert not decision.leave and not decision.stay

    @pytest.mark.parametrize(
        ("newcomer", "elsewhere", "why"),
        [
            (member(account_enabled=False), (), "the account is disabled"),
            (member(service_plan_ids=frozenset(LICENSES[:1])), (), "no Intune licence"),
            (member(is_synchronized=False), (), "the account is not synchronised from Active Directory"),
            (member(), (known(policy_id="sales"),), "has a Cloud PC of the policy sales"),
        ],
    )
    def test_an_obstacle_is_named(self, newcomer: Member, elsewhere: tuple[KnownCloudPc, ...], why: str) -> None:
        decision = decided([newcomer], *elsewhere, made=HYBRID)
        assert not decision.create
        change = only(decision)
        assert (change.change, change.reason, change.service_plan) == (Change.NOT_PROVISIONED, why, SMALL.id)
        assert (change.user_principal_name, change.cloud_pc_id) == (
            ADA.user_principal_name,
            naming.cloud_pc_id("engineering", ADA.id),
        )

    def test_only_a_hybrid_join_needs_a_synchronised_account(self) -> None:
        assert decided([member(is_synchronized=False)]).create
        assert decided([member()], made=HYBRID).create

    def test_without_a_licence_they_get_none(self) -> None:
        decision = decided([member(ADA, "else"), member(BOB)])
        assert decision.create == [(BOB, SMALL)]
        [refused] = [change for change in decision.changes if change.change == Change.NOT_PROVISIONED]
        assert refused == PlannedChange(
            change=Change.NOT_PROVISIONED,
            user_principal_name=ADA.user_principal_name,
            cloud_pc_id=naming.cloud_pc_id("engineering", ADA.id),
            reason="no licence of a service plan",
        )

    def test_of_several_licences_the_largest_counts(self) -> None:
        assert decided([member(ADA, *LICENSES)]).create == [(ADA, LARGE)]

    @pytest.mark.parametrize("larger", [{"cpus": 4}, {"ram": 16}, {"storage": 256}])
    def test_the_largest_is_known_by_cores_then_memory_then_disk(self, larger: dict[str, int]) -> None:
        small = service_plan("z", license=LICENSES[2])
        large = service_plan("a", license=LICENSES[3], **larger)
        for order in ((small, large), (large, small)):
            plans = ServicePlanCatalogue(service_plans=order)
            assert decided([member(ADA, *LICENSES[2:])], plans=plans).create == [(ADA, large)]

    def test_cores_count_more_than_memory_and_memory_more_than_disk(self) -> None:
        disk = service_plan("disk", storage=512, license=LICENSES[0])
        memory = service_plan("memory", ram=16, license=LICENSES[1])
        cores = service_plan("cores", cpus=4, license=LICENSES[2])
        plans = ServicePlanCatalogue(service_plans=(disk, memory, cores))
        assert decided([member(ADA, *LICENSES)], plans=plans).create == [(ADA, cores)]
        assert decided([member(ADA, *LICENSES[:2])], plans=plans).create == [(ADA, memory)]

    def test_an_assignment_may_name_the_plan_and_the_first_group_counts(self) -> None:
        named = Assignment(group_id=GROUP_ID, service_plan_id=UNLICENSED.id)
        assert decided([], groups=[(named, [member()]), (ONE_GROUP, [member()])]).create == [(ADA, UNLICENSED)]
        assert decided([], groups=[(ONE_GROUP, [member()]), (named, [member()])]).create == [(ADA, SMALL)]

    def test_whom_one_group_refuses_another_may_take(self) -> None:
        named = Assignment(group_id=GROUP_ID, service_plan_id=UNLICENSED.id)
        without = member(ADA, "else")
        for order in ([(named, [without]), (ONE_GROUP, [without])], [(ONE_GROUP, [without]), (named, [without])]):
            decision = decided([], groups=order)
            assert decision.create == [(ADA, UNLICENSED)]
            assert only(decision).change == Change.CREATED

    def test_who_has_one_already_does_not_keep_the_others_from_theirs(self) -> None:
        decision = decided([member(), member(BOB)], known())
        assert decision.create == [(BOB, SMALL)]
        assert [change.change for change in decision.changes] == [Change.KEPT, Change.CREATED]


class TestThoseThatThereAre:
    """Cloud PCs of the policy."""

    def test_one_that_is_as_it_should_be_is_kept(self) -> None:
        decision = decided([member()], known())
        assert only(decision) == PlannedChange(
            change=Change.KEPT,
            user_principal_name=ADA.user_principal_name,
            cloud_pc_id=known().id,
            service_plan=SMALL.id,
        )
        assert not (decision.create or decision.leave or decision.stay)

    @pytest.mark.parametrize(("hours", "change"), [(0, Change.TAKEN_AWAY), (1, Change.GRACE_PERIOD_STARTED)])
    @pytest.mark.parametrize(
        ("members", "why"),
        [
            ([], "not in the assigned groups any more"),
            ([member(ADA, "else")], "no licence of a service plan"),
            ([member(BOB)], "not in the assigned groups any more"),
        ],
    )
    def test_who_has_left_loses_it(self, hours: int, change: Change, members: list[Member], why: str) -> None:
        decision = decided(members, known(), made=policy(gracePeriodInHours=hours))
        assert decision.leave == [known()] and not decision.stay
        assert (decision.changes[0].change, decision.changes[0].reason) == (change, why)
        assert len([planned for planned in decision.changes if planned.user_principal_name.startswith("ada")]) == 1

    @pytest.mark.parametrize("status", [CloudPcStatus.FAILED, CloudPcStatus.PROVISIONING])
    def test_whatever_its_status(self, status: CloudPcStatus) -> None:
        assert decided([], known(status=status)).leave

    def test_one_in_its_grace_period_goes_on_until_its_end(self) -> None:
        decision = decided([], known(grace_period_end=LATER))
        assert not decision.leave and not decision.stay
        change = only(decision)
        assert (change.change, change.reason) == (Change.IN_GRACE_PERIOD, "until 2026-03-01 12:01 UTC")

    def test_who_is_back_keeps_it(self) -> None:
        pc = known(grace_period_end=LATER)
        decision = decided([member()], pc)
        assert decision.stay == [pc] and not decision.leave
        change = only(decision)
        assert (change.change, change.reason) == (Change.GRACE_PERIOD_CANCELLED, "the user is assigned again")

    def test_one_that_was_made_by_hand_is_nobodys_business(self) -> None:
        pc = known(is_assigned=False)
        decision = decided([], pc)
        assert not decision.leave
        assert (only(decision).change, only(decision).reason) == (Change.KEPT, "provisioned by hand")

    @pytest.mark.parametrize("members", [[], [member()]])
    @pytest.mark.parametrize("end", [None, LATER])
    def test_one_that_is_being_removed_is_left_alone(self, members: list[Member], end: datetime | None) -> None:
        decision = decided(members, known(status=CloudPcStatus.DEPROVISIONING, grace_period_end=end))
        assert not (decision.create or decision.leave or decision.stay)
        assert (only(decision).change, only(decision).reason) == (Change.TAKEN_AWAY, "being removed")

    @pytest.mark.parametrize("settings", ["other", None])
    def test_other_settings_wait_for_a_reprovision(self, settings: str | None) -> None:
        change = only(decided([member()], known(settings=settings, service_plan=LARGE.id)))
        assert change.change == Change.CHANGED_ON_NEXT_REPROVISION
        assert change.reason == "the policy has other settings now"

    def test_another_licence_does_not_resize_it(self) -> None:
        change = only(decided([member()], known(service_plan=LARGE.id)))
        assert change.change == Change.KEPT
        assert change.reason == f"assigned {SMALL.id} now: to change the size, deprovision it"
        assert change.service_plan == LARGE.id

    def test_those_of_other_policies_are_not_touched(self) -> None:
        decision = decided([], known(policy_id="sales"), known(BOB, policy_id="sales", grace_period_end=LATER))
        assert decision == Decision()


class TestPlan:
    """What is shown of a decision."""

    def test_what_is_counted_and_what_is_listed(self) -> None:
        decision = decided([member(), member(BOB, *LICENSES)], known(is_assigned=False), known(BOB, service_plan="?"))
        decision.create = [(ADA, SMALL), (BOB, LARGE), (BOB, LARGE)]
        decision.leave = [known()]
        plan = decision.plan(["a group is empty"])
        assert plan.counts == dict.fromkeys(Change, 0) | {Change.KEPT: 2}
        # Of what is simply kept nothing is said.
        assert [change.user_principal_name for change in plan.changes] == [BOB.user_principal_name]
        assert plan.created == {SMALL.id: 1, LARGE.id: 2}
        assert plan.grace_period_starts == 1
        assert plan.notes == ("a group is empty",)
        assert plan.left_off == 0

    @pytest.mark.parametrize("more", [0, 1, 7])
    def test_a_long_one_is_cut_off_and_says_so(self, more: int) -> None:
        people = [
            member(User(id=f"u{n}", user_principal_name=f"u{n}@contoso.com", display_name="U"))
            for n in range(MAX_ENTRIES + more)
        ]
        plan = decided(people).plan([])
        assert (len(plan.changes), plan.left_off) == (MAX_ENTRIES, more)
        assert plan.counts[Change.CREATED] == MAX_ENTRIES + more


CONNECTION = AzureNetworkConnection.model_validate(
    {
        "id": "headquarters",
        "displayName": "Headquarters",
        "connectionType": "azureADJoin",
        "subnetId": "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg/providers/"
        "Microsoft.Network/virtualNetworks/vnet/subnets/pcs",
    }
)


class TestSettingsVersion:
    """Changes with what shows on the Cloud PC, and with nothing else."""

    VERSION = settings_version(policy(), [CONNECTION])

    @pytest.mark.parametrize(
        "change",
        [
            {"assignments": []},
            {"description": "x"},
            {"gracePeriodInHours": 5},
            {"gracePeriodCeiling": 5},
            {"reconcileIntervalInMinutes": 5},
        ],
    )
    def test_whom_it_is_for_and_how_long_is_no_setting(self, change: dict[str, Any]) -> None:
        assert settings_version(policy(**change), [CONNECTION]) == self.VERSION

    @pytest.mark.parametrize(
        "change",
        [
            {"displayName": "x"},
            {"userAccountType": "administrator"},
            {"enableSingleSignOn": True},
            {"capacityReservation": True},
            {"windowsSetting": {"locale": "de-DE"}},
            {"domainJoinConfigurations": [{"regionName": "northeurope"}]},
        ],
    )
    def test_the_rest_is(self, change: dict[str, Any]) -> None:
        assert settings_version(policy(**change), [CONNECTION]) != self.VERSION

    def test_so_is_the_network(self) -> None:
        other = CONNECTION.model_copy(update={"subnet_id": f"{CONNECTION.subnet_id}2"})
        versions = {
            settings_version(policy(), each)
            for each in ([], [CONNECTION], [other], [CONNECTION, other], [other, CONNECTION])
        }
        assert len(versions) == 5
        assert all(len(version) == 12 and int(version, 16) >= 0 for version in versions)


PEOPLE = [User(id=f"u{n}", user_principal_name=f"u{n}@contoso.com", display_name="U") for n in range(4)]


@PROPERTY
@given(
    st.lists(
        st.builds(
            member,
            st.sampled_from(PEOPLE),
            st.sampled_from([*LICENSES, "else"]),
            account_enabled=st.booleans(),
            is_synchronized=st.booleans(),
        ),
        max_size=6,
    ),
    st.lists(
        st.builds(
            known,
            st.sampled_from(PEOPLE),
            policy_id=st.sampled_from(["engineering", "sales"]),
            status=st.sampled_from(CloudPcStatus),
            is_assigned=st.booleans(),
            grace_period_end=st.sampled_from([None, LATER]),
        ),
        max_size=4,
        unique_by=lambda pc: pc.user_id,
    ),
)
def test_whoever_errs_nobody_loses_what_they_should_have(members: list[Member], pcs: list[KnownCloudPc]) -> None:
    decision = decided(members, *pcs)
    entitled = {each.user.id for each in members if not each.service_plan_ids.isdisjoint(LICENSES[:2])}
    ours = {pc.user_id for pc in pcs if pc.policy_id == "engineering"}
    leaving = {pc.user_id for pc in decision.leave}
    assert leaving <= ours - entitled
    assert all(pc.is_assigned and pc.grace_period_end is None for pc in decision.leave)
    assert {pc.user_id for pc in decision.stay} <= ours & entitled
    created = [user.id for user, _ in decision.create]
    assert len(set(created)) == len(created) and set(created) <= entitled - {pc.user_id for pc in pcs}
    # Everybody is told of once.
    assert len(decision.changes) == len({change.user_principal_name for change in decision.changes})
    assert {change.user_principal_name.partition("@")[0] for change in decision.changes} == ours | {
        each.user.id for each in members
    }


def test_the_facts_of_a_member_are_what_decides() -> None:
    # Each fact of a member, changed alone from the good one, is a reason to get none.
    for change in ({"account_enabled": False}, {"service_plan_ids": frozenset[str]()}):
        assert not decided([dataclasses.replace(member(), **change)]).create

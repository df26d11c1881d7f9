"""Whether there is room for machines of a size."""

from hypothesis import given
from hypothesis import strategies as st

from domain.capacity import Quota, SizeOffer, limited, scarcest, shortage
from tests.domain.made import PROPERTY

OFFER = SizeOffer("Standard_D2as_v5", zones=("1", None), family="standardDASv5Family", cores=2)


def quotas(cores: int = 100, family: int = 100, machines: int = 100) -> dict[str, Quota]:
    """The quotas that an offer counts against, with so much left."""
    return {
        "cores": Quota("cores", 7, 7 + cores),
        "standarddasv5family": Quota("standardDASv5Family", 9, 9 + family),
        "virtualmachines": Quota("virtualMachines", 3, 3 + machines),
        "lowprioritycores": Quota("lowPriorityCores", 0, 0),
    }


def test_what_machines_need() -> None:
    assert OFFER.needs() == {"cores": 2, "standarddasv5family": 2, "virtualmachines": 1}
    assert OFFER.needs(3) == {"cores": 6, "standarddasv5family": 6, "virtualmachines": 3}
    # Azure did not say how many cores it has, so it has at least one.
    assert SizeOffer("x", family="f").needs(2) == {"cores": 2, "f": 2, "virtualmachines": 2}


def test_what_is_just_enough_is_enough() -> None:
    assert shortage(OFFER, quotas(2, 2, 1)) is None
    assert limited(OFFER, quotas(2, 2, 1)) is OFFER


def test_each_quota_can_be_the_one_that_lacks_room() -> None:
    assert shortage(OFFER, quotas(cores=1)) == "quota cores has 1 of 8 left, 2 needed"
    assert shortage(OFFER, quotas(family=1)) == "quota standardDASv5Family has 1 of 10 left, 2 needed"
    assert shortage(OFFER, quotas(machines=0)) == "quota virtualMachines has 0 of 3 left, 1 needed"


def test_a_quota_that_azure_does_not_list_limits_nothing() -> None:
    assert shortage(OFFER, {}) is None
    assert scarcest(OFFER, {}) is None
    only_the_last = {"virtualmachines": Quota("virtualMachines", 1, 1)}
    assert shortage(OFFER, only_the_last) == "quota virtualMachines has 0 of 1 left, 1 needed"


def test_without_room_no_zone_can_be_had() -> None:
    left = limited(OFFER, quotas(cores=1))
    assert left.zones == () and left.refusal == shortage(OFFER, quotas(cores=1))
    assert (left.name, left.family, left.cores) == (OFFER.name, OFFER.family, OFFER.cores)


def test_what_the_region_refuses_keeps_its_reason() -> None:
    refused = SizeOffer("x", refusal="not offered", cores=2)
    assert limited(refused, quotas(cores=0)) is refused


@PROPERTY
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_there_is_room_for_as_many_as_the_scarcest_says_and_no_more(cores: int, family: int, machines: int) -> None:
    left = quotas(cores, family, machines)
    found = scarcest(OFFER, left)
    assert found is not None
    room, quota = found
    assert isinstance(room, int)
    assert all(left[name].free >= need for name, need in OFFER.needs(room).items())
    assert any(left[name].free < need for name, need in OFFER.needs(room + 1).items())
    assert quota.free < OFFER.needs(room + 1)[quota.name.lower()]
    assert (room == 0) == (shortage(OFFER, left) is not None)

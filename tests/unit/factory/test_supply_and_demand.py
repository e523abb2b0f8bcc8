"""Jobs, room and pilots: what is there counts, and nothing counts twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.factory.world import configuration, entry_table

from opengoc.factory.demand import Bound, divide
from opengoc.factory.match import Cluster
from opengoc.factory.model import Limit
from opengoc.factory.supply import Room, assign


def cluster(idle: int, *entries: str, vo: str = "cms", cores: int = 1, memory_mib: int = 512) -> Cluster:
    return Cluster(
        vo=vo,
        attributes={},
        idle=idle,
        running=0,
        entries=entries,
        cores=cores,
        memory_mib=memory_mib,
    )


def room(number: int, *, entry: str = "A", vo: str = "cms", cores: int = 2, rank: int = 0) -> Room:
    return Room(pilot_id=f"plt-{number}", entry=entry, vo=vo, cores=cores, memory_mib=1024 * cores, rank=rank)


def pilots(
    clusters: list[Cluster], bounds: dict[str, Bound] | None = None, **sizes: int
) -> dict[str, tuple[int, int]]:
    """(requested, allowed) by entry, its VOs together."""
    names = sizes or {"A": 10, "B": 10}
    tables = [entry_table(name, max_pilots=size, max_idle=size) for name, size in names.items()]
    entries = configuration(*tables).entries
    open_ones = {name: Bound(pilots=size) for name, size in names.items()}
    left = [each.idle for each in clusters]
    shares = divide(clusters, left, entries=entries, bounds=open_ones | (bounds or {}))
    found: dict[str, tuple[int, int]] = {}
    for (name, _), share in shares.items():
        requested, allowed = found.get(name, (0, 0))
        found[name] = (requested + share.requested, allowed + share.allowed)
    return found


def test_a_free_slot_is_room_for_as_many_jobs_as_fit() -> None:
    found = assign([cluster(5, "A")], [room(1), room(2)])
    assert found.left == (1,)
    assert found.used == {"plt-1", "plt-2"}


def test_a_slot_that_nobody_can_use_is_no_supply() -> None:
    other_vo = room(1, vo="ligo")
    other_entry = room(2, entry="B")
    too_small = room(3, cores=0)
    found = assign([cluster(2, "A")], [other_vo, other_entry, too_small])
    assert found.left == (2,)
    assert found.used == frozenset()


def test_what_one_job_leaves_of_a_slot_is_room_for_another_kind() -> None:
    large = cluster(1, "A", cores=3)
    small = cluster(3, "A")
    found = assign([small, large], [room(1, cores=4)])
    assert found.left == (2, 0)


def test_jobs_with_a_single_place_are_put_there_first() -> None:
    choosy, easy = cluster(2, "A"), cluster(2, "A", "B")
    found = assign([easy, choosy], [room(1), room(2, entry="B")])
    assert found.left == (0, 0)


def test_waiting_pilots_are_filled_last_and_the_oldest_of_them_first() -> None:
    found = assign([cluster(3, "A")], [room(1, rank=2), room(2, rank=2), room(3, rank=0)])
    assert found.used == {"plt-3", "plt-1"}


def test_demand_is_divided_over_the_entries_not_multiplied() -> None:
    assert pilots([cluster(16, "A", "B")]) == {"A": (4, 4), "B": (4, 4)}


def test_many_kinds_of_single_jobs_share_pilots_and_spread_evenly() -> None:
    assert pilots([cluster(1, "A", "B") for _ in range(16)]) == {"A": (4, 4), "B": (4, 4)}


def test_few_jobs_fill_one_pilot_before_they_ask_for_another() -> None:
    assert pilots([cluster(2, "A", "B")]) == {"A": (1, 1)}
    assert pilots([cluster(1, "A", "B"), cluster(1, "A", "B")]) == {"A": (1, 1)}
    several = dict.fromkeys("ABCDEFGH", 10)
    assert sum(allowed for _, allowed in pilots([cluster(5, *several)], **several).values()) == 3


def test_a_larger_entry_gets_more() -> None:
    assert pilots([cluster(16, "A", "B")], A=30, B=10) == {"A": (6, 6), "B": (2, 2)}


def test_what_a_limit_turns_away_is_offered_to_the_others_and_still_shown() -> None:
    full = Bound(pilots=1, limit=Limit.MAX_IDLE)
    assert pilots([cluster(16, "A", "B")], {"A": full}) == {"A": (4, 1), "B": (7, 7)}


def test_an_entry_in_an_outage_is_asked_only_for_what_has_no_other_place() -> None:
    shut = {"A": Bound(pilots=0, limit=Limit.OUTAGE)}
    assert pilots([cluster(8, "A", "B")], shut) == {"B": (4, 4)}
    assert pilots([cluster(8, "A")], shut) == {"A": (4, 0)}


def test_the_vos_of_an_entry_share_its_limit() -> None:
    entries = configuration(entry_table("A", max_pilots=3, max_idle=3)).entries
    clusters = [cluster(20, "A"), cluster(20, "A", vo="ligo")]
    shares = divide(clusters, [20, 20], entries=entries, bounds={"A": Bound(pilots=3)})
    assert {vo: share.allowed for (_, vo), share in shares.items()} == {"cms": 2, "ligo": 1}
    assert {share.requested for share in shares.values()} == {10}


places = st.lists(st.sampled_from("ABC"), min_size=1, max_size=3, unique=True)
clusters_of_all_kinds = st.lists(
    st.builds(
        lambda idle, names, vo, cores: cluster(idle, *sorted(names), vo=vo, cores=cores),
        st.integers(0, 60),
        places,
        st.sampled_from(["cms", "ligo"]),
        st.integers(1, 2),
    ),
    max_size=8,
)


@given(found=clusters_of_all_kinds, limits=st.fixed_dictionaries({n: st.integers(0, 12) for n in "ABC"}))
def test_no_limit_is_passed_and_no_more_is_sent_than_the_jobs_fill(
    found: list[Cluster], limits: dict[str, int]
) -> None:
    bounds = {name: Bound(pilots=count, limit=Limit.MAX_IDLE) for name, count in limits.items()}
    sent = pilots(found, bounds, A=12, B=6, C=3)
    for name, (requested, allowed) in sent.items():
        assert allowed <= min(requested, limits[name])
    # A pilot of two cores takes one or two jobs; each place may round one pilot up.
    jobs = sum(each.idle for each in found)
    assert sum(allowed for _, allowed in sent.values()) <= jobs
    if all(limits[name] == 0 for name in "ABC"):
        assert all(allowed == 0 for _, allowed in sent.values())


@given(found=clusters_of_all_kinds)
def test_without_limits_every_job_gets_a_place(found: list[Cluster]) -> None:
    sent = pilots(found, A=1000, B=1000, C=1000)
    cores = sum(each.idle * each.cores for each in found)
    assert 2 * sum(allowed for _, allowed in sent.values()) >= cores
    assert all(requested == allowed for requested, allowed in sent.values())

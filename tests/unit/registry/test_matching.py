"""Which entry continues which stored value: renames are changes, not ends."""

from hypothesis import given
from hypothesis import strategies as st

from opengoc.registry.matching import Match, match
from opengoc.registry.model import Facility
from opengoc.registry.tree import UNSTORED, Entry


def entries(*named: tuple[str, int | None]) -> dict[str, Entry]:
    return {
        name: Entry(kind="facility", value=Facility(id=UNSTORED, name=name, number=number), where=f"{name}:1")
        for name, number in named
    }


def stored(**named: tuple[str, int | None]) -> dict[str, dict[str, object]]:
    return {key: {"name": name, "number": number} for key, (name, number) in named.items()}


def names(found: Match) -> dict[str, str]:
    return {key: getattr(entry.value, "name", "") for key, entry in found.continued.items()}


def test_a_renamed_entry_with_its_number_goes_on() -> None:
    found = match("facility", entries(("New", 7)), stored(f1=("Old", 7)))
    assert (names(found), found.new, found.vanished) == ({"f1": "New"}, (), ())


def test_an_entry_that_got_a_number_goes_on_by_its_name() -> None:
    assert names(match("facility", entries(("A", 7)), stored(f1=("A", None)))) == {"f1": "A"}


def test_two_entries_that_swap_names_are_told_apart_by_number() -> None:
    found = match("facility", entries(("A", 2), ("B", 1)), stored(f1=("A", 1), f2=("B", 2)))
    assert names(found) == {"f1": "B", "f2": "A"}


def test_a_number_used_twice_identifies_nobody() -> None:
    found = match("facility", entries(("A", 7), ("B", 7)), stored(f1=("C", 7)))
    assert names(found) == {}
    assert [entry.where for entry in found.new] == ["A:1", "B:1"]
    assert found.vanished == ("f1",)


def test_a_persons_name_is_not_what_a_contact_goes_by() -> None:
    found = match(
        "contact", {}, {"c-1": {"name": "Site administrator"}, "c-2": {"name": "Site administrator"}}
    )
    assert found.vanished == ("c-1", "c-2")


_named = st.dictionaries(st.sampled_from("ABCDE"), st.none() | st.integers(1, 4))


@given(_named, _named)
def test_every_entry_and_every_stored_value_is_in_exactly_one_place(
    tree: dict[str, int | None], before: dict[str, int | None]
) -> None:
    given_entries = entries(*tree.items())
    given_values = stored(**{f"f{name}": (name, number) for name, number in before.items()})
    found = match("facility", given_entries, given_values)
    assert sorted([*found.continued, *found.vanished]) == sorted(given_values)
    assert sorted([entry.where for entry in (*found.continued.values(), *found.new)]) == sorted(
        entry.where for entry in given_entries.values()
    )

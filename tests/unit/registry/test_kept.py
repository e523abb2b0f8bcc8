"""What is made anew part by part: nothing that is the same is made again, and nothing else is used again."""

from datetime import UTC, datetime

import pytest

from opengoc.base.interval import Interval
from opengoc.registry.kept import Kept, is_same

DAY = Interval(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        ((1, 2), [1, 2]),
        ({"a": {"b": 0}}, {"a": {"b": False}}),
        ({"a": None}, {}),
        (("a", "b"), ("a",)),
        (DAY, Interval(DAY.start, None)),
    ],
)
def test_what_is_told_differently_is_not_the_same(one: object, other: object) -> None:
    assert not is_same(one, other)
    assert not is_same(other, one)


def test_what_says_the_same_is_the_same() -> None:
    assert is_same(
        {"a": [1, (DAY, None)], "b": "x"}, {"b": "x", "a": [1, (Interval(DAY.start, DAY.end), None)]}
    )


def test_a_part_is_made_again_where_it_differs_piece_by_piece_and_kept_where_it_comes_out_the_same() -> None:
    kept, made = Kept(), []

    def whole(words: dict[str, str]) -> tuple[str, ...]:
        def one(word: str) -> str:
            made.append(word)
            return word.upper()

        return kept.part(
            "words",
            (words,),
            lambda pieces: tuple(
                pieces.of(key, (w.lower(),), lambda w=w: one(w)) for key, w in words.items()
            ),
        )

    first = whole({"1": "a", "2": "b"})
    assert whole({"1": "a", "2": "b"}) is first
    assert whole({"1": "A", "2": "b"}) is first
    assert made == ["a", "b"]
    assert whole({"1": "a", "2": "c", "3": "b"}) == ("A", "C", "B")
    assert made == ["a", "b", "c", "b"]
    # What was gone for one version is made anew.
    whole({"1": "a"})
    whole({"1": "a", "2": "c"})
    assert made == ["a", "b", "c", "b", "c"]

"""Attributes of job ads, in both syntaxes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.accounting.formats.ads import Wanted

WANTED = Wanted(
    "Owner User VO GOC_VO RequestCpus RemoteWallClockTime ExitBySignal MachineAttrX MachineAttrX0"
)


def test_the_last_of_a_repeated_attribute_counts() -> None:
    ad = WANTED.read(b'RequestCpus = 1\nOwner = "a"\nRequestCpus = 4\n')
    assert ad.whole(b"requestcpus") == 4


def test_names_do_not_care_about_case() -> None:
    assert WANTED.read(b'vo = "cms"\nGoc_Vo = "ligo"\n').string(b"vo") == "cms"


def test_a_name_that_begins_or_ends_like_a_wanted_one_is_another() -> None:
    ad = WANTED.read(
        b'MachineAttrX0 = "zero"\nMachineAttrX01 = "no"\nCVO = "no"\nVOX = "no"\nMachineAttrX = "x"\n'
    )
    assert ad.attributes == {b"machineattrx0": b'"zero"', b"machineattrx": b'"x"'}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb'"plain"', "plain"),
        (rb'"say \"hi\""', 'say "hi"'),
        (rb'"C:\temp\new"', r"C:\temp\new"),
        ('"é"'.encode(), "é"),
        (b'"\xe9"', r"\xe9"),
        (rb'""', None),
        (rb"undefined", None),
        (rb'strcat("a","b")', None),
    ],
)
def test_strings_of_the_old_syntax(written: bytes, read: str | None) -> None:
    assert WANTED.read(b"Owner = " + written + b"\n").string(b"owner") == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"910.000000", 910.0),
        (b"1.5E+02", 150.0),
        (b"-1", -1.0),
        (b"1_0", None),
        (b"inf", None),
        (b"undefined", None),
        (b"ImageSize / 1024", None),
        (b"9" * 5000, None),
    ],
)
def test_numbers_are_numbers_and_expressions_are_not(written: bytes, read: float | None) -> None:
    assert WANTED.read(b"RemoteWallClockTime = " + written + b"\r\n").number(b"remotewallclocktime") == read


def test_the_new_syntax_with_nested_ads_lists_and_escapes() -> None:
    ad = WANTED.read(
        b'[ Owner = "it\\"s; [not] an \\101d\\n"; ToE = [ User = "inner"; Who = "x" ];\n'
        b'List = { "VO", 1 }; RequestCpus = 8; ExitBySignal = true; VO = "cms" ]\n'
    )
    assert ad.string(b"owner") == 'it"s; [not] an Ad\n'
    assert ad.string(b"user") is None
    assert ad.whole(b"requestcpus") == 8
    assert ad.true(b"exitbysignal")
    assert ad.string(b"vo") == "cms"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    for ad in (WANTED.read(raw), WANTED.read(b"[" + raw)):
        for name in WANTED.names:
            ad.number(name)
            ad.whole(name)
            ad.string(name)


@given(
    st.text(st.characters(exclude_characters="\n\r\x00", exclude_categories=["Cs"]), min_size=1, max_size=40)
)
def test_a_string_is_read_as_htcondor_wrote_it(value: str) -> None:
    # A backslash before a quote, or at the end, cannot be told from an escape in the old syntax.
    value = value.replace("\\", "/")
    written = 'Owner = "' + value.replace('"', '\\"') + '"\n'
    assert WANTED.read(written.encode()).string(b"owner") == value

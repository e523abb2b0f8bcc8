"""Which coding an answer travels in: what RFC 9110 says of Accept-Encoding."""

import gzip

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from opengoc.web.answer import Answer, respond
from opengoc.web.coding import Coding, negotiated


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP;Q=0.8 , ZSTD ; q=0.5", "gzip"),
        ("gzip;q=0.5, zstd;q=0.5", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("zstd;q=0, gzip;q=0.000, *;q=1", "identity"),
        ("*;q=0", "identity"),
        ("identity;q=0", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("gzip;q=1.5", "gzip"),
        ("gzip;q=nonsense", "identity"),
        ("br", "identity"),
        ("gzip," * 100, "identity"),
    ],
)
def test_the_coding_is_the_one_the_client_likes_best(header: str, coding: str) -> None:
    assert negotiated(header) == coding


@given(st.text(max_size=320))
def test_no_header_is_too_odd_for_an_answer(header: str) -> None:
    assert negotiated(header) in Coding


@pytest.mark.parametrize(
    ("coding", "decode"),
    [
        ("zstd", lambda body: zstandard.ZstdDecompressor().decompress(body)),
        ("gzip", gzip.decompress),
        ("identity", bytes),
    ],
)
def test_every_coding_holds_the_same_and_has_a_tag_of_its_own(coding: str, decode: object) -> None:
    answer = Answer(b"<Projects></Projects>" * 100, "text/xml")
    sent = respond(Headers({"accept-encoding": coding}), answer)
    assert callable(decode)
    assert decode(sent.body) == answer.body
    assert sent.headers.get("content-encoding", "identity") == coding
    others = {respond(Headers({"accept-encoding": each}), answer).headers["etag"] for each in Coding}
    assert len(others) == 3
    known = respond(Headers({"accept-encoding": coding, "if-none-match": sent.headers["etag"]}), answer)
    assert (known.status_code, known.body, known.headers["etag"]) == (304, b"", sent.headers["etag"])

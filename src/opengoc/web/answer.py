"""An answer on its way: compressed once in each coding, known by its hash, 304 for who has it already."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b

import zstandard
from starlette.datastructures import Headers
from starlette.responses import Response

from opengoc.web.coding import Coding, negotiated


@dataclass(frozen=True)
class Answer:
    """One document."""

    body: bytes
    media_type: str
    #: The first moment at which the passing of time changes it; None: time does not.
    until: datetime | None = None

    @cached_property
    def tag(self) -> str:
        """Hash of the content: the same for every process and after every restart."""
        return blake2b(self.body, digest_size=16).hexdigest()

    @cached_property
    def zstd(self) -> bytes:
        """The body as one frame of zstd (RFC 8878)."""
        return zstandard.ZstdCompressor(level=6).compress(self.body)

    @cached_property
    def gzip(self) -> bytes:
        """The body as gzip, without a time in it."""
        return gzip.compress(self.body, compresslevel=4, mtime=0)

    def coded(self, coding: Coding) -> bytes:
        """The body in a coding."""
        if coding is Coding.ZSTD:
            return self.zstd
        return self.gzip if coding is Coding.GZIP else self.body

    def prepare(self) -> None:
        """Do now what the first request would else wait for."""
        for coding in Coding:
            self.coded(coding)


def respond(headers: Headers, answer: Answer) -> Response:
    """The answer in the coding that the client likes best; 304 where the client has it."""
    coding = negotiated(headers.get("accept-encoding", ""))
    given = {
        "ETag": f'"{answer.tag}"' if coding is Coding.IDENTITY else f'"{answer.tag}-{coding}"',
        "Vary": "Accept-Encoding, Authorization",
        # Always asked again, and mostly answered with 304.
        "Cache-Control": "no-cache",
        # As on the old servers: pages of others may read the public answers.
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }
    known = headers.get("if-none-match", "")
    if known and (known.strip() == "*" or answer.tag in known):
        return Response(status_code=304, headers=given)
    if coding is not Coding.IDENTITY:
        given["Content-Encoding"] = coding
    return Response(answer.coded(coding), media_type=answer.media_type, headers=given)

"""What people write stays text in every format: no markup, no link, no script, no table."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.unit.reports.example_week import AS_OF, WEEK

from opengoc.reports.inputs import ReportInputs
from opengoc.reports.model import Note
from opengoc.reports.plain import printable
from opengoc.reports.render import html, markdown, text, twiki
from opengoc.reports.weekly import build

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "[click](javascript:alert(1))",
    "![pixel](https://tracker.example.org/p.png)",
    "| a | b |\n| --- | --- |\n| c | d |",
    "# Heading\n---++ Heading\n- item\n1. item\n> quoted",
    "```\ncode\n```",
    "{{ report }} {% raw %}",
    "%INCLUDE{Main.WebHome}% %TOPIC%",
    "[[Main.WebHome][home]] WikiWord Main.WebHome !WikiWord *bold* _it_ =fixed= (*bold*)",
    "<verbatim>x</verbatim> <nop>",
    "one\r\n.\r\nSubject: other\r\n",
    "\x1b[31mred\x1b[0m \u202egnp.exe\u202c \x00",
    "&lt;b&gt; &amp; &#42;",
    "end\\",
]


class Tags(HTMLParser):
    """Collects tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def tags_of(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    parser.close()
    return parser


def noted(inputs: ReportInputs, said: str) -> ReportInputs:
    """The inputs with what was said in a note, a downtime, a probe's message and a site's name."""
    note = Note(id="n-9", section="vo-cms", text=said, who=said, written_at=AS_OF)
    downtime = replace(inputs.downtimes[0], description=said, why=said)
    service = replace(inputs.monitoring.services[1], message=said)
    strips = tuple(replace(strip, name=said) for strip in inputs.monitoring.strips)
    return replace(
        inputs,
        notes=(note,),
        downtimes=(downtime,),
        monitoring=replace(inputs.monitoring, services=(service,), strips=strips),
    )


@pytest.mark.parametrize("said", HOSTILE)
def test_html_shows_it_and_does_nothing_else(inputs: ReportInputs, said: str) -> None:
    plain = tags_of(html.render(build(noted(inputs, "harmless"), WEEK, AS_OF, AS_OF)))
    page = tags_of(html.render(build(noted(inputs, said), WEEK, AS_OF, AS_OF)))
    assert page.tags == plain.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in plain.attributes]
    assert printable(said).strip() in "".join(page.words)


def test_html_fetches_nothing(inputs: ReportInputs) -> None:
    page = tags_of(html.render(build(inputs, WEEK, AS_OF, AS_OF)))
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("href", "src", "fill"):
            assert (value or "").startswith(("#", "url(#")), (name, value)


@pytest.mark.parametrize("said", HOSTILE)
def test_markdown_shows_it_and_does_nothing_else(inputs: ReportInputs, said: str) -> None:
    def shape(words: str) -> list[str]:
        page = markdown.render(build(noted(inputs, words), WEEK, AS_OF, AS_OF))
        tokens = MarkdownIt("commonmark").enable("table").parse(page)
        inner = [child.type for token in tokens for child in token.children or []]
        kinds = [token.type for token in tokens] + inner
        # A note of several lines breaks its line; that is all it may do.
        return [kind for kind in kinds if kind not in ("text", "text_special", "hardbreak", "softbreak")]

    assert shape(said) == shape("harmless")


@pytest.mark.parametrize("said", HOSTILE)
def test_markdown_keeps_the_words(inputs: ReportInputs, said: str) -> None:
    page = markdown.render(build(noted(inputs, said), WEEK, AS_OF, AS_OF))
    shown = "".join(tags_of(MarkdownIt("commonmark").enable("table").render(page)).words)
    assert "".join(printable(said).split()) in "".join(shown.split())


@pytest.mark.parametrize("said", HOSTILE)
def test_text_is_printable_and_fits_78_columns(inputs: ReportInputs, said: str) -> None:
    page = text.render(build(noted(inputs, said), WEEK, AS_OF, AS_OF))
    assert all(char.isprintable() for char in page.replace("\n", ""))
    assert max(map(len, page.splitlines())) <= 78


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("WikiWord", "!WikiWord"),
        ("see (WikiWord)", "see (!WikiWord)"),
        ("Main.WebHome", "!Main.WebHome"),
        ("!WikiWord", "&#33;WikiWord"),
        ("ITB-CONDOR", "ITB-CONDOR"),
        ("cms", "cms"),
        ("payload_jobs", "payload_jobs"),
        ("*bold* _it_ =fixed=", "&#42;bold* &#95;it_ &#61;fixed="),
        ("%TOPIC%", "&#37;TOPIC&#37;"),
        ("[[Main.WebHome][x]]", "&#91;&#91;Main.WebHome&#93;&#91;x&#93;&#93;"),
        ("a | b", "a &#124; b"),
        ("<nop>", "&lt;nop&gt;"),
        ("three\n   * bullets", "three &#42; bullets"),
    ],
)
def test_twiki_shows_it_as_it_stands(said: str, shown: str) -> None:
    assert twiki.escape(said) == shown


@pytest.mark.parametrize("said", HOSTILE)
def test_twiki_lines_keep_their_kind(inputs: ReportInputs, said: str) -> None:
    def kinds(words: str) -> list[str]:
        page = twiki.render(build(noted(inputs, words), WEEK, AS_OF, AS_OF))
        return [line[:4] if line[:1] in ("-", " ") else "|" * line.count("|") for line in page.splitlines()]

    assert kinds(said) == kinds("harmless")


@given(said=st.text(max_size=60))
def test_no_text_breaks_a_format(said: str) -> None:
    for escape in (markdown.escape, markdown.escape_within, twiki.escape):
        shown = escape(said)
        assert "\n" not in shown
        assert "<" not in shown


def test_unprintable_characters_become_visible() -> None:
    assert printable("a\x1bb\u202ec\x00d\te\r\nf") == "a\ufffdb\ufffdc\ufffdd e\nf"

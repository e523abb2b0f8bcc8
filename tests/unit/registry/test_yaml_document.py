"""YAML files: whatever a file holds, it becomes nodes or a fault with its line."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.registry.findings import Findings
from opengoc.registry.formats.yaml_document import Node, plain, read_document

BOMB = "a: &a [x, x]\n" + "".join(
    f"{key}: &{key} [*{before}, *{before}]\n" for before, key in zip("abcdefghij", "bcdefghijk", strict=True)
)


def read(folder: Path, content: str | bytes) -> tuple[Node | None, list[str]]:
    path = folder / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    findings = Findings()
    node = read_document(path, "file.yaml", findings)
    return node, [str(finding) for finding in findings.found]


@pytest.mark.parametrize(
    ("content", "line", "rule"),
    [
        (b"a: 1\nb: \xff\xfe\n", 2, "not UTF-8"),
        ("a: 1\nb: [1, 2\n", 3, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "stands at line 1 already"),
        ("caf\u00e9: 1\ncafe\u0301: 2\n", 2, "stands at line 1 already"),
        (BOMB, 2, "is an alias"),
        ("a: &a [*a]\n", 1, "is an alias"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "is a YAML tag"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("[" * 100_000, 1, "deeper than 40 levels"),
        ("? [a, b]\n: c\n", 1, "must be plain text"),
        ('a: "\\0"\n', 1, "NUL"),
        ('a: "\\ud800"\n', 1, "YAML"),
        ("a: \x07\n", 1, "not YAML"),
    ],
)
def test_a_faulty_file_gives_one_fault_with_its_line(
    tmp_path: Path, content: str | bytes, line: int, rule: str
) -> None:
    _, faults = read(tmp_path, content)
    assert len(faults) == 1
    assert faults[0].startswith(f"file.yaml:{line}: ")
    assert rule in faults[0]


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    _, faults = read(tmp_path, b" " * (8 * 1024 * 1024 + 1))
    assert "is larger than" in faults[0]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", None])
def test_what_has_no_end_is_not_read(tmp_path: Path, device: str | None) -> None:
    """A link to a device would fill the memory; a named pipe would be waited for without end."""
    path = tmp_path / "file.yaml"
    if device is None:
        os.mkfifo(path)
    else:
        path.symlink_to(device)
    findings = Findings()
    assert read_document(path, "file.yaml", findings) is None
    assert "is a pipe, socket or device" in str(findings.found[0])


def test_an_absent_file_is_a_fault(tmp_path: Path) -> None:
    findings = Findings()
    assert read_document(tmp_path / "none.yaml", "none.yaml", findings) is None
    assert "cannot be read" in str(findings.found[0])


def test_plain_values_are_typed_and_times_stay_text(tmp_path: Path) -> None:
    node, faults = read(
        tmp_path, "{a: 1, b: 1.5, c: true, d: null, e: 2026-11-14, f: 'no', g: [x], h: .inf}\n"
    )
    assert not faults
    assert node is not None
    assert plain(node) == {
        "a": 1, "b": 1.5, "c": True, "d": None, "e": "2026-11-14", "f": "no", "g": ["x"], "h": ".inf",
    }  # fmt: skip


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    node, _ = read(tmp_path, b"\xef\xbb\xbfa: 1\n")
    assert node is not None
    assert plain(node) == {"a": 1}


@given(
    st.binary(max_size=200) | st.text(alphabet="ab:- \n[]{}&*!'\"\\#|>?%@,0", max_size=200).map(str.encode)
)
def test_any_bytes_become_nodes_or_faults_and_never_both_nothing_nor_an_exception(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    node, faults = read(folder, content)
    if node is not None:
        plain(node)
    for fault in faults:
        line = int(fault.split(":")[1])
        assert 1 <= line <= content.count(b"\n") + content.count(b"\r") + 2

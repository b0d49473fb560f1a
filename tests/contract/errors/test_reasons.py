"""Every reason has one class, and stands in docs/errors.md; nothing stands there that nobody says."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = sorted(
    path
    for folder in ("libs/suti", "services")
    for path in (ROOT / folder).rglob("*.py")
    if "api" not in path.relative_to(ROOT / folder).parts[:1]
)
REASON = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
# Reasons that are made of something else: any gRPC code, any exit code.
MADE = {"DEADLINE_EXCEEDED", "UNIMPLEMENTED", "EXIT_n"}
ENUMS_OF_REASONS = {"Drop", "Reason"}


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield path, node


def own_reason(node: ast.ClassDef) -> str | None:
    """What the class's body sets `reason` to, if that is a text."""
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id="reason")], value=ast.Constant(value=str(text))):
                return text
            case ast.AnnAssign(target=ast.Name(id="reason"), value=ast.Constant(value=str(text))):
                return text
            case _:
                pass
    return None


def members(node: ast.ClassDef) -> list[str]:
    """The values of an enum."""
    return [
        line.value.value
        for line in node.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
    ]


def said_reasons() -> dict[str, list[str]]:
    """Reason -> the error classes that say it."""
    said: dict[str, list[str]] = defaultdict(list)
    for path, node in classes():
        if reason := own_reason(node):  # empty: a field of a record
            said[reason].append(f"{path.relative_to(ROOT)}: {node.name}")
    return said


def documented() -> list[str]:
    rows = [line for line in (ROOT / "docs/errors.md").read_text().splitlines() if line.startswith("| `")]
    return [reason for row in rows for reason in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_no_two_error_classes_share_a_reason() -> None:
    assert {reason: where for reason, where in said_reasons().items() if len(where) > 1} == {}


def test_reasons_are_upper_case_words() -> None:
    assert [reason for reason in said_reasons() if not REASON.fullmatch(reason)] == []


def test_every_reason_of_an_error_is_documented() -> None:
    assert sorted(set(said_reasons()) - set(documented())) == []


def test_every_reason_of_a_drop_or_a_verdict_is_documented() -> None:
    enums = {reason for _, node in classes() if node.name in ENUMS_OF_REASONS for reason in members(node)}
    assert len(enums) > 20

    assert sorted(enums - set(documented())) == []


def test_every_reason_that_is_passed_by_name_is_documented() -> None:
    passed = {
        keyword.value.value
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }

    assert sorted(reason for reason in passed - set(documented()) if REASON.fullmatch(reason)) == []


def test_no_reason_is_documented_twice() -> None:
    rows = documented()

    assert sorted({reason for reason in rows if rows.count(reason) > 1}) == []


@pytest.mark.parametrize("reason", sorted(set(documented()) - MADE))
def test_what_is_documented_is_said_by_somebody(reason: str) -> None:
    assert any(f'"{reason}"' in path.read_text() or f"{reason} =" in path.read_text() for path in CODE)

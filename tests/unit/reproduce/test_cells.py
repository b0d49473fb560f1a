"""Cells: measured once, named by what they hold."""

from pathlib import Path

import pytest

from suti.reproduce.cells import Cell, CellFolder


class _Counted(Cell):
    steps: int = 3


def _cell(steps: int = 3) -> _Counted:
    return _Counted(experiment="experts", system="suti", condition="64 experts, from the base", steps=steps)


def test_a_cell_is_measured_once(tmp_path: Path) -> None:
    folder, measured = CellFolder(tmp_path), list[int]()

    def measure() -> dict[str, int]:
        measured.append(1)
        return {"answer": 42}

    assert folder.run(_cell(), measure) == {"answer": 42}
    assert CellFolder(tmp_path).run(_cell(), measure) == {"answer": 42}
    assert measured == [1]


def test_another_field_is_another_cell(tmp_path: Path) -> None:
    folder = CellFolder(tmp_path)
    folder.run(_cell(3), dict)
    assert folder.find(_cell(3)) == {}
    assert folder.find(_cell(4)) is None
    assert _cell(3).name.startswith("suti-64-experts-from-the-base-")


def test_a_cell_that_failed_is_not_there(tmp_path: Path) -> None:
    folder = CellFolder(tmp_path)

    def fail() -> dict[str, int]:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        folder.run(_cell(), fail)
    assert folder.find(_cell()) is None
    assert folder.seconds([_cell()]) == 0

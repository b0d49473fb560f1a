"""Experiments piece by piece: a cell is named by what it holds and leaves one JSON, so that nothing is done twice."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Cell(BaseModel):
    """One measurement, whole: everything that changes its result is a field. Subclasses add theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str
    system: str
    condition: str

    @property
    def name(self) -> str:
        """What is measured, and a digest of all fields: another recipe is another cell."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{self.system}-{_slug(self.condition)}-{digest[:12]}"


class CellFolder:
    """Where finished cells lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, cell: Cell) -> dict[str, Any] | None:
        """What the cell found, None while it has not been run."""
        try:
            return json.loads(self._path(cell).read_bytes())["found"]
        except FileNotFoundError:
            return None

    def run(self, cell: Cell, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the cell found, measured now if it has not been."""
        if (found := self.find(cell)) is not None:
            return found
        began = time.monotonic()
        found = measure()
        facts = {"cell": cell.model_dump(mode="json"), "found": found, "seconds": round(time.monotonic() - began, 1)}
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self._path(cell).with_suffix(".new")
        new.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        new.replace(self._path(cell))
        return found

    def seconds(self, cells: Sequence[Cell]) -> float:
        """How long the finished ones of these took, together."""
        paths = [self._path(cell) for cell in cells]
        return sum(json.loads(path.read_bytes())["seconds"] for path in paths if path.exists())

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.json"


def _slug(text: str) -> str:
    return "-".join("".join(char if char.isalnum() else " " for char in text.lower()).split())

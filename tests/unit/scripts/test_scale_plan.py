"""The plan of the full size that docs/scale.md shows is the one that is computed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_shows_what_the_script_computes() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "scale_plan.py")]
    table = subprocess.run(script, check=True, capture_output=True, text=True).stdout

    assert f"<!-- scale_plan -->\n{table}<!-- /scale_plan -->" in (ROOT / "docs" / "scale.md").read_text()

"""A skip is told in the summary, and is a failure where SUTI_REQUIRE=all promises that nothing is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SKIPS = """
import pytest

def test_needs_something():
    pytest.skip("no such server: set SUCH_VARIABLE")

@pytest.mark.xfail(strict=True)
def test_expected_to_fail():
    assert False

def test_passes():
    pass
"""
MODULE_SKIPS = """
import pytest

pytest.skip("no such library: install it", allow_module_level=True)
"""


def run_pytest(folder: Path, content: str, *, require: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text(content)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\naddopts = -p no:cacheprovider\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", folder],
        cwd=folder,
        env=os.environ | {"SUTI_REQUIRE": require},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_skip_passes_and_is_counted(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, SKIPS, require="")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 skipped (SUTI_REQUIRE=all makes a skip a failure)" in done.stdout


@pytest.mark.parametrize(
    ("content", "reason"),
    [(SKIPS, "no such server: set SUCH_VARIABLE"), (MODULE_SKIPS, "no such library: install it")],
)
def test_a_skip_fails_where_everything_is_required_and_says_what_was_missing(
    tmp_path: Path, content: str, reason: str
) -> None:
    done = run_pytest(tmp_path, content, require="all")

    assert done.returncode != 0
    assert f"SUTI_REQUIRE=all, but: Skipped: {reason}" in done.stdout
    assert "0 skipped" in done.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path, SKIPS.replace('pytest.skip("no such server: set SUCH_VARIABLE")', "pass"), require="all"
    )

    assert done.returncode == 0, done.stdout + done.stderr

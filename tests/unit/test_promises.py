"""docs/promises.md names tests; a promise whose test was renamed or deleted is nobody's any more."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_every_promise_names_tests_that_are_there() -> None:
    table = (REPOSITORY / "docs/promises.md").read_text(encoding="utf-8").split("## ")[0]
    promises = [row for row in table.splitlines() if row.startswith("| ")][1:]

    unshown = [row for row in promises if not re.search(r"`tests/[^`]+`|not yet", row)]
    missing = [path for path in re.findall(r"`(tests/[^`]+)`", table) if not (REPOSITORY / path).is_file()]

    assert promises
    assert unshown == missing == []

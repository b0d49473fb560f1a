"""The page of any run."""

import re

from suti.core import keys
from suti.report.any_run import tell_run
from suti.report.page import render_run_page
from suti.stages.outcome import RunOutcome
from suti.stages.shards import RunState
from tests.unit.report.conftest import ENDED_AT
from tests.unit.stages.shards import Run


def page_of(run: Run) -> str:
    told = tell_run(run.ledger.store, run.spec.run_id)
    return render_run_page(told.report, told.gallery)


def test_the_page_tells_counts_reasons_gains_and_what_it_was_made_of(judged: Run) -> None:
    page = page_of(judged)

    assert re.search(r"PICTURE_FAILED <b>2</b>", page)
    assert re.search(r"COPY_OF_DEMONSTRATION <b>1</b>", page)
    assert len(re.findall(r'class="gain">[+-]\d\.\d{3}<', page)) == 9
    assert "done, 1 of 1 shard" in page
    assert "min_gain&nbsp;<b>-2.0</b>" in page
    assert judged.spec.run_id in page


def test_the_page_of_a_run_that_goes_on_says_so(begun: Run) -> None:
    page = page_of(begun)

    assert "The run still goes on" in page
    assert "ended</th><td>not yet" in page


def test_the_page_of_a_run_that_failed_says_why(judged: Run) -> None:
    outcome = RunOutcome(
        state=RunState.FAILED, reason="STAGE_DEAD", message="all <i>shards</i> are dead", ended_at=ENDED_AT
    )
    judged.ledger.store.put(keys.run_outcome(judged.spec.run_id), outcome.model_dump_json().encode())

    page = page_of(judged)

    assert "A run that failed" in page
    assert "<b>STAGE_DEAD</b>: all &lt;i&gt;shards&lt;/i&gt; are dead" in page
    assert "still goes on" not in page


def test_texts_of_the_web_are_shown_and_never_run_and_nothing_else_is_needed(begun: Run) -> None:
    page = page_of(begun)

    assert "a &lt;b&gt;red&lt;/b&gt; cup" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|report\.json)', page)

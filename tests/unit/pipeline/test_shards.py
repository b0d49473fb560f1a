"""The decision that keeps runs moving, on facts worked out by hand."""

from collections.abc import Iterable, Mapping

from suti.core.records import Stage
from suti.stages.shards import SHARDED, Ending, RunFacts, RunState, StageFacts, Wanted, next_tickets, survey


def committed(shards: Iterable[int], *, out: int = 2, dead: Iterable[int] = (), held: Iterable[int] = ()) -> StageFacts:
    counts = {shard: {"items_in": 5, "items_out": out, "dropped": 5 - out} for shard in shards}
    return StageFacts(committed=counts, dead=frozenset(dead), held=frozenset(held))


def run(
    stages: Mapping[Stage, StageFacts] | None = None, *, shards: int | None = 2, cancelled: bool = False
) -> RunFacts:
    grouped = {} if shards is None else {Stage.GROUPING: committed([0])}
    return RunFacts("01RUN", shards=shards, stages={**grouped, **(stages or {})}, cancelled=cancelled)


def ending(facts: RunFacts) -> Ending:
    answer = next_tickets(facts)
    assert isinstance(answer, Ending)
    return answer


def test_a_new_run_wants_its_crawl_grouped() -> None:
    assert next_tickets(run(shards=None)) == [Wanted(Stage.GROUPING, 0)]


def test_every_shard_goes_on_as_soon_as_its_own_predecessor_is_committed() -> None:
    facts = run({Stage.SELECTION: committed([0, 1]), Stage.CAPTIONING: committed([1])}, shards=3)

    assert next_tickets(facts) == [
        Wanted(Stage.EXPERTS, 1),
        Wanted(Stage.CAPTIONING, 0),
        Wanted(Stage.SELECTION, 2),
    ]


def test_the_apprentice_waits_for_every_filtering_shard() -> None:
    done = {stage: committed([0, 1]) for stage in SHARDED}

    assert next_tickets(run({**done, Stage.FILTERING: committed([0])})) == [Wanted(Stage.FILTERING, 1)]
    assert next_tickets(run(done)) == [Wanted(Stage.APPRENTICE, 0)]


def test_a_run_whose_apprentice_is_committed_has_succeeded() -> None:
    done = {stage: committed([0, 1]) for stage in SHARDED}

    assert ending(run({**done, Stage.APPRENTICE: committed([0])})) == Ending(RunState.SUCCEEDED)


def captioned(captioning: StageFacts) -> RunFacts:
    """Of two shards the first one is through."""
    return run(
        {
            Stage.SELECTION: committed([0, 1]),
            Stage.CAPTIONING: captioning,
            Stage.EXPERTS: committed([0]),
            Stage.FILTERING: committed([0]),
        }
    )


def test_a_shard_whose_data_is_bad_or_that_was_dropped_is_left_behind_and_the_run_goes_on() -> None:
    assert next_tickets(captioned(committed([0], dead=[1]))) == [Wanted(Stage.APPRENTICE, 0)]


def test_a_shard_that_was_given_up_holds_the_run_up_until_somebody_decides() -> None:
    waiting = captioned(committed([0], held=[1]))

    assert next_tickets(waiting) == []  # neither a ticket for it nor an apprentice without it
    assert (survey(waiting)[Stage.CAPTIONING].held, survey(waiting)[Stage.CAPTIONING].settled) == ({1}, False)
    assert next_tickets(captioned(committed([0], held=[1], dead=[1]))) == [Wanted(Stage.APPRENTICE, 0)]  # dropped
    assert next_tickets(captioned(committed([0]))) == [Wanted(Stage.CAPTIONING, 1)]  # replayed


def test_other_shards_go_on_while_one_is_held() -> None:
    facts = run({Stage.SELECTION: committed([0], held=[1])}, shards=3)

    assert next_tickets(facts) == [Wanted(Stage.CAPTIONING, 0), Wanted(Stage.SELECTION, 2)]


def test_a_run_whose_only_shard_was_given_up_waits_and_has_not_failed() -> None:
    given_up = StageFacts(held=frozenset({0}))
    done = {stage: committed([0, 1]) for stage in SHARDED}

    assert next_tickets(RunFacts("01RUN", shards=None, stages={Stage.GROUPING: given_up})) == []
    assert next_tickets(run({**done, Stage.APPRENTICE: given_up})) == []


def test_a_commit_counts_more_than_a_dead_letter_of_the_same_shard() -> None:
    facts = run({Stage.SELECTION: committed([0, 1], dead=[0])}, shards=2)

    assert next_tickets(facts) == [Wanted(Stage.CAPTIONING, 0), Wanted(Stage.CAPTIONING, 1)]


def test_a_shard_that_nothing_left_is_not_asked_of_later_stages() -> None:
    facts = RunFacts(
        "01RUN",
        shards=2,
        stages={
            Stage.GROUPING: committed([0]),
            Stage.SELECTION: StageFacts({0: {"items_in": 5, "items_out": 0}, 1: {"items_in": 5, "items_out": 1}}),
        },
    )

    assert next_tickets(facts) == [Wanted(Stage.CAPTIONING, 1)]
    assert survey(facts)[Stage.CAPTIONING].expected == {1}


def test_a_stage_that_ends_with_nothing_ends_the_run_as_empty_and_is_named_with_its_counts() -> None:
    answer = ending(run({Stage.SELECTION: committed([0, 1], out=0)}))

    assert (answer.state, answer.stage, answer.reason) == (RunState.EMPTY, Stage.SELECTION, "NOTHING_LEFT")
    assert "10 items in, 0 out, 10 dropped" in answer.message


def test_a_stage_is_not_called_empty_before_its_last_shard() -> None:
    assert next_tickets(run({Stage.SELECTION: committed([0], out=0)})) == [Wanted(Stage.SELECTION, 1)]


def test_a_crawl_without_clusters_ends_as_empty_at_grouping() -> None:
    answer = ending(run(shards=0))

    assert (answer.state, answer.stage) == (RunState.EMPTY, Stage.GROUPING)


def test_a_dead_grouping_fails_the_run() -> None:
    answer = ending(RunFacts("01RUN", shards=None, stages={Stage.GROUPING: StageFacts(dead=frozenset({0}))}))

    assert (answer.state, answer.stage, answer.reason) == (RunState.FAILED, Stage.GROUPING, "STAGE_DEAD")


def test_a_dead_apprentice_fails_the_run() -> None:
    done = {stage: committed([0, 1]) for stage in SHARDED}

    answer = ending(run({**done, Stage.APPRENTICE: StageFacts(dead=frozenset({0}))}))

    assert (answer.state, answer.stage) == (RunState.FAILED, Stage.APPRENTICE)


def test_a_stage_whose_shards_are_all_dead_fails_the_run() -> None:
    facts = run({Stage.SELECTION: committed([0, 1]), Stage.CAPTIONING: StageFacts(dead=frozenset({0, 1}))})

    assert (ending(facts).state, ending(facts).stage) == (RunState.FAILED, Stage.CAPTIONING)


def test_a_cancelled_run_ends_wherever_it_is() -> None:
    assert ending(run(shards=None, cancelled=True)).state is RunState.CANCELLED


def test_equal_facts_give_equal_answers_however_often_asked() -> None:
    facts = run({Stage.SELECTION: committed([1, 0])}, shards=3)

    assert next_tickets(facts) == next_tickets(facts)

"""The count of items, on tallies worked out by hand."""

from suti.core.records import Stage
from suti.stages.audit import Tally, tally_stage


def test_a_sound_stage_has_each_item_once_out_or_dropped() -> None:
    tallies = [Tally(["a", "b"], left=["a"], dropped=["b"]), Tally(["c"], left=["c"], dropped=[])]

    audit = tally_stage(Stage.SELECTION, tallies, open_ids=["d"], reasons={"TOO_FAR": 1})

    assert (audit.items_in, audit.items_out, audit.open, audit.lost, audit.doubled) == (4, 2, 1, 0, 0)
    assert audit.dropped == {"TOO_FAR": 1}
    assert list(audit.suspects) == []


def test_an_item_that_went_in_and_never_came_out_is_lost_and_named() -> None:
    audit = tally_stage(Stage.SELECTION, [Tally(["a", "b"], left=["a"], dropped=[])], open_ids=[], reasons={})

    assert (audit.lost, audit.doubled, audit.suspects) == (1, 0, ["b"])


def test_an_item_that_came_out_and_was_dropped_as_well_is_doubled() -> None:
    audit = tally_stage(Stage.SELECTION, [Tally(["a"], left=["a"], dropped=["a"])], open_ids=[], reasons={})

    assert (audit.lost, audit.doubled, audit.suspects) == (0, 1, ["a"])


def test_an_item_that_two_shards_let_out_is_doubled() -> None:
    tallies = [Tally(["a"], left=["a"], dropped=[]), Tally(["b"], left=["b", "a"], dropped=[])]

    assert tally_stage(Stage.SELECTION, tallies, open_ids=[], reasons={}).doubled == 1


def test_an_item_from_nowhere_is_told() -> None:
    audit = tally_stage(Stage.SELECTION, [Tally([], left=["ghost"], dropped=[])], open_ids=[], reasons={})

    assert (audit.doubled, audit.suspects) == (1, ["ghost"])

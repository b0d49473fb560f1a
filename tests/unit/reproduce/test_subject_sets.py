"""Prompts and noise are settled before demonstrations: cells are paired."""

from suti.core.records import Skill
from suti.reproduce.subject_sets import MOST_DEMONSTRATIONS, REFERENCES, SubjectSet, skill_of
from suti.toyworld.seeds import Namespace, namespace_of


def test_a_number_is_the_same_subject_prompt_and_noise_however_many_are_asked_for() -> None:
    few, many = SubjectSet(subjects=2, pictures_each=2), SubjectSet(subjects=5, pictures_each=4)
    for number in range(2):
        one, other = few.asked(number), many.asked(number)
        assert (one.unseen.subject, one.wanted) == (other.unseen.subject, other.wanted)
        assert one.seeds == other.seeds[:2]
        assert one.unseen.demonstrations == other.unseen.demonstrations


def test_another_seed_has_other_subjects() -> None:
    one, other = SubjectSet(subjects=3), SubjectSet(subjects=3, seed=1)
    assert not {one.asked(n).unseen.subject for n in range(3)} & {other.asked(n).unseen.subject for n in range(3)}


def test_subjects_of_a_skill_are_those_of_every_other_skill() -> None:
    sets = {skill: SubjectSet(subjects=3, skill=skill) for skill in Skill}
    for number in range(3):
        asked = {skill: some.asked(number) for skill, some in sets.items()}
        assert len({one.unseen.subject for one in asked.values()}) == 1
        assert all(one.skill is skill is skill_of(one.wanted.view) for skill, one in asked.items())


def test_every_skill_has_its_turn() -> None:
    some = SubjectSet(subjects=8)
    assert {some.asked(number).skill for number in range(8)} == set(Skill)


def test_nobody_was_trained_on_and_references_are_the_first_demonstrations() -> None:
    asked = SubjectSet(subjects=1).asked(0)
    assert namespace_of(asked.unseen.subject) is Namespace.EVALUATION
    assert len(asked.unseen.demonstrations) == MOST_DEMONSTRATIONS
    assert asked.references == asked.unseen.demonstrations[:REFERENCES]

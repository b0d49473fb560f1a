"""Which skills does a system have: another place, another colour, another style, something worn (SuTI, figure 8)?"""

from suti.core.records import Skill
from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, columns
from suti.reproduce.figures import groups
from suti.reproduce.scale import Scale

_DRAWN = ("suti", "re-imagen", "base")  # for each skill its own prompts
_SHARED = ("dream-suti", "dreambooth", "lora", "textual-inversion")  # what Table 1 drew: a share of its pictures
_TITLE = "Which skills does it have?"


def skills(scale: Scale) -> Experiment:
    """Every skill apart."""
    conditions = [one for skill in Skill for one in _of_skill(scale, skill)]
    return Experiment(
        name="skills",
        question=_TITLE,
        conditions=conditions,
        figure=lambda rows: groups(rows, title=_TITLE, groups=[skill.value for skill in Skill]),
        about=(
            "Those that nothing is tuned for draw every subject once for each skill. Of those that are tuned subject "
            "by subject, Table 1's pictures are taken apart by skill: fewer of each, and other prompts."
        ),
        columns=columns("re-imagen"),
    )


def _of_skill(scale: Scale, skill: Skill) -> list[Condition]:
    drawn = [
        Condition(
            system,
            skill.value,
            scale.drawings(system, skill=skill),
            against={"re-imagen": f"re-imagen, {skill}"} if system == "suti" else {},
        )
        for system in _DRAWN
    ]
    shared = [Condition(system, skill.value, scale.drawings(system), skill=skill) for system in _SHARED]
    real = Condition("real", skill.value, scale.truth("real", skill=skill))
    return [real, *drawn, *shared, Condition("chance", skill.value, scale.truth("stranger", skill=skill))]

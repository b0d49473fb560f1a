"""How many steps a rival is tuned for on a subject, and the same rival with another number of them."""

from suti.ml.rivals.dream_suti import DreamSuti
from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.fine_tuned import DreamBooth, Lora
from suti.ml.rivals.textual_inversion import TextualInversion
from suti.reproduce.drawings import Truth


def steps_of(rival: AnyRival | Truth) -> int:
    """0 for those that nothing is tuned for."""
    match rival:
        case DreamBooth() | Lora():
            return rival.tuning.steps
        case TextualInversion() | DreamSuti():
            return rival.steps
        case _:
            return 0


def with_steps(rival: AnyRival, steps: int) -> AnyRival:
    """The same recipe, tuned for so many steps; one that nothing is tuned for stays as it is."""
    match rival:
        case DreamBooth() | Lora():
            return rival.model_copy(update={"tuning": rival.tuning.model_copy(update={"steps": steps})})
        case TextualInversion() | DreamSuti():
            return rival.model_copy(update={"steps": steps})
        case _:
            return rival

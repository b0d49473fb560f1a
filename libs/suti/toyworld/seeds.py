"""Which subjects are for what: training, crawls and evaluation never share one.

Identities are split by a hash of their traits, so that what a model was trained on is settled by what a subject is, and
not by which program drew it.
"""

from enum import StrEnum
from typing import Final

from suti.core.seeds import derive_seed
from suti.toyworld.subjects import Subject, draw_subject


class Namespace(StrEnum):
    """What a subject may be used for."""

    TRAIN = "toy-train"  # the toy models
    CRAWL = "toy-crawl"  # pages of a drawn crawl: experts, apprentice
    EVALUATION = "toy-evaluation"  # drawn at the end, seen by no training


_SIXTEENTHS: Final = {Namespace.TRAIN: range(12), Namespace.CRAWL: range(12, 14), Namespace.EVALUATION: range(14, 16)}


def namespace_of(subject: Subject) -> Namespace:
    """The one namespace that an identity belongs to."""
    sixteenth = subject.digest % 16
    return next(namespace for namespace, share in _SIXTEENTHS.items() if sixteenth in share)


def subject_of(namespace: Namespace, number: int, *, seed: int = 0, kind: str | None = None) -> Subject:
    """The subject of a namespace with a number, the same for the same arguments."""
    attempt = 0
    while True:
        subject = draw_subject(derive_seed(seed, namespace, number, attempt), kind=kind)
        if namespace_of(subject) is namespace:
            return subject
        attempt += 1


def view_seed(namespace: Namespace, number: int, view: str | int, *, seed: int = 0) -> int:
    """The seed of one view of a subject, for `draw_view` and `caption`."""
    return derive_seed(seed, namespace, number, "view", view)

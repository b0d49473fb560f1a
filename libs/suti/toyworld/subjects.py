"""Who is drawn: a subject is a tuple of independent traits, each of which shows at 32 x 32 pixels."""

import hashlib
import random
from dataclasses import astuple, dataclass, fields, replace

from suti.core.errors import InvalidArgument
from suti.toyworld import words

# A cat without its pointed ears is no cat, so it has no other ears.
_TOPS_OF = {"cat": ("none", "antenna", "mohawk", "bow")}


@dataclass(frozen=True)
class Subject:
    """One identity. Values are keys of `suti.toyworld.words`; the three colours differ."""

    kind: str
    form: str
    aspect: str
    top: str
    side: str
    eyes: str
    pattern: str
    colour_body: str
    colour_second: str
    colour_accent: str

    @property
    def digest(self) -> int:
        """A number in [0, 2**64) that depends on the traits alone."""
        text = "\x1f".join(astuple(self))
        return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big")


TRAITS = tuple(field.name for field in fields(Subject) if field.name != "kind")


def choices(kind: str, trait: str) -> tuple[str, ...]:
    """Every value that a trait may have in subjects of a kind."""
    match trait:
        case "top":
            return _TOPS_OF.get(kind, tuple(words.TOPS))
        case "form" | "aspect" | "side" | "eyes" | "pattern":
            lists = {"form": words.FORMS, "aspect": words.ASPECTS, "side": words.SIDES, "eyes": words.EYES}
            return tuple(lists.get(trait, words.PATTERNS))
        case _:
            return tuple(words.COLOURS)


def draw_subject(seed: int, *, kind: str | None = None) -> Subject:
    """A subject of chance, the same for the same seed.

    Raises:
        InvalidArgument: no such kind.
    """
    choose = random.Random(seed)  # noqa: S311 - repeatable on purpose
    chosen = choose.choice(words.KINDS) if kind is None else kind
    if chosen not in words.KINDS:
        raise InvalidArgument("kind", f"{chosen!r} is none of {', '.join(words.KINDS)}")
    body, second, accent = choose.sample(tuple(words.COLOURS), 3)
    return Subject(
        kind=chosen,
        form=choose.choice(choices(chosen, "form")),
        aspect=choose.choice(choices(chosen, "aspect")),
        top=choose.choice(choices(chosen, "top")),
        side=choose.choice(choices(chosen, "side")),
        eyes=choose.choice(choices(chosen, "eyes")),
        pattern=choose.choice(choices(chosen, "pattern")),
        colour_body=body,
        colour_second=second,
        colour_accent=accent,
    )


def differing_traits(one: Subject, other: Subject) -> set[str]:
    """The names of the traits (and `kind`) in which two subjects differ."""
    return {field.name for field in fields(Subject) if getattr(one, field.name) != getattr(other, field.name)}


def is_apart(one: Subject, other: Subject) -> bool:
    """Whether two subjects differ in at least two traits, one of which is no colour."""
    differing = differing_traits(one, other)
    return len(differing) >= 2 and any(not trait.startswith("colour_") for trait in differing)


def distractors(subject: Subject, seed: int, count: int) -> list[Subject]:
    """Subjects of the same kind that are apart (see `is_apart`) from the subject and from one another.

    One half are strangers, one half look alike: they share all but two or three traits.
    """
    choose = random.Random(seed)  # noqa: S311 - repeatable on purpose
    found: list[Subject] = []
    while len(found) < count:
        if len(found) % 2 == 0:
            other = draw_subject(choose.getrandbits(63), kind=subject.kind)
        else:
            other = _lookalike(subject, choose)
        if all(is_apart(other, known) for known in (subject, *found)):
            found.append(other)
    return found


def _lookalike(subject: Subject, choose: random.Random) -> Subject:
    changed = subject
    for trait in choose.sample(TRAITS, choose.choice((2, 3))):
        taken = {changed.colour_body, changed.colour_second, changed.colour_accent}
        free = [value for value in choices(subject.kind, trait) if value != getattr(changed, trait)]
        if trait.startswith("colour_"):
            free = [value for value in free if value not in taken]
        changed = replace(changed, **{trait: choose.choice(free)})
    return changed

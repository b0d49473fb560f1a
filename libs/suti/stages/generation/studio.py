"""From what a caller wants to pictures: model, subject, way of drawing, drawing, and a last look before they go out."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suti.core.seeds import derive_seed
from suti.stages.generation.entries import ModelEntry
from suti.stages.generation.order import DrawOrder, SubjectNotSupported, SubjectRequired
from suti.stages.generation.painter import DrawnSubject, Painted, Painter, PaintOrder, Told
from suti.stages.generation.shelf import ModelShelf
from suti.stages.generation.subjects import Demonstration, SubjectShelf, digest_of
from suti.stages.screens import Screen, pass_screen


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures and how they came about."""

    model: ModelEntry
    seeds: tuple[int, ...]
    subject_digest: str  # empty if nobody in particular was drawn
    painted: Painted


class Studio:
    """Draws orders. Everything that blocks runs in threads; torch in the painter's alone."""

    def __init__(
        self, shelf: ModelShelf, subjects: SubjectShelf, painter: Painter, *, screen: Screen | None = None
    ) -> None:
        self._shelf = shelf
        self._subjects = subjects
        self._painter = painter
        self._screen = screen

    async def draw(
        self,
        order: DrawOrder,
        *,
        subject_id: str = "",
        demonstrations: Sequence[Demonstration] = (),
        deadline_s: float,
        tell: Callable[[Told], None],
    ) -> Drawn:
        """The order's pictures. Cancelling stops the drawing within a step.

        Raises:
            InvalidArgument: a subclass that names what is out of its range.
            UnknownModel, SubjectMissing, SubjectNotSupported, SubjectRequired: what it names is not there or unfit.
            Overloaded, DeadlinePassed, DrawingDiverged, PicturesScreened, ScreenIncomplete: as their texts say.
        """
        order.check()
        model = await asyncio.to_thread(self._shelf.find, order.model)
        order.check_size(model.size_px, model.name)
        asked = bool(subject_id or demonstrations)
        if asked and not model.sees_subjects:
            raise SubjectNotSupported(
                f"{model.name} draws from text alone: name an apprentice, or leave the subject out"
            )
        if not asked and model.sees_subjects:
            raise SubjectRequired(f"{model.name} draws subjects: name one or send demonstrations, or name a base model")
        subject = await asyncio.to_thread(self._subject, subject_id, tuple(demonstrations)) if asked else None
        seeds = tuple(derive_seed(order.seed, "generation", index) for index in range(order.count))
        painted = await self._painter.paint(
            PaintOrder(
                model=model,
                recipe=order.recipe(model.sampling),
                prompt=order.prompt,
                avoid=order.avoid,
                seeds=seeds,
                subject=subject,
                preview_steps=0 if self._screen else order.preview_steps,  # nothing goes out unseen by the screen
            ),
            deadline_s=deadline_s,
            tell=tell,
        )
        if self._screen is not None:
            await asyncio.to_thread(pass_screen, self._screen, order.prompt, painted.pictures)
        return Drawn(model=model, seeds=seeds, subject_digest=subject.digest if subject else "", painted=painted)

    def _subject(self, subject_id: str, demonstrations: tuple[Demonstration, ...]) -> DrawnSubject:
        if demonstrations:
            return DrawnSubject(
                digest=digest_of(demonstrations), demonstrations=lambda: demonstrations, count=len(demonstrations)
            )
        subject = self._subjects.get(subject_id)
        return DrawnSubject(
            digest=subject.digest,
            demonstrations=lambda: self._subjects.demonstrations(subject),
            count=len(subject.captions),
            subject_id=subject.subject_id,
        )

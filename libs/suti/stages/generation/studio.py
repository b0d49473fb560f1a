"""From what a caller wants to pictures: model, subject, way of drawing, drawing, and a last look before they go out."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suti.core.seeds import derive_seed
from suti.stages.generation.enlarging import GivenPicture, chain_of
from suti.stages.generation.entries import ModelEntry
from suti.stages.generation.order import DrawOrder, DrawsNothing, SubjectNotSupported, SubjectRequired
from suti.stages.generation.painter import Drawing, DrawnSubject, Painted, Painter, PaintOrder, Told
from suti.stages.generation.registry import ModelRegistry
from suti.stages.generation.subjects import Demonstration, SubjectRepository, digest_of
from suti.stages.screens import Screen, pass_screen


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures and how they came about."""

    model: ModelEntry | None  # None if the pictures were given
    seeds: tuple[int, ...]
    subject_digest: str  # empty if nobody in particular was drawn
    painted: Painted
    enlarged_with: tuple[ModelEntry, ...] = ()
    given_sha256: tuple[str, ...] = ()  # of the pixels of those that were given


class Studio:
    """Draws orders. Everything that blocks runs in threads; torch in the painter's alone."""

    def __init__(
        self, registry: ModelRegistry, subjects: SubjectRepository, painter: Painter, *, screen: Screen | None = None
    ) -> None:
        self._registry = registry
        self._subjects = subjects
        self._painter = painter
        self._screen = screen

    async def draw(
        self,
        order: DrawOrder,
        *,
        subject_id: str = "",
        demonstrations: Sequence[Demonstration] = (),
        given: Sequence[GivenPicture] = (),
        deadline_s: float,
        tell: Callable[[Told], None],
    ) -> Drawn:
        """The order's pictures, drawn, or `given` and enlarged. Cancelling stops the drawing within a step.

        Raises:
            InvalidArgument: a subclass that names what is out of its range.
            UnknownModel, SubjectMissing, SubjectNotSupported, SubjectRequired: what it names is not there or unfit.
            SizeDoesNotFit, NoiseLevelOutOfRange: a model does not enlarge what reaches it.
            Overloaded, DeadlinePassed, DrawingDiverged, PicturesScreened, ScreenIncomplete: as their texts say.
        """
        order.check()
        asked = bool(subject_id or demonstrations)
        if asked and given:
            raise DrawsNothing("subject", "nobody is drawn where pictures are given: leave out one of both")
        enlargers = [await asyncio.to_thread(self._registry.find_enlarger, name) for name in order.enlarge_with]
        drawing = None if given else await self._drawing(order, subject_id, tuple(demonstrations))
        size_px = (drawing.model.size_px,) * 2 if drawing else given[0].picture.size
        seeds = tuple(derive_seed(order.seed, "generation", index) for index in range(order.count))
        painted = await self._painter.paint(
            PaintOrder(
                pictures=drawing or tuple(given),
                prompt=order.prompt,
                avoid=order.avoid,
                seeds=seeds,
                enlargements=chain_of(
                    enlargers, width_px=size_px[0], height_px=size_px[1], noise_level=order.noise_level
                ),
            ),
            deadline_s=deadline_s,
            tell=tell,
        )
        if self._screen is not None:
            await asyncio.to_thread(pass_screen, self._screen, order.prompt, painted.pictures)
        subject = drawing.subject if drawing else None
        return Drawn(
            model=drawing.model if drawing else None,
            seeds=seeds,
            subject_digest=subject.digest if subject else "",
            painted=painted,
            enlarged_with=tuple(enlargers),
            given_sha256=tuple(one.pixels_sha256 for one in given),
        )

    async def _drawing(self, order: DrawOrder, subject_id: str, demonstrations: tuple[Demonstration, ...]) -> Drawing:
        model = await asyncio.to_thread(self._registry.find, order.model)
        order.check_size(model.size_px, model.name)
        asked = bool(subject_id or demonstrations)
        if asked and not model.sees_subjects:
            raise SubjectNotSupported(
                f"{model.name} draws from text alone: name an apprentice, or leave the subject out"
            )
        if not asked and model.sees_subjects:
            raise SubjectRequired(f"{model.name} draws subjects: name one or send demonstrations, or name a base model")
        return Drawing(
            model=model,
            recipe=order.recipe(model.sampling),
            subject=await asyncio.to_thread(self._subject, subject_id, demonstrations) if asked else None,
            preview_steps=0 if self._screen else order.preview_steps,  # nothing goes out unseen by the screen
        )

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

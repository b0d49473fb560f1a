"""The one thread that draws: orders wait in a queue, and those of one form are drawn side by side.

Legend: N pictures, C channels, H height, W width.
"""

import asyncio
import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from PIL import Image
from torch import Tensor

from suti.core.errors import PermanentError, RetryableError
from suti.infra.telemetry.metrics import count_drawn, count_waiting
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.pixels import as_tensor, picture_to_tensor, tensor_to_picture
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.png import png_of
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.drawing import Step, draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel
from suti.ml.super_resolution.cascade import CascadeStage, enlarge_in_stages
from suti.stages.generation.contexts import ContextCache, ContextKey
from suti.stages.generation.enlarging import Enlargement, GivenPicture, steps_of
from suti.stages.generation.entries import ModelEntry
from suti.stages.generation.registry import ModelRegistry
from suti.stages.generation.subjects import Demonstration
from suti.stages.one_thread import Overloaded


class DeadlinePassed(RetryableError):
    """The caller's deadline passed before the pictures were done."""

    reason: ClassVar[str] = "DEADLINE_PASSED"
    grpc_code = "DEADLINE_EXCEEDED"


class DrawingDiverged(PermanentError):
    """A picture is not made of numbers."""

    reason: ClassVar[str] = "DRAWING_DIVERGED"


@dataclass(frozen=True)
class DrawnSubject:
    """Who is to be drawn."""

    digest: str
    demonstrations: Callable[[], Sequence[Demonstration]]  # asked only if nobody encoded the subject yet
    count: int
    subject_id: str = ""  # empty for one that was handed in with its order


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Who draws, how, and whom."""

    model: ModelEntry
    recipe: SamplingRecipe
    subject: DrawnSubject | None = None
    preview_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class PaintOrder:
    """Pictures of one prompt, everything decided: drawn or given, and perhaps enlarged."""

    pictures: Drawing | tuple[GivenPicture, ...]
    prompt: str
    avoid: str = ""
    seeds: tuple[int, ...]
    enlargements: tuple[Enlargement, ...] = ()

    @property
    def form(self) -> object:
        """Orders of equal form can be drawn in one batch."""
        enlarged = tuple((one.model.sha256, one.recipe) for one in self.enlargements)
        if isinstance(self.pictures, tuple):
            return (self.pictures[0].picture.size, enlarged)
        subject = self.pictures.subject
        return (self.pictures.model.sha256, self.pictures.recipe, subject.count if subject else None, enlarged)


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits, with so many orders before it."""

    place: int


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step is done."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A look at the unfinished pictures."""

    step: int
    pngs: tuple[bytes, ...]


Told = Queued | StepDone | Preview


@dataclass(frozen=True, slots=True)
class Painted:
    """Pictures, with the times it took in seconds."""

    pictures: tuple[Image.Image, ...]
    queued_s: float
    encode_s: float
    draw_s: float
    enlarge_s: float = 0.0


@dataclass(eq=False)
class _Job:
    order: PaintOrder
    tell: Callable[[Told], None]
    deadline: float  # on time.monotonic's clock
    done: asyncio.Future[Painted]
    came: float = field(default_factory=time.monotonic)
    unwanted: threading.Event = field(default_factory=threading.Event)
    alone: bool = False  # its batch failed, so it is tried without neighbours

    def given_up(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.unwanted.is_set() or time.monotonic() > self.deadline


class _NobodyWaits(Exception):
    """Ends a drawing between two steps."""


class Painter:
    """Draws orders one batch after the other, in a thread of its own. `paint` is for the event loop that runs `run`."""

    def __init__(
        self, models: ModelRegistry, contexts: ContextCache, *, max_waiting: int, batch_pictures: int, threads: int
    ) -> None:
        self._models = models
        self._contexts = contexts
        self._max_waiting = max_waiting
        self._batch_pictures = batch_pictures  # 1: every order is drawn by itself
        self._waiting: list[_Job] = []
        self._drawing: list[_Job] = []
        self._ended = False
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "painter", initializer=lambda: torch.set_num_threads(threads))

    @property
    def waiting(self) -> int:
        """Orders in the queue."""
        return len(self._waiting)

    async def paint(self, order: PaintOrder, *, deadline_s: float, tell: Callable[[Told], None]) -> Painted:
        """The order's pictures. Cancelling this call stops the drawing within a step. `tell` runs on this loop.

        Raises:
            Overloaded: too many orders wait already.
            DeadlinePassed: it would come too late.
            DrawingDiverged: a picture is not made of numbers.
        """
        if self._ended:
            raise Overloaded("this process is just stopping: try again")
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded(f"{len(self._waiting)} requests wait already: try again later, or run more replicas")
        loop = asyncio.get_running_loop()
        job = _Job(order, tell, deadline=time.monotonic() + deadline_s, done=loop.create_future())
        self._waiting.append(job)
        count_waiting(1)
        tell(Queued(len(self._waiting) - 1))
        self._came.set()
        try:
            return await asyncio.wait_for(asyncio.shield(job.done), deadline_s)
        except TimeoutError:
            raise DeadlinePassed(
                f"not done within {deadline_s:.1f} s: allow more time, or ask for fewer pictures or steps"
            ) from None
        finally:
            count_waiting(-1)
            job.unwanted.set()
            if job in self._waiting:
                self._waiting.remove(job)
                self._tell_places()
            job.done.cancel()

    async def run(self, stop: asyncio.Event) -> None:
        """Draws what comes until `stop`, then what is in the queue; ends when that is empty."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(stop.wait())
        try:
            while self._waiting or not stop.is_set():
                if not self._waiting:
                    self._came.clear()
                    coming = asyncio.create_task(self._came.wait())
                    await asyncio.wait([coming, stopping], return_when=asyncio.FIRST_COMPLETED)
                    coming.cancel()
                    continue
                self._drawing = batch = self._next_batch()
                try:
                    painted = await loop.run_in_executor(self._thread, self._draw, batch, loop)
                except Exception as error:  # noqa: BLE001 - it belongs to who asked
                    self._fail(batch, error)
                    continue
                for job, result in zip(batch, painted, strict=True):
                    if not job.done.done():
                        count_drawn(len(result.pictures))
                        job.done.set_result(result)
        finally:
            self._ended = True
            for job in (*self._drawing, *self._waiting):
                job.unwanted.set()
            stopping.cancel()
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _fail(self, batch: Sequence[_Job], error: Exception) -> None:
        """An order that fails by itself has failed; of several, nobody knows whose fault it is: each is tried alone."""
        if len(batch) == 1:
            if not batch[0].done.done():
                batch[0].done.set_exception(error)
            return
        again = [job for job in batch if not job.given_up()]
        for job in again:
            job.alone = True
        self._waiting[:0] = again

    def _next_batch(self) -> list[_Job]:
        """The oldest order, and those of its form that fit beside it."""
        first = self._waiting[0]
        batch, pictures = [first], len(first.order.seeds)
        for job in [] if first.alone else self._waiting[1:]:
            if (
                not job.alone
                and job.order.form == first.order.form
                and pictures + len(job.order.seeds) <= self._batch_pictures
            ):
                batch.append(job)
                pictures += len(job.order.seeds)
        self._waiting = [job for job in self._waiting if job not in batch]
        self._tell_places()
        return batch

    def _tell_places(self) -> None:
        for place, job in enumerate(self._waiting):
            job.tell(Queued(place))

    def _draw(self, batch: Sequence[_Job], loop: asyncio.AbstractEventLoop) -> list[Painted]:
        """Runs in the painter's thread."""
        began = time.monotonic()
        work = _Batch(batch, loop)
        try:
            small_NCHW, encoded = self._small_pictures(work)
            drawn = time.monotonic()
            pictures_NCHW = self._enlarged(work, small_NCHW)
        except _NobodyWaits:
            raise DeadlinePassed("nobody waits for these pictures any more: ask again with more time") from None
        pictures = iter([tensor_to_picture(picture_CHW) for picture_CHW in pictures_NCHW])
        ended = time.monotonic()
        enlarges = bool(work.orders[0].enlargements)
        return [
            Painted(
                pictures=tuple(next(pictures) for _ in range(count)),
                queued_s=began - job.came,
                encode_s=encoded - began,
                draw_s=(drawn if enlarges else ended) - encoded,
                enlarge_s=ended - drawn if enlarges else 0.0,
            )
            for job, count in zip(batch, work.counts, strict=True)
        ]

    def _small_pictures(self, work: "_Batch") -> tuple[Tensor, float]:
        """Pictures as they are drawn, or given, and when drawing began. Shape: (N, 3, H, W) in [-1, 1]."""
        drawings = [order.pictures for order in work.orders if isinstance(order.pictures, Drawing)]
        if not drawings:
            given = [one for order in work.orders for one in cast("tuple[GivenPicture, ...]", order.pictures)]
            return torch.stack([as_tensor(one.picture) for one in given]), time.monotonic()
        model = self._models.load(drawings[0].model)
        subject = self._subject(model, drawings, work.counts)
        encoded = time.monotonic()
        drawn_NCHW = draw_subject_pictures(
            model,
            prompts=work.prompts,
            seeds=work.seeds,
            subject=subject,
            recipe=drawings[0].recipe,
            avoid=work.avoid,
            on_step=lambda step: work.drawn(step, model),
        )
        return _numbers(to_pictures(model.base, drawn_NCHW)), encoded

    def _enlarged(self, work: "_Batch", small_NCHW: Tensor) -> Tensor:
        """Pictures after the orders' chain. Shapes: (N, 3, H, W) in [-1, 1] -> (N, 3, F H, F W)."""
        chain = work.orders[0].enlargements
        if not chain:
            return small_NCHW
        stages = [CascadeStage(self._models.load_enlarger(one.model), one.recipe) for one in chain]
        return _numbers(
            enlarge_in_stages(
                stages, small_NCHW, prompts=work.prompts, seeds=work.seeds, avoid=work.avoid, on_step=work.enlarged
            )
        )

    def _subject(
        self, model: SubjectModel, drawings: Sequence[Drawing], counts: Sequence[int]
    ) -> SubjectContext | None:
        contexts = [self._context(model, one.model, one.subject) for one in drawings if one.subject]
        if not contexts:
            return None
        if len(set(counts)) == 1:  # each subject's pictures side by side share its keys
            return SubjectContext.join(contexts) if len(contexts) > 1 else contexts[0]
        return SubjectContext.join(contexts).select([row for row, count in enumerate(counts) for _ in range(count)])

    def _context(self, model: SubjectModel, entry: ModelEntry, subject: DrawnSubject) -> SubjectContext:
        def encode() -> SubjectContext:
            shown = subject.demonstrations()
            pictures_KCHW = torch.stack(
                [picture_to_tensor(Image.open(io.BytesIO(one.png)), model.base.size_px) for one in shown]
            )
            return encode_subject(model, pictures_KCHW, [one.caption for one in shown])

        key = ContextKey(model_sha256=entry.sha256, subject_digest=subject.digest)
        return self._contexts.get(key, encode, subject_id=subject.subject_id)


class _Batch:
    """Jobs of one form side by side, and how far they are."""

    def __init__(self, jobs: Sequence[_Job], loop: asyncio.AbstractEventLoop) -> None:
        self.orders = [job.order for job in jobs]
        self.counts = [len(order.seeds) for order in self.orders]
        self.seeds = [seed for order in self.orders for seed in order.seeds]
        self.prompts = [order.prompt for order in self.orders for _ in order.seeds]
        self.avoid = [order.avoid for order in self.orders for _ in order.seeds]
        self._jobs, self._loop = jobs, loop
        self._done = 0
        self._of_drawing = 0
        self._of_enlarging = steps_of(self.orders[0].enlargements, len(self.seeds))

    def drawn(self, step: Step, model: SubjectModel) -> None:
        """Every order learns of the step; the model's guess is decoded for those who want to look, and never last."""
        self._of_drawing = step.total
        self._step()
        start = 0
        for job, count in zip(self._jobs, self.counts, strict=True):
            pictures = job.order.pictures
            every = pictures.preview_steps if isinstance(pictures, Drawing) else 0
            if every and step.done % every == 0 and step.done < step.total and not job.given_up():
                guess_NCHW = to_pictures(model.base, step.estimate()[start : start + count])
                pngs = tuple(png_of(tensor_to_picture(picture_CHW)) for picture_CHW in guess_NCHW)
                self._loop.call_soon_threadsafe(job.tell, Preview(step.done, pngs))
            start += count

    def enlarged(self) -> None:
        """Every order learns of a step of enlarging."""
        self._step()

    def _step(self) -> None:
        if all(job.given_up() for job in self._jobs):
            raise _NobodyWaits
        self._done += 1
        for job in self._jobs:
            told = StepDone(self._done, self._of_drawing + self._of_enlarging)
            self._loop.call_soon_threadsafe(job.tell, told)


def _numbers(pictures_NCHW: Tensor) -> Tensor:
    """The pictures, if they are made of numbers. Raises DrawingDiverged."""
    if not bool(torch.isfinite(pictures_NCHW).all()):
        raise DrawingDiverged("a picture is not made of numbers: lower the guidance, or use another model")
    return pictures_NCHW

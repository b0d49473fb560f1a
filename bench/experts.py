"""What tuning many experts in one batch saves against one by one, and what each of them takes in memory."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

from bench.measure import Ratio, of_ratios
from bench.models import TOY_MODELS
from suti.ml.diffusion.base import Base, load_base
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.drawing_together import draw_together
from suti.ml.experts.lora import new_adapter, with_lora
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.together import Lesson, tune_together
from suti.ml.experts.tuning import Expert, tune_expert

_RECIPE = ExpertRecipe(
    method="lora",
    optimizer="adamw",
    learning_rate=5e-4,
    steps=8,
    batch_pictures=4,
    sampling=SamplingRecipe(sampler="dpmsolver++", steps=6, guidance=3.0, batch_pictures=8),
)
_WARM_UP = 2  # steps that no clock sees: the first ones allocate
_PICTURES = 4
_DRAWING = 16
_ORDERS = [Order("a photo of a robot in the snow", seed) for seed in range(8)]


def run() -> list[Ratio]:
    """Expert-steps and candidates per second of N together ÷ one by one; memory of one more expert.

    In one thread, as a run's default is, and in processor time, so that neighbours are left out; the last with all
    threads and by the clock.
    """
    base = load_base(TOY_MODELS / "base")
    everywhere = _RECIPE.model_copy(update={"lora_targets": ("attention", "feedforward", "convs", "time")})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one_thread = [
            _tuning(base, 1, repeats=3),
            _tuning(base, 4, repeats=5),
            _tuning(base, 16, repeats=5, at_least=1.3),
            _tuning(base, 64, repeats=2, recipe=_RECIPE.model_copy(update={"steps": 5})),
            _tuning(base, 16, repeats=5, dtype="bfloat16", note=", bfloat16"),
            _tuning(base, 16, repeats=3, recipe=everywhere, note=", every layer"),
            _drawing(base),
        ]
    finally:
        torch.set_num_threads(threads)
    return [*one_thread, _tuning(base, 16, repeats=5, clock=time.perf_counter, note=", all threads"), _memory(base)]


def _tuning(
    base: Base,
    count: int,
    *,
    repeats: int,
    recipe: ExpertRecipe = _RECIPE,
    dtype: str = "float32",
    clock: Callable[[], float] = time.process_time,
    note: str = "",
    at_least: float | None = None,
) -> Ratio:
    lessons = [_lesson(base, expert) for expert in range(count)]
    ratios: list[float] = []
    for _ in range(repeats):
        alone_s = _step_s(lambda tick: _alone(base, lessons[0], recipe, dtype, tick), clock)
        together_s = _step_s(lambda tick: _together(base, lessons, recipe, dtype, tick), clock)
        ratios.append(count * alone_s / together_s)
    return of_ratios(f"experts, steps/s of {count} together / one by one{note}", ratios, at_least=at_least)


def _alone(base: Base, lesson: Lesson, recipe: ExpertRecipe, dtype: str, tick: Callable[[], None]) -> None:
    tune_expert(
        base,
        lesson.pictures_PCHW,
        lesson.texts,
        recipe=recipe,
        seed=lesson.seed,
        dtype=dtype,
        callback=lambda _step, _steps, _loss: tick(),
    )


def _together(
    base: Base, lessons: Sequence[Lesson], recipe: ExpertRecipe, dtype: str, tick: Callable[[], None]
) -> None:
    tune_together(base, lessons, recipe=recipe, dtype=dtype, callback=lambda _step, _steps, _experts: tick())


def _step_s(tune: Callable[[Callable[[], None]], None], clock: Callable[[], float]) -> float:
    """Median seconds of a step, without what comes before the first."""
    ticks: list[float] = []
    tune(lambda: ticks.append(clock()))
    return statistics.median(after - before for before, after in pairwise(ticks[_WARM_UP:]))


def _drawing(base: Base) -> Ratio:
    adapters = [new_adapter(base.unet, rank=16, targets=("attention",), seed=seed) for seed in range(_DRAWING)]
    alone = Expert(base, with_lora(base.unet, rank=16, seed=0).eval(), base.text, losses=())
    ratios: list[float] = []
    for _ in range(3):
        start = time.process_time()
        list(draw_candidates(alone, _ORDERS, recipe=_RECIPE.sampling))
        middle = time.process_time()
        draw_together(base, adapters, [_ORDERS] * _DRAWING, recipe=_RECIPE)
        ratios.append(_DRAWING * (middle - start) / (time.process_time() - middle))
    return of_ratios(f"experts, candidates/s of {_DRAWING} together / one by one", ratios)


def _memory(base: Base) -> Ratio:
    """Each figure from processes of their own: how much higher the peak of 16 experts is than that of one."""
    weights = sum(weight.nbytes for weight in base.unet.parameters())
    grown = [(_peak_bytes(16) - _peak_bytes(1)) / 15 for _ in range(3)]
    return of_ratios("experts, memory of one more / the base's weights", [bytes_ / weights for bytes_ in grown])


def _peak_bytes(count: int) -> int:
    command = [sys.executable, "-m", "bench.experts", str(count)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - our own module


def _lesson(base: Base, number: int) -> Lesson:
    size, generator = base.size_px, torch.Generator().manual_seed(number)
    pictures_PCHW = torch.rand(_PICTURES, 3, size, size, generator=generator) * 2 - 1
    return Lesson(pictures_PCHW, [f"a photo of a robot, view {index}" for index in range(_PICTURES)], seed=number)


if __name__ == "__main__":
    toy = load_base(TOY_MODELS / "base")
    tune_together(toy, [_lesson(toy, expert) for expert in range(int(sys.argv[1]))], recipe=_RECIPE)
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))

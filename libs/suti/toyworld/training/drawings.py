"""What the toy models learn from: subjects of the training namespace alone, drawn once and kept in a cache.

Legend: P pictures, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from suti.core.records import Skill
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View, draw_view

_CHUNK = 512  # subjects in one piece of work


@dataclass(frozen=True)
class Drawings:
    """Subjects with the same number of views each, side by side."""

    subjects: Sequence[Subject]  # one for each picture
    views: Sequence[View]
    pictures_PCHW: Tensor  # uint8
    views_each: int


def draw_raw_clusters(count: int, *, views_each: int, size_px: int, cache: Path, processes: int = 2) -> Drawings:
    """Subjects as pages of the web show them: natural views, no skill asked for."""
    return _drawn("clusters", range(count), views_each, lambda _number, _view: None, size_px, cache, processes)


def draw_of_all_skills(count: int, *, size_px: int, cache: Path, processes: int = 2) -> Drawings:
    """One view each of other subjects, of every skill in turn and as often without one."""
    skills = tuple(Skill)
    first = 10_000_000  # numbers that no raw cluster has
    return _drawn(
        "skills",
        range(first, first + count),
        1,
        lambda number, _view: skills[number % 5 - 1] if number % 5 else None,
        size_px,
        cache,
        processes,
    )


def _drawn(  # noqa: PLR0917 - private, two callers
    name: str,
    numbers: range,
    views_each: int,
    skill_of: Callable[[int, int], Skill | None],
    size_px: int,
    cache: Path,
    processes: int,
) -> Drawings:
    subjects: list[Subject] = []
    views: list[View] = []
    for number in numbers:
        subject = subject_of(Namespace.TRAIN, number)
        for view in range(views_each):
            subjects.append(subject)
            views.append(draw_view(view_seed(Namespace.TRAIN, number, view), skill=skill_of(number, view)))
    path = cache / f"{name}-{len(numbers)}x{views_each}-{size_px}px.safetensors"
    if not path.exists():
        pieces = [slice(start, start + _CHUNK) for start in range(0, len(subjects), _CHUNK)]
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            drawn = pool.map(
                _render, [subjects[p] for p in pieces], [views[p] for p in pieces], [size_px] * len(pieces)
            )
            pictures_PCHW = torch.cat([torch.from_numpy(piece) for piece in drawn])
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"pictures": pictures_PCHW}, path)
    return Drawings(subjects, views, load_file(path)["pictures"], views_each)


def _render(subjects: Sequence[Subject], views: Sequence[View], size_px: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    torch.set_num_threads(1)
    return cast("np.ndarray[Any, np.dtype[np.uint8]]", render(subjects, views, size_px=size_px).numpy())

"""Base, warm start and apprentice against one another: what each drew, and how it was judged."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from suti.local.demo.clock import Clock
from suti.local.demo.draws import Contestants, Drawn
from suti.local.demo.judge import Judged, SubjectJudge, share
from suti.local.demo.unseen import Unseen, stranger_renders, true_renders
from suti.ml.clip.encoder import ClipEncoder
from suti.report.facts import Bounds

BASE, WARMSTART, APPRENTICE = "base", "warmstart", "apprentice"


@dataclass
class Results:
    """By model: drawings by place, and scores by place."""

    drawn: dict[str, list[Drawn]] = field(default_factory=dict[str, list[Drawn]])
    judged: dict[str, dict[int, list[Judged]]] = field(default_factory=dict[str, dict[int, list[Judged]]])
    true_ones: dict[int, list[bool]] = field(default_factory=dict[int, list[bool]])
    strangers: dict[int, list[bool]] = field(default_factory=dict[int, list[bool]])

    def scores_of(self, model: str) -> list[Judged]:
        """All pictures of a model, by place and sample."""
        return [one for place in sorted(self.judged[model]) for one in self.judged[model][place]]

    def bounds(self) -> Bounds:
        """What identification gives to the truth and to somebody else."""
        places = sorted(self.true_ones)
        groups = [str(place) for place in places for _ in self.true_ones[place]]
        return Bounds(
            ceiling=share([one for place in places for one in self.true_ones[place]], groups),
            floor=share([one for place in places for one in self.strangers[place]], groups),
        )


class Contest:
    """Draws with one model after the other; pictures are judged in one thread as they come."""

    def __init__(
        self,
        contestants: Contestants,
        unseen: Sequence[Unseen],
        *,
        clip: ClipEncoder,
        size_px: int,
        clock: Clock,
        count: Callable[[str, int], Callable[[], None]],
    ) -> None:
        self._contestants, self._unseen, self._clip, self._size_px = contestants, unseen, clip, size_px
        self._clock, self._count = clock, count
        self._judging = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._waiting: list[Future[None]] = []
        self.results = Results()

    def others(self) -> None:
        """Base and warm start, judged together and with true renders and strangers, in one line-up a prompt."""
        base = self._draw(BASE, BASE, lambda drawn: None)

        def judge(drawn: Drawn) -> None:
            pngs = {BASE: base[drawn.place].pngs, WARMSTART: drawn.pngs}
            self._waiting.append(self._judging.submit(self._judge, drawn, pngs, with_renders=True))

        self._draw(WARMSTART, WARMSTART, judge)

    def apprentice(self, model: str) -> None:
        """The apprentice of a run, under the name it has in the generation service."""

        def judge(drawn: Drawn) -> None:
            pngs = {APPRENTICE: drawn.pngs}
            self._waiting.append(self._judging.submit(self._judge, drawn, pngs, with_renders=False))

        self._draw(APPRENTICE, model, judge)

    def settle(self) -> Results:
        """Wait for the judges; raises what they failed with."""
        for future in self._waiting:
            future.result()
        self._judging.shutdown()
        return self.results

    def give_up(self) -> None:
        """Wait for nobody."""
        self._judging.shutdown(wait=False, cancel_futures=True)

    def _draw(self, name: str, model: str, on_drawn: Callable[[Drawn], None]) -> list[Drawn]:
        done = self._count(f"{name} draws", self._contestants.rounds)

        def each(drawn: Drawn) -> None:
            done()
            on_drawn(drawn)

        with self._clock.part(f"{name} draws"):
            found = self._contestants.draw(model, sees_subject=name != BASE, on_drawn=each)
        self.results.drawn[name] = found
        return found

    def _judge(self, drawn: Drawn, pngs: Mapping[str, Sequence[bytes]], *, with_renders: bool) -> None:
        unseen, wanted, count = drawn.unseen, drawn.wanted, len(drawn.pngs)
        demonstrations = [shown.png for shown in unseen.demonstrations]
        judge = SubjectJudge(unseen.subject, unseen.others, demonstrations, clip=self._clip, group=unseen.name)
        renders = None
        if with_renders:
            true_ones = true_renders(unseen, wanted, count, size_px=self._size_px)
            renders = torch.cat([true_ones, stranger_renders(unseen, wanted, count, size_px=self._size_px)])
        with self._clock.part("judging"):
            judged, identified = judge.judge(pngs, prompt=wanted.text, view=wanted.view, renders_NCHW=renders)
        for model, rows in judged.items():
            self.results.judged.setdefault(model, {})[drawn.place] = rows
        if with_renders:
            self.results.true_ones[drawn.place] = identified[:count]
            self.results.strangers[drawn.place] = identified[count:]

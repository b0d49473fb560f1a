"""The whole demo: a crawl is drawn, goes through the real services, and the apprentice is put to the test."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from suti.api.pipeline.v1.pipeline_pb2 import Run
from suti.client import Suti
from suti.client.inputs import run_order
from suti.infra.store import Store
from suti.local import leftovers
from suti.local.demo.clock import Clock
from suti.local.demo.draws import Contestants, Drawn
from suti.local.demo.exhibition import exhibit
from suti.local.demo.experts import judge_experts
from suti.local.demo.judge import Judged, share
from suti.local.demo.plan import DRAWING_MODELS, DemoPlan
from suti.local.demo.run_reading import RunReading
from suti.local.demo.summing import facts_of
from suti.local.demo.unseen import stranger_renders, true_renders, unseen_subjects
from suti.local.folder import DataFolder, packaged_models
from suti.local.machine import Machine
from suti.local.memory import MemoryWatch
from suti.local.programs import MachineOptions
from suti.ml.clip.encoder import load_clip
from suti.report.facts import Bounds, Facts, write_json
from suti.report.page import write_page
from suti.toyworld.crawls import draw_crawl

APPRENTICE = "apprentice"
_EXPERT = "expert"


@dataclass(frozen=True)
class Teller:
    """How a demo tells what it does. All calls come from several threads."""

    say: Callable[[str], None]
    follow: Callable[[Suti, str, Callable[[str], None]], Run]
    count: Callable[[str, int], Callable[[], None]]  # a bar of so many steps; call what it returns at each


@dataclass(frozen=True)
class Told:
    """Where a demo's results lie."""

    facts: Facts
    json_path: Path
    html_path: Path


def tell(plan: DemoPlan, out: Path, teller: Teller, *, options: MachineOptions | None = None) -> Told:
    """Do everything, write `report.json` and `report.html` into `out`, stop everything.

    Raises:
        RunDidNotSucceed, ServiceDidNotStart, DataFolderInUse, RemoteError.
    """
    torch.set_num_threads(1)  # the services' processes have the cores
    out.mkdir(parents=True, exist_ok=True)
    data, clock = DataFolder((out / "data").absolute()), Clock()
    with data.locked(), MemoryWatch() as memory:
        leftovers.end(data.processes)
        data.clear()
        with clock.part("drawing the crawl"):
            teller.say(f"Drawing a crawl of {plan.pages} pages.")
            files = _Files(out, data, crawl=(out / "crawl.warc.gz").absolute(), truth=out / "truth.json", clock=clock)
            draw_crawl(files.crawl, truth_path=files.truth, pages=plan.pages, seed=plan.seed, size_px=plan.crawl_px)
        machine = Machine(data, options)
        pool = ThreadPoolExecutor(2, thread_name_prefix="demo")
        try:
            with clock.part("starting NATS and seven services"):
                teller.say("Starting NATS and seven services.")
                machine.start()
            with Suti(machine.endpoints()) as client:
                return _told(_Demo(plan, files, client, teller, pool), memory)
        finally:
            machine.stop()
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Files:
    out: Path
    data: DataFolder
    crawl: Path
    truth: Path
    clock: Clock


class _Demo:
    """Between the services' start and their stop."""

    def __init__(self, plan: DemoPlan, files: _Files, client: Suti, teller: Teller, pool: ThreadPoolExecutor) -> None:
        self.plan, self.files, self.clock = plan, files, files.clock
        self._client, self._teller, self._pool = client, teller, pool
        self._clip = load_clip(str(packaged_models() / "clip"))
        self.unseen = unseen_subjects(
            plan.subjects,
            demonstrations=plan.demonstrations,
            prompts_each=plan.prompts_each,
            size_px=_base_px(),
            seed=plan.seed,
        )
        self.contestants = Contestants(client, plan, self.unseen, clip=self._clip)
        self._earlier: list[Future[list[Drawn]]] = []

    def run(self) -> Run:
        """From the crawl to the apprentice. The other models draw while it trains."""
        teller = self._teller
        teller.say(f"Registering {len(self.unseen)} subjects that nothing was trained on.")
        self.contestants.register()
        order = run_order(str(self.files.crawl), preset="toy", seed=self.plan.seed, changes=self.plan.changes)
        run = self._client.create_run(order, created_by="suti demo")
        teller.say(f"Run {run.run_id}: from the crawl to an apprentice.")

        def on_stage(stage: str) -> None:
            if stage == APPRENTICE and not self._earlier:
                self._earlier = [self._pool.submit(self.draw, model) for model in DRAWING_MODELS]

        with self.clock.part("the run"):
            return teller.follow(self._client, run.run_id, on_stage)

    def drawn(self, run: Run) -> dict[str, list[Drawn]]:
        """What each model drew for the same subjects, prompts and seeds."""
        earlier = self._earlier or [self._pool.submit(self.draw, model) for model in DRAWING_MODELS]
        by_apprentice = self.draw(f"runs/{run.run_id}")
        with self.clock.part("waiting for base and warm start"):
            others = [future.result() for future in earlier]
        return {**dict(zip(DRAWING_MODELS, others, strict=True)), APPRENTICE: by_apprentice}

    def draw(self, model: str) -> list[Drawn]:
        """One model's pictures, judged."""
        name = APPRENTICE if model.startswith("runs/") else model
        on_done = self._teller.count(f"{name} draws", self.contestants.rounds)
        with self.clock.part(f"{name} draws and is judged"):
            return self.contestants.draw(model, sees_subject=model != "base", on_done=on_done)

    def judge_experts(self, run: RunReading) -> list[Judged]:
        """The run's own candidates."""
        count, seed = self.plan.expert_pictures, self.plan.seed
        with self.clock.part("judging the experts"):
            return judge_experts(run, self.files.truth, clip=self._clip, count=count, seed=seed)

    def reading(self, run: Run) -> RunReading:
        """The run's rows."""
        return RunReading(Store.open(self.files.data.store_url), run.run_id)

    def bounds(self, size_px: int) -> Bounds:
        """What identification gives to the truth and to chance."""
        right: list[bool] = []
        wrong: list[bool] = []
        groups: list[str] = []
        with self.clock.part("measuring ceiling and floor"):
            for one in self.unseen:
                judge = self.contestants.judge_of(one)
                for wanted in one.wanted:
                    count = self.plan.pictures_each
                    right += judge.identified(true_renders(one, wanted, count, size_px=size_px), wanted.view)
                    wrong += judge.identified(stranger_renders(one, wanted, count, size_px=size_px), wanted.view)
                    groups += [one.name] * count
        return Bounds(ceiling=share(right, groups), floor=share(wrong, groups))


def _told(demo: _Demo, memory: MemoryWatch) -> Told:
    run = demo.run()
    reading = demo.reading(run)
    drawn = demo.drawn(run)
    judged = {name: [one for each in rows for one in each.judged] for name, rows in drawn.items()}
    judged[_EXPERT] = demo.judge_experts(reading)
    bounds = demo.bounds(_base_px())
    with demo.clock.part("writing the report"):
        gallery = exhibit(reading, drawn)
    facts = facts_of(
        run,
        reading.spec,
        demo.plan,
        judged,
        bounds=bounds,
        seconds=demo.clock.seconds(),
        peak_rss_bytes=memory.peak_bytes,
    )
    json_path, html_path = demo.files.out / "report.json", demo.files.out / "report.html"
    write_json(facts, json_path)
    write_page(facts, gallery, html_path)
    return Told(facts, json_path, html_path)


def _base_px() -> int:
    """The side of the pictures that the toy base draws."""
    config: Mapping[str, int] = json.loads((packaged_models() / "base" / "unet" / "config.json").read_bytes())
    return config["sample_size"]

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
from suti.local.demo.contest import APPRENTICE, BASE, WARMSTART, Contest
from suti.local.demo.draws import Contestants
from suti.local.demo.exhibition import exhibit
from suti.local.demo.experts import judge_experts
from suti.local.demo.judge import Judged
from suti.local.demo.plan import DemoPlan
from suti.local.demo.summing import facts_of
from suti.local.demo.unseen import unseen_subjects
from suti.local.folder import DataFolder, packaged_models
from suti.local.machine import Machine
from suti.local.memory import MemoryWatch
from suti.local.programs import MachineOptions
from suti.ml.clip.encoder import load_clip
from suti.report.facts import Facts, write_json
from suti.report.page import render_page, write_page
from suti.report.run_reading import RunReading
from suti.toyworld.crawls import draw_crawl

_EXPERT = "expert"


@dataclass(frozen=True)
class Teller:
    """How a demo tells what it does. Calls come from several threads."""

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
        if data.store.exists():
            teller.say(f"Removing what an earlier demo left in {data.path}.")
        data.clear()
        crawl, truth = (out / "crawl.warc.gz").absolute(), out / "truth.json"
        teller.say(f"Drawing a crawl of {plan.pages} pages.")
        with clock.part("drawing the crawl"):
            draw_crawl(crawl, truth_path=truth, pages=plan.pages, seed=plan.seed, size_px=plan.crawl_px)
        teller.say("Starting NATS and seven services.")
        with Machine(data, options) as machine:
            with clock.part("starting NATS and seven services"):
                machine.start()
            with Suti(machine.endpoints()) as client:
                demo = _Demo(plan, Store.open(data.store_url), truth, client, clock, teller)
                try:
                    run = demo.run(crawl)
                    reading = demo.put_to_the_test(run)
                finally:
                    demo.give_up()
        return _write(demo, run, reading, out, memory)


class _Demo:
    """What happens between the services' start and their stop."""

    def __init__(self, plan: DemoPlan, store: Store, truth: Path, client: Suti, clock: Clock, teller: Teller) -> None:  # noqa: PLR0917
        self.plan, self.clock = plan, clock
        self._store, self._truth, self._client, self._teller = store, truth, client, teller
        self._clip = load_clip(str(packaged_models() / "clip"))
        self._unseen = unseen_subjects(
            plan.subjects,
            demonstrations=plan.demonstrations,
            prompts_each=plan.prompts_each,
            size_px=_base_px(),
            seed=plan.seed,
        )
        self._contestants = Contestants(client, plan, self._unseen)
        self.contest = Contest(
            self._contestants,
            self._unseen,
            clip=self._clip,
            size_px=_base_px(),
            clock=clock,
            count=teller.count,
        )
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="demo")
        self._others: Future[None] | None = None
        self._experts: Future[list[Judged]] | None = None
        self.experts: list[Judged] = []

    def run(self, crawl: Path) -> Run:
        """From the crawl to the apprentice. While it trains, the other models draw, and the experts are judged."""
        self._teller.say(f"Registering {len(self._unseen)} subjects that nothing was trained on.")
        self._contestants.register()
        order = run_order(str(crawl), preset="toy", seed=self.plan.seed, changes=self.plan.changes)
        run = self._client.create_run(order, created_by="suti demo")
        self._teller.say(f"Run {run.run_id}: from the crawl to an apprentice.")

        def on_stage(stage: str) -> None:
            if stage == APPRENTICE:
                self._others = self._pool.submit(self.contest.others)
                self._experts = self._pool.submit(self._judge_experts, run.run_id)

        with self.clock.part("the run"):
            return self._teller.follow(self._client, run.run_id, on_stage)

    def put_to_the_test(self, run: Run) -> RunReading:
        """The apprentice draws; then all that was drawn is judged."""
        others = self._others or self._pool.submit(self.contest.others)
        experts = self._experts or self._pool.submit(self._judge_experts, run.run_id)
        self.contest.apprentice(f"runs/{run.run_id}")
        with self.clock.part("waiting for the judges"):
            others.result()
            self.experts = experts.result()
            self.contest.settle()
        return RunReading(self._store, run.run_id)

    def give_up(self) -> None:
        """Wait for nobody: the services are about to stop."""
        self.contest.give_up()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def judged(self) -> Mapping[str, list[Judged]]:
        """Scores of every picture, by who drew it."""
        results = self.contest.results
        return {
            **{name: results.scores_of(name) for name in (BASE, WARMSTART, APPRENTICE)},
            _EXPERT: self.experts,
        }

    def _judge_experts(self, run_id: str) -> list[Judged]:
        reading, count = RunReading(self._store, run_id), self.plan.expert_pictures
        with self.clock.part("judging the experts"):
            return judge_experts(reading, self._truth, clip=self._clip, count=count, seed=self.plan.seed)


def _write(demo: _Demo, run: Run, reading: RunReading, out: Path, memory: MemoryWatch) -> Told:
    with demo.clock.part("looking out pictures"):
        gallery = exhibit(reading, demo.contest.results)
    facts = facts_of(
        run,
        reading.spec,
        demo.plan,
        demo.judged(),
        bounds=demo.contest.results.bounds(),
        seconds=demo.clock.seconds(),
        peak_rss_bytes=memory.peak_bytes,
    )
    json_path, html_path = out / "report.json", out / "report.html"
    write_json(facts, json_path)
    write_page(render_page(facts, gallery), html_path)
    return Told(facts, json_path, html_path)


def _base_px() -> int:
    """The side of the pictures that the toy base draws."""
    config: Mapping[str, int] = json.loads((packaged_models() / "base" / "unet" / "config.json").read_bytes())
    return config["sample_size"]

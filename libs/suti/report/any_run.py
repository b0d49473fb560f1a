"""A report of any run, from its store alone: no service is asked, and work that goes on is not disturbed."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from suti.core.records import Stage
from suti.infra.dead_letters import DeadLetters
from suti.infra.ledger import Commit, PartCorrupt
from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import SchemaTooNew, TableUnreadable
from suti.infra.tombstones import load_tombstones
from suti.report.exhibition import CLUSTERS, KEPT, REFUSED, Exhibition
from suti.report.gallery import CandidateCard, ClusterSheet, Gallery
from suti.report.run_facts import RunReport, Sample, run_report
from suti.report.run_reading import RunReading
from suti.stages.drop_counts import DropCounts
from suti.stages.facts import FactsReader, dead_shards
from suti.stages.progress import Progress, silent
from suti.stages.run_spec import RunSpec
from suti.stages.run_view import RunReader, RunView, find_run

_MOST_SHARDS = 4  # whose pictures are looked at
_AT_ONCE = 16
_WITH_PICTURES = (Stage.FILTERING, Stage.CAPTIONING, Stage.SELECTION)  # the furthest that a run has come to


@dataclass(frozen=True)
class ToldRun:
    """What a report says and shows."""

    report: RunReport
    gallery: Gallery


def tell_run(store: Store, run_id: str, *, progress: Progress = silent) -> ToldRun:
    """The run as its store has it now, with pictures of a few of its shards.

    Reads every commit, and tables where a commit does not tell its reasons; pictures of at most four shards.

    Raises:
        NotFound: no such run.
        StoreUnavailable, StoreRefused, BucketMissing, RunSpecInvalid, TombstonesUnreadable.
    """
    spec = find_run(store, run_id)
    view, commits = _read(store, spec, progress)
    progress(0, 0, "looking out pictures")
    some, of_shards = _chosen(commits)
    exhibits = _Exhibits(store, spec)
    for done, shard in enumerate(some):
        progress(done, len(some), "looking out pictures")
        exhibits.add(shard, share=len(some))
    losses = RunReading(store, run_id, shards=()).losses()
    sample = Sample(
        shards=some,
        of_shards=of_shards,
        clusters=len(exhibits.clusters),
        candidates=len(exhibits.candidates),
        left_out=dict(sorted(exhibits.left_out.items())),
        unreadable=exhibits.unreadable,
    )
    gallery = Gallery(clusters=exhibits.clusters, candidates=exhibits.candidates, losses=losses)
    return ToldRun(run_report(view, commits, losses=losses, sample=sample), gallery)


def _read(store: Store, spec: RunSpec, progress: Progress) -> tuple[RunView, Mapping[Stage, Mapping[int, Commit]]]:
    facts, drops = FactsReader(store), DropCounts(store)
    commits: dict[Stage, Mapping[int, Commit]] = {}
    for done, stage in enumerate(Stage):
        progress(done, len(Stage), "reading commits")
        commits[stage] = facts.commits(spec, stage)
    every = [commit for shards in commits.values() for commit in shards.values()]
    with ThreadPoolExecutor(_AT_ONCE, "drops") as pool:
        for done, _ in enumerate(pool.map(drops.of, every)):
            progress(done, len(every), "counting reasons")
    view = RunReader(store, facts, drops).view(spec.run_id, dead=dead_shards(DeadLetters(store)))
    return view, commits


def _chosen(commits: Mapping[Stage, Mapping[int, Commit]]) -> tuple[list[int], int]:
    """A few shards, spread evenly over those that came furthest; and how many those are."""
    for stage in _WITH_PICTURES:
        if full := [shard for shard, commit in commits[stage].items() if commit.counts.get("items_in") != 0]:
            count = min(_MOST_SHARDS, len(full))
            return [full[place * len(full) // count] for place in range(count)], len(full)
    return [], 0


class _Exhibits:
    """The pictures of several shards. A shard whose tables are gone or damaged is named and left out."""

    def __init__(self, store: Store, spec: RunSpec) -> None:
        self.clusters: list[ClusterSheet] = []
        self.candidates: list[CandidateCard] = []
        self.left_out: Counter[str] = Counter()
        self.unreadable: dict[int, str] = {}
        self._store, self._spec = store, spec
        self._tombstones = load_tombstones(store)

    def add(self, shard: int, *, share: int) -> None:
        """One of `share` shards, which fill the page together."""
        reading = RunReading(self._store, self._spec.run_id, shards=[shard])
        shown = Exhibition(reading, self._tombstones, self.left_out)
        try:
            self.clusters += shown.clusters(-(-CLUSTERS // share))
            self.candidates += shown.candidates(kept=-(-KEPT // share), refused=-(-REFUSED // share))
        except (ObjectMissing, PartCorrupt, TableUnreadable, SchemaTooNew) as error:
            self.unreadable[shard] = error.reason

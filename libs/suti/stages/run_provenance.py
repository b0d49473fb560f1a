"""A run's tables as a graph of provenance."""

import json
from typing import Any, cast

from suti.core import keys
from suti.core.ids import canonical_url
from suti.core.records import CandidateRow, CaptionRow, DropRow, ExampleRow, PictureRow, PromptRow, Stage, VerdictRow
from suti.infra.ledger import Ledger
from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import Row, from_parquet
from suti.stages.drop_counts import drops_of
from suti.stages.lineage import ledger_of
from suti.stages.outcome import weights_sha256
from suti.stages.provenance import Kind, Node, ProvenanceGraph, node_id
from suti.stages.run_spec import RunSpec


def add_run(graph: ProvenanceGraph, store: Store, spec: RunSpec) -> None:
    """Adds all that the run made so far, from its sources to its checkpoint."""
    _RunTables(graph, store, spec).add()


def add_generated(graph: ProvenanceGraph, store: Store, provenance_id: str) -> str:
    """Adds the pictures of one answer of the generation service; returns the id of the run that made the model.

    The run is empty for models that no run made. Raises ObjectMissing where nothing is known of the id.
    """
    record = cast("dict[str, Any]", json.loads(store.get(keys.drawn(provenance_id, "record.json"))))
    origins: list[str] = []
    facts = {name: str(record[name]) for name in ("prompt", "model", "seed", "created_at") if record.get(name)}
    for used in (record, *record.get("enlarged_with", [])):
        if used["model_sha256"]:  # pictures that were given were drawn by none
            origins.append(node_id(Kind.CHECKPOINT, str(used["model_sha256"])))
            graph.add(Node(origins[-1], Kind.CHECKPOINT, facts={"model": str(used["model"])}))
    if subject := str(record.get("subject_id") or ""):
        origins.append(node_id(Kind.SUBJECT, subject))
        graph.add(Node(origins[-1], Kind.SUBJECT, facts={"digest": str(record.get("subject_digest", ""))}))
    run_id = str(record.get("run_id") or "")
    graph.add(Node(node_id(Kind.PICTURE, provenance_id), Kind.PICTURE, run_id, facts), origins=origins)
    return run_id


class _RunTables:
    def __init__(self, graph: ProvenanceGraph, store: Store, spec: RunSpec) -> None:
        self._graph = graph
        self._store = store
        self._spec = spec
        self._run = node_id(Kind.RUN, spec.run_id)

    def add(self) -> None:
        spec = self._spec
        facts = {"crawl": spec.input.url, "base": spec.models.base.name, "created_by": spec.created_by}
        parent = [node_id(Kind.RUN, spec.parent_run_id)] if spec.parent_run_id else []
        self._graph.add(Node(self._run, Kind.RUN, spec.run_id, facts), origins=parent)
        for row in self._drops():
            if row.page_url:
                url = canonical_or_same(row.page_url)
                self._graph.add(Node(node_id(Kind.SOURCE, url), Kind.SOURCE, facts={f"{row.kind} dropped": row.reason}))
        for commit in self._ledger(Stage.SELECTION).commits(Stage.SELECTION):
            self._clusters(commit.shard)
            self._texts(commit.shard)
            self._candidates(commit.shard)
            self._verdicts(commit.shard)
        self._checkpoint()

    def _clusters(self, shard: int) -> None:
        for row in self._rows(Stage.SELECTION, shard, "clusters.parquet", PictureRow):
            page, picture = (node_id(Kind.SOURCE, canonical_or_same(url)) for url in (row.page_url, row.picture_url))
            licence = {"licence": row.licence} if row.licence else {}
            self._graph.add(Node(page, Kind.SOURCE))
            facts = {"picture": row.picture_id, "alt": row.alt_text[:200], "fetched_at": row.fetched_at, **licence}
            self._graph.add(Node(picture, Kind.SOURCE, facts=facts), origins=[page])
            cluster = node_id(Kind.CLUSTER, row.cluster_id)
            self._graph.add(Node(cluster, Kind.CLUSTER, facts={"page": row.page_url}), origins=[picture, page])

    def _texts(self, shard: int) -> None:
        captioned = {row.cluster_id for row in self._rows(Stage.CAPTIONING, shard, "captions.parquet", CaptionRow)}
        for name in sorted(captioned):
            expert = Node(node_id(Kind.EXPERT, name), Kind.EXPERT, self._made_by(Stage.EXPERTS))
            self._graph.add(expert, origins=[node_id(Kind.CLUSTER, name)])
        for row in self._rows(Stage.CAPTIONING, shard, "prompts.parquet", PromptRow):
            prompt = Node(
                node_id(Kind.PROMPT, row.prompt_id), Kind.PROMPT, facts={"text": row.text, "skill": row.skill}
            )
            self._graph.add(prompt, origins=[node_id(Kind.CLUSTER, row.cluster_id)])

    def _candidates(self, shard: int) -> None:
        for row in self._rows(Stage.EXPERTS, shard, "candidates.parquet", CandidateRow):
            facts = {"seed": str(row.seed), "pixels_sha256": row.pixels_sha256}
            self._graph.add(
                Node(node_id(Kind.CANDIDATE, row.candidate_id), Kind.CANDIDATE, self._made_by(Stage.EXPERTS), facts),
                origins=[node_id(Kind.EXPERT, row.cluster_id), node_id(Kind.PROMPT, row.prompt_id)],
            )

    def _verdicts(self, shard: int) -> None:
        run_id = self._spec.run_id
        for row in self._rows(Stage.FILTERING, shard, "verdicts.parquet", VerdictRow):
            verdict = node_id(Kind.VERDICT, run_id, row.candidate_id)
            facts = {"reason": row.reason, "gain": f"{row.gain:.4f}"}
            candidate = node_id(Kind.CANDIDATE, row.candidate_id)
            self._graph.add(Node(verdict, Kind.VERDICT, run_id, facts), origins=[candidate])
        for row in self._rows(Stage.FILTERING, shard, "examples.parquet", ExampleRow):
            example = node_id(Kind.EXAMPLE, run_id, row.candidate_id)
            verdict = node_id(Kind.VERDICT, run_id, row.candidate_id)
            self._graph.add(Node(example, Kind.EXAMPLE, run_id), origins=[verdict])

    def _checkpoint(self) -> None:
        commit = Ledger(self._store, self._spec.run_id).find(Stage.APPRENTICE, 0)
        if commit is None:
            return
        prefix = node_id(Kind.EXAMPLE, self._spec.run_id, "")
        examples = [name for name in self._graph.nodes if name.startswith(prefix)]
        node = Node(node_id(Kind.CHECKPOINT, weights_sha256(commit)), Kind.CHECKPOINT, self._spec.run_id)
        self._graph.add(node, origins=[self._run, *examples])

    def _drops(self) -> list[DropRow]:
        ledger = self._ledger(Stage.GROUPING)
        commit = ledger.find(Stage.GROUPING, 0)
        return [] if commit is None else [row for row in drops_of(ledger, commit) if row.kind == "page"]

    def _made_by(self, stage: Stage) -> str:
        return self._ledger(stage).run_id

    def _ledger(self, stage: Stage) -> Ledger:
        return ledger_of(self._store, self._spec, stage)

    def _rows[R: Row](self, stage: Stage, shard: int, part: str, row_type: type[R]) -> list[R]:
        """The rows of a shard's part; none while it is not committed."""
        ledger = self._ledger(stage)
        commit = ledger.find(stage, shard)
        try:
            return [] if commit is None else from_parquet(ledger.read(commit.part(part)), row_type)
        except ObjectMissing:
            return []


def canonical_or_same(url: str) -> str:
    """The URL in its one spelling; as it is where it is none."""
    try:
        return canonical_url(url)
    except ValueError:
        return url.strip()

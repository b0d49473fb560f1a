"""The calls that read much and change nothing: audit, plan, provenance. They block: for threads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.core import keys
from suti.core.errors import InvalidArgument, NotFound
from suti.core.records import Stage
from suti.infra.store import ObjectMissing, Store
from suti.stages.audit import audit_run
from suti.stages.base_size import base_size
from suti.stages.crawl_counts import count_crawl
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.plan import plan_run, plan_warnings
from suti.stages.provenance import Kind, ProvenanceGraph, node_id
from suti.stages.run_orders import RunOrder, freeze
from suti.stages.run_provenance import add_generated, add_run, canonical_or_same
from suti.stages.run_view import find_run
from suti_pipeline import convert

_DEFAULT_NODES = 1_000
_MOST_NODES = 10_000
_KINDS = {"checkpoint_id": Kind.CHECKPOINT, "candidate_id": Kind.CANDIDATE, "cluster_id": Kind.CLUSTER}


@dataclass(frozen=True)
class Study:
    """Answers from the store alone."""

    store: Store
    catalogue: ModelCatalogue = field(default_factory=lambda: ModelCatalogue(()))
    accelerators: int = 1
    crawl_roots: Sequence[str] = ()

    def audit(self, run_id: str) -> pb.AuditRunResponse:
        """The count of every item. Raises NotFound."""
        stages = audit_run(self.store, find_run(self.store, run_id))
        grouped = self.store.exists(keys.commit(run_id, Stage.GROUPING, 0)) or stages[0].items_in > 0
        return pb.AuditRunResponse(
            sound=all(stage.lost == 0 and stage.doubled == 0 for stage in stages),
            complete=grouped and all(stage.open == 0 for stage in stages),
            stages=[
                pb.StageAudit(
                    stage=convert.stage_to_proto(stage.stage),
                    items_in=stage.items_in,
                    items_out=stage.items_out,
                    dropped=dict(stage.dropped),
                    open=stage.open,
                    lost=stage.lost,
                    doubled=stage.doubled,
                    suspects=stage.suspects,
                )
                for stage in stages
            ],
        )

    def plan(self, order: RunOrder) -> pb.PlanRunResponse:
        """What the run would take. Raises as `freeze` does."""
        spec = freeze(
            order,
            run_id="",
            created_at=datetime.now(UTC),
            catalogue=self.catalogue,
            crawl_roots=self.crawl_roots,
        )
        counts = count_crawl(spec.input)
        size = base_size(self._folder(spec.models.base.name))
        return pb.PlanRunResponse(
            stages=[
                pb.StagePlan(
                    stage=convert.stage_to_proto(stage.stage),
                    items_in=stage.items_in,
                    shards=stage.shards,
                    pods=stage.pods,
                    accelerator_hours=stage.accelerator_hours,
                    core_hours=stage.core_hours,
                    read_bytes=stage.read_bytes,
                    written_bytes=stage.written_bytes,
                    basis=stage.basis,
                )
                for stage in plan_run(spec, counts, size, accelerators=self.accelerators)
            ],
            warnings=plan_warnings(spec, counts, size),
            spec_json=spec.model_dump_json(exclude={"run_id", "created_at"}),
        )

    def provenance(self, request: pb.GetProvenanceRequest) -> pb.GetProvenanceResponse:
        """The chains from the thing that is asked about. Raises NotFound, InvalidArgument."""
        asked = request.WhichOneof("start")
        name = str(getattr(request, asked)) if asked else ""
        if not asked or not name:
            raise InvalidArgument("start", "nothing is asked about: name one thing")
        if request.max_nodes > _MOST_NODES:
            raise InvalidArgument("max_nodes", f"{request.max_nodes} is too many: ask for {_MOST_NODES} at most")
        graph = ProvenanceGraph()
        start, runs = self._start(graph, asked, name)
        for run_id in [request.run_id] if request.run_id else runs:
            add_run(graph, self.store, find_run(self.store, run_id))
        if start not in graph.nodes:
            raise NotFound(asked, name, remedy="no run has seen it; check its spelling, or ask in all runs")
        answer = graph.follow(
            [start],
            forward=request.direction == pb.DIRECTION_FORWARD,
            max_nodes=request.max_nodes or _DEFAULT_NODES,
        )
        return pb.GetProvenanceResponse(
            nodes=[
                pb.ProvenanceNode(id=node.id, kind=node.kind.value, run_id=node.run_id, facts=dict(node.facts))
                for node in answer.nodes
            ],
            edges=[pb.ProvenanceEdge(result_id=result, origin_id=origin) for result, origin in answer.edges],
            truncated=answer.truncated,
        )

    def _start(self, graph: ProvenanceGraph, asked: str, name: str) -> tuple[str, list[str]]:
        """The node that is asked about, and the runs that may know of it."""
        if asked == "provenance_id":
            try:
                run_id = add_generated(graph, self.store, name)
            except ObjectMissing as error:
                raise NotFound("provenance", name, remedy="give the provenance_id of a Generate answer") from error
            return node_id(Kind.PICTURE, name), [run_id] if run_id else []
        runs = [run for run in self.store.folders(keys.RUNS) if self.store.exists(keys.run_spec(run))]
        for drawn in self.store.folders(keys.DRAWN):
            if self.store.exists(keys.drawn(drawn, "record.json")):
                add_generated(graph, self.store, drawn)
        if asked == "source_url":
            return node_id(Kind.SOURCE, canonical_or_same(name)), runs
        return node_id(_KINDS[asked], name), runs

    def _folder(self, name: str) -> Path:
        return self.catalogue.folder(name)

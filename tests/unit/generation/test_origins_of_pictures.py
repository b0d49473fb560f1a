"""Pictures lead back to every model that made them, and records of earlier versions are still read."""

import json
from pathlib import Path
from typing import Any

import pytest

from suti.core import keys
from suti.infra.store import Store
from suti.stages.provenance import ProvenanceGraph
from suti.stages.run_provenance import add_generated

DRAWN: dict[str, Any] = {"model": "base", "model_sha256": "a" * 64, "run_id": "", "subject_id": "", "prompt": "a mug"}
ENLARGED = {"enlarged_with": [{"model": "superres", "model_sha256": "b" * 64}]}
GIVEN = {"model": "", "model_sha256": ""}


@pytest.mark.parametrize(
    ("changes", "models"),
    [
        ({}, {"base"}),  # as versions without super-resolution wrote it
        (ENLARGED, {"base", "superres"}),
        (ENLARGED | GIVEN, {"superres"}),
        (ENLARGED | {"subject_id": "S", "subject_digest": "d"}, {"base", "superres"}),
    ],
)
def test_a_picture_leads_back_to_all_its_models(tmp_path: Path, changes: dict[str, Any], models: set[str]) -> None:
    store = Store.open(f"file://{tmp_path}/store")
    store.put(keys.drawn("P", "record.json"), json.dumps(DRAWN | changes).encode())
    graph = ProvenanceGraph()

    add_generated(graph, store, "P")

    back = graph.follow(["picture:P"], forward=False, max_nodes=10)
    assert {node.facts["model"] for node in back.nodes if node.kind == "checkpoint"} == models
    assert {node.id for node in back.nodes if node.kind == "subject"} == (
        {"subject:S"} if "subject_id" in changes else set()
    )

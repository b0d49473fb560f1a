"""A small run through the real stages up to its verdicts: six candidates kept, three refused."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from PIL import Image

from suti.core import keys
from suti.infra.store import Store
from suti.ml.quality.recipe import FilterRecipe
from suti.stages import captioning, filtering
from suti.stages.run_spec import RunSpec
from tests.unit.stages.shards import Run, draw, noise, open_run, select

EASY = FilterRecipe(min_gain=-2.0, max_copy_similarity=1.0, min_copy_difference=0.02, batch_pictures=4)
ENDED_AT = datetime(2024, 1, 1, 2, 30, tzinfo=UTC)


def put_spec(store: Store, spec: RunSpec) -> None:
    store.put(keys.run_spec(spec.run_id), spec.model_dump_json().encode())


@pytest.fixture
def begun(tmp_path: Path) -> Run:
    """Clusters are chosen, nothing is captioned."""
    torch.set_num_threads(1)
    run = open_run(tmp_path)
    run = replace(run, spec=run.spec.model_copy(update={"filtering": EASY}))
    put_spec(run.ledger.store, run.spec)
    select(run, [["a <b>red</b> cup", "", ""], ["", "", "", ""]])
    return run


@pytest.fixture
def judged(begun: Run) -> Run:
    """As far as the filter's verdicts."""
    captioning.run_shard(begun.ledger, begun.spec, begun.models, 0)
    one, two = begun.clusters
    good = [(cluster, noise(1000 + place)) for place, cluster in enumerate([one, two, one, two, one, two])]
    failed = [(one, Image.new("RGB", (16, 16), colour)) for colour in ("black", "gray")]
    draw(begun, [*good, (two, noise(101)), *failed])
    filtering.run_shard(begun.ledger, begun.spec, begun.models, 0)
    return begun

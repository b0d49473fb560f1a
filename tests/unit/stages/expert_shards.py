"""A small run that has come as far as its captions, and a process that works on its experts."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from suti.core import ids, keys
from suti.core.records import CaptionRow, PictureRow, PromptRow, Skill, Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.infra.tables import from_parquet, to_parquet
from suti.ml.diffusion.base import save_base
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.recipe import ExpertRecipe
from suti.stages.experts import run_shard
from suti.stages.models import ModelFolders, StageModels
from suti.stages.progress import Progress, Stopping, never, silent
from suti.stages.run_spec import RunSpec, load_run_spec
from tests.unit.ml.experts.tiny_base import tiny_base
from tests.unit.stages.shards import Run, open_run, select

REPOSITORY = Path(__file__).parents[3]

TINY = ExpertRecipe(
    steps=3,
    learning_rate=1e-3,
    batch_pictures=2,
    samples_per_prompt=2,
    sampling=SamplingRecipe(sampler="ddim", steps=2, guidance=3.0, batch_pictures=4),
)

# Adapters, two experts in a batch.
TINY_TOGETHER = ExpertRecipe.model_validate(TINY.model_dump() | {"method": "lora", "lora_rank": 2, "together": 2})


def captioned_run(folder: Path, *, recipe: ExpertRecipe = TINY, clusters: int = 3, prompts: int = 2) -> Run:
    """A run whose clusters have three pictures each, texts and prompts, and a tiny base."""
    run = open_run(folder)
    save_base(tiny_base(), folder / "models" / "base")
    spec = run.spec.model_copy(update={"experts": recipe})
    run = Run(run.ledger, spec, StageModels(spec, ModelFolders([folder / "models"])))
    select(run, [["", "", ""]] * clusters)
    run.ledger.store.put(keys.run_spec(run.spec.run_id), run.spec.model_dump_json().encode())
    caption(run, [[f"a mug in place {index}" for index in range(prompts)]] * clusters)
    return run


def caption(run: Run, prompts: Sequence[Sequence[str]]) -> None:
    """Commit captioning: every selected picture with a text, every cluster with its prompts."""
    selection = run.ledger.get(Stage.SELECTION, 0)
    pictures = from_parquet(run.ledger.read(selection.part("clusters.parquet")), PictureRow)
    captions = [
        CaptionRow(row.picture_id, row.cluster_id, alt_text="", caption="a mug", text=f"a mug, view {index % 3}")
        for index, row in enumerate(pictures)
    ]
    rows = [
        PromptRow(ids.prompt_id(cluster, text), cluster, Skill.RECONTEXTUALISATION, text)
        for cluster, texts in zip(run.clusters, prompts, strict=True)
        for text in texts
    ]
    draft = run.ledger.draft(Stage.CAPTIONING, 0)
    draft.write("captions.parquet", to_parquet(captions, CaptionRow))
    draft.write("prompts.parquet", to_parquet(rows, PromptRow))
    draft.commit(counts={}, seconds=0)


def twin_of(run: Run, folder: Path) -> Run:
    """The same run with nothing done on its experts: a copy of its store and models."""
    source = Path(run.ledger.store.url.removeprefix("file://")).parent
    shutil.copytree(source, folder)
    spec: RunSpec = run.spec
    ledger = Ledger(Store.open(f"file://{folder / 'store'}"), spec.run_id)
    return Run(ledger, spec, StageModels(spec, ModelFolders([folder / "models"])), clusters=run.clusters)


def work(run: Run, *, progress: Progress = silent, stopping: Stopping = never) -> Commit:
    """The experts of the run's one shard."""
    return run_shard(run.ledger, run.spec, run.models, 0, progress=progress, stopping=stopping)


def rows[R](run: Run, commit: Commit, name: str, row_type: type[R]) -> list[R]:
    """One of the commit's tables."""
    return from_parquet(run.ledger.read(commit.part(name)), row_type)  # pyright: ignore[reportArgumentType, reportReturnType] - the row types


def content(commit: Commit) -> dict[str, str]:
    """What the commit's parts hold, as digests."""
    return {part.name: part.sha256 for part in commit.parts}


def scratch(run: Run) -> list[str]:
    """What is kept of unfinished work."""
    prefix = keys.scratch(run.spec.run_id, Stage.EXPERTS, 0, "")
    return [info.key.removeprefix(prefix) for info in run.ledger.store.list(prefix)]


def work_until_killed(run: Run, folder: Path, *, at: str) -> None:
    """The same in a process of its own, which is killed at the first progress that begins so."""
    command = [sys.executable, "-m", "tests.unit.stages.expert_shards", str(folder), run.spec.run_id]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(at):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


def main(folder: Path, run_id: str) -> None:
    """Work on shard 0 in a process of its own; say so before each expert."""
    store = Store.open(f"file://{folder / 'store'}")
    spec = load_run_spec(store, run_id)
    models = StageModels(spec, ModelFolders([folder / "models"]))

    def tell(done: int, total: int, note: str) -> None:
        sys.stdout.write(f"{done} {total} {note}\n")
        sys.stdout.flush()

    run_shard(Ledger(store, run_id), spec, models, 0, progress=tell)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

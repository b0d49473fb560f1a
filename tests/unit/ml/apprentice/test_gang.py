"""Several processes learn from the same batches as one: real processes, that meet over gloo."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from suti.ml.apprentice.gang import Gang, GangTooLarge
from suti.ml.apprentice.training import ALONE, SharingUnsupported
from tests.servers.nats import free_port
from tests.unit.ml.apprentice.gang_process import train, trainer
from tests.unit.ml.apprentice.test_training import RECIPE
from tests.unit.ml.subject.test_network import tiny_unet

STEPS = 4
LIMIT_S = 240


def together(out: Path, *, size: int, sharing: str, optimizer: str, batch: int) -> None:
    """As many processes as torchrun would start, until all end."""
    met = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    command = [sys.executable, "-m", "tests.unit.ml.apprentice.gang_process"]
    told = [str(out), sharing, optimizer, str(batch), str(STEPS)]
    processes = [
        subprocess.Popen([*command, *told], env={**os.environ, **met, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(size)
    ]
    try:
        assert [process.wait(LIMIT_S) for process in processes] == [0] * size
    finally:
        for process in processes:
            process.kill()


@pytest.mark.timeout(2 * LIMIT_S)
@pytest.mark.parametrize(
    ("sharing", "optimizer", "batch"),
    [("ddp", "adafactor", 3), ("fsdp2", "adamw", 2)],
)
def test_two_processes_learn_what_one_learns(tmp_path: Path, sharing: str, optimizer: str, batch: int) -> None:
    losses, state = train(ALONE, optimizer=optimizer, batch=batch, steps=STEPS)

    together(tmp_path, size=2, sharing=sharing, optimizer=optimizer, batch=batch)

    assert json.loads((tmp_path / "losses.json").read_text()) == pytest.approx(losses, rel=1e-4)
    blocks = [name for name, _ in tiny_unet().named_modules() if re.fullmatch(r"(down|up)_blocks\.\d+|mid_block", name)]
    spread = json.loads((tmp_path / "pieces.json").read_text())
    assert sorted(spread) == (sorted(f"unet.{name}" for name in blocks) if sharing == "fsdp2" else [])
    ours, theirs = load(state), load((tmp_path / "state.safetensors").read_bytes())
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if not name.startswith("optimizer/"):
            # A step moves a weight by up to the learning rate: sums in another order may turn a tiny gradient's sign.
            torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-4)


def test_a_way_to_share_that_the_optimizer_does_not_know_is_refused() -> None:
    with pytest.raises(SharingUnsupported, match="ddp"):
        trainer(Gang(0, 2, "fsdp2"), RECIPE.model_copy(update={"optimizer": "adafactor"}))


def test_every_subject_of_a_batch_is_one_processs_own() -> None:
    for size, subjects in ((1, 5), (2, 5), (3, 16), (4, 4)):
        shares = [Gang(rank, size).share(subjects) for rank in range(size)]

        assert [subject for first, end in shares for subject in range(first, end)] == list(range(subjects))
        assert all(end > first for first, end in shares)


def test_more_processes_than_subjects_are_refused() -> None:
    with pytest.raises(GangTooLarge, match="batch_subjects"):
        Gang(0, 3).share(2)

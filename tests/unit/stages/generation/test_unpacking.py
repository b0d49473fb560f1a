import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suti.core.records import Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages.apprentice import MODEL
from suti.stages.generation.unpacking import unpack

FILES = {"model_index.json": b"{}", "unet/config.json": b"{}", "unet/weights.safetensors": b"w" * 1_000}


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Ledger, Commit]:
    ledger = Ledger(Store.open(f"file://{tmp_path}/store"), "R")
    draft = ledger.draft(Stage.APPRENTICE, 0)
    for name, data in FILES.items():
        draft.write(f"{MODEL}{name}", data)
    draft.write("losses.json", b"[]")
    return ledger, draft.commit(counts={}, seconds=0.0)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "content"),
    [("unet/weights.safetensors", b"e" * 1_000), ("unet/weights.bin", b"a pickle"), ("model_index.json", None)],
)
def test_a_folder_that_stands_there_already_is_trusted_by_its_hashes_alone(
    trained: tuple[Ledger, Commit], tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path / "cache" / "model"
    unpack(*trained, folder)
    assert files_of(folder) == FILES
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)

    unpack(*trained, folder)

    assert files_of(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_whole_folder_is_not_touched(trained: tuple[Ledger, Commit], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "model"
    unpack(*trained, folder)
    shutil.rmtree(tmp_path / "store")

    unpack(*trained, folder)

    assert files_of(folder) == FILES


def test_any_number_that_unpack_the_same_model_at_once_all_have_it(
    trained: tuple[Ledger, Commit], tmp_path: Path
) -> None:
    folders = [tmp_path / "cache" / f"{number // 4}" for number in range(200)]

    def unpacked(folder: Path) -> None:
        unpack(*trained, folder)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(unpacked, folders))

    assert all(files_of(folder) == FILES for folder in folders)
    assert len(list((tmp_path / "cache").iterdir())) == 50

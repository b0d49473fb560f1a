"""Apprentices from the store as folders on this machine, never other than their commit says."""

import shutil
import tempfile
from pathlib import Path

from suti.infra.ledger import Commit, Ledger
from suti.ml.model_files import file_digest
from suti.stages.apprentice import MODEL, materialise_model


def unpack(ledger: Ledger, commit: Commit, folder: Path) -> None:
    """The folder holds the commit's model from now on, whole. What stands there already is trusted by its hashes alone.

    Any number of processes may unpack the same model at once. Raises PartCorrupt, ObjectMissing.
    """
    if _is_whole(folder, commit):
        return
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking-"))
    try:
        materialise_model(ledger, commit, scratch / "model")
        if folder.exists() and not _is_whole(folder, commit):
            folder.rename(scratch / "broken")
        (scratch / "model").rename(folder)
    except OSError:  # another process was faster
        if not _is_whole(folder, commit):
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(folder: Path, commit: Commit) -> bool:
    wanted = {part.name.removeprefix(MODEL): part for part in commit.parts if part.name.startswith(MODEL)}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    return wanted.keys() == found.keys() and all(
        found[name].stat().st_size == part.size_bytes and file_digest(found[name]) == part.sha256
        for name, part in wanted.items()
    )

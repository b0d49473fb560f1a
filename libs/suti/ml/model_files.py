"""Model folders: where a name leads, what the files hash to, and which files are never opened (pickles).

Light on purpose: no torch, so that launchers and the command may name models by content too.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from suti.core.errors import BadConfiguration, PermanentError

# All that loaders read: weights, configurations, vocabularies (sentencepiece: .model), templates of chats.
SAFE_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja"})
# Advice about a model, found after it was made: how to draw with it, what its similarities mean.
KEPT_BESIDE = frozenset({"sampling.json", "thresholds.json"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK_BYTES = 1 << 20


class ModelMissing(BadConfiguration):
    """A model's name leads to no folder and to no published model."""

    reason = "MODEL_MISSING"


class ModelUnsafe(BadConfiguration):
    """A model's weights exist as pickles alone, and a pickle can run any program when it is opened."""

    reason = "MODEL_UNSAFE"


class ModelInvalid(BadConfiguration):
    """A model folder lacks a file or a tensor, or a tensor has another shape than the configuration says."""

    reason = "MODEL_INVALID"


class ModelChanged(PermanentError):
    """A model's files are not those that the run was created with."""

    reason = "MODEL_CHANGED"
    grpc_code = "FAILED_PRECONDITION"

    def __init__(self, name: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"model {name!r} hashes to {found[:12]}, the run wants {expected[:12]}: "
            "bring back the files of the run's creation, or create a new run"
        )
        self.name = name
        self.expected = expected
        self.found = found


def resolve(name: str, search: Iterable[Path], *, anywhere: bool = False) -> Path:
    """The folder that a model's name means: the first of that name below the search paths, or a whole path.

    Whole paths lead below the search paths too, unless `anywhere` is allowed.

    Raises:
        ModelMissing: there is none.
    """
    places = list(search)
    if _PLAIN_NAME.fullmatch(name):
        for place in places:
            if (place / name).is_dir():
                return place / name
    path = Path(name)
    offered = anywhere or any(path.resolve().is_relative_to(place.resolve()) for place in places)
    if path.is_absolute() and offered and path.is_dir():
        return path
    looked = ", ".join(str(place) for place in places) or "no search path is set"
    raise ModelMissing(f"no model {name!r} (looked in: {looked}): name one of `suti models list`")


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over the files in a model folder that loaders read: sorted relative names, and contents.

    Other files (a README, a picture, what is only kept beside a model) change nothing. Names and contents are
    length-prefixed, so that no two folders can hash alike by moving a byte from one to the other.
    """
    total = hashlib.sha256()
    for path in sorted(_safe_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix().encode()
        total.update(len(name).to_bytes(8, "big") + name)
        total.update(path.stat().st_size.to_bytes(8, "big") + bytes.fromhex(file_digest(path)))
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of one file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def refuse_pickles(folder: Path) -> None:
    """Does nothing for a folder that has weights as safetensors.

    Raises:
        ModelUnsafe: the only weights are pickles.
        ModelInvalid: there are no weights at all.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if any(path.suffix == ".safetensors" for path in files):
        return
    pickles = sorted(path.relative_to(folder).as_posix() for path in files if path.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise ModelUnsafe(
            f"{folder}: {pickles[0]} is a pickle and is never opened: convert the weights to safetensors first"
        )
    raise ModelInvalid(f"{folder}: no .safetensors file: is this a model folder, and was it copied whole?")


def _safe_files(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in KEPT_BESIDE)
    inner = (path for path in files if path.suffix in SAFE_SUFFIXES)
    return [path for path in inner if not any(part.startswith(".") for part in path.relative_to(folder).parts)]

"""Subjects as folders: each a folder of real pictures, named as DreamBench names it, or with its class told."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from PIL import Image, ImageOps

from suti.core.errors import InvalidArgument
from suti.ml.clusters.decode import PictureRefused, decode
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.evaluation.masks import MASK_SUFFIX
from suti.ml.evaluation.prompts import Kind, PromptSet

PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
CLASS_FILE: Final = "class.txt"

_LIMITS = GroupingRecipe(min_side_px=8, store_side_px=4096)


class SubjectsMissing(InvalidArgument):
    """A folder of subjects has none."""

    reason: ClassVar[str] = "EVALUATION_SUBJECTS_MISSING"


class ClassUnknown(InvalidArgument):
    """Nobody says of which class a subject is."""

    reason: ClassVar[str] = "EVALUATION_CLASS_UNKNOWN"


@dataclass(frozen=True)
class Picture:
    """A real or drawn picture, upright, RGB or with its alpha channel."""

    path: Path | None  # None for one that was never a file of its own
    image: Image.Image
    pixels_sha256: str  # over its raw RGB bytes
    mask_sha256: str = ""  # over what is given as its mask, a file or an alpha channel; empty where nothing is


@dataclass(frozen=True)
class EvaluationSubject:
    """One subject on disk. `files` are its real pictures by name, not yet opened."""

    name: str
    class_word: str
    kind: Kind
    files: tuple[Path, ...]


def subjects_in(
    folder: Path, prompts: PromptSet, *, classes: Mapping[str, str] | None = None
) -> list[EvaluationSubject]:
    """The subjects of a folder, by name. A class comes from `classes`, from `class.txt`, or from the set of prompts.

    A subject whose pictures are missing is among them: its rows say so.

    Raises:
        SubjectsMissing: there is no folder in the folder.
        ClassUnknown: nobody says of which class a subject is.
    """
    found = (
        sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if folder.is_dir()
        else []
    )
    if not found:
        raise SubjectsMissing("--subjects", f"{folder} has no folder in it: give a folder with one of each subject")
    return [_subject(path, prompts, classes or {}) for path in found]


def open_picture(path: Path) -> Picture:
    """The picture, turned upright; as hostile as any. Raises PictureRefused, OSError."""
    source = path.read_bytes()
    decoded = decode(source, _LIMITS)
    image = Image.open(io.BytesIO(decoded.png), formats=["PNG"]).convert("RGB")
    with Image.open(io.BytesIO(source)) as found:
        if "A" in found.getbands() or "transparency" in found.info:
            alpha = ImageOps.exif_transpose(found).convert("RGBA").getchannel("A").resize(image.size)
            image.putalpha(alpha)
    return Picture(path, image, hashlib.sha256(image.convert("RGB").tobytes()).hexdigest(), _given_mask(path, image))


def open_pictures(files: Sequence[Path]) -> tuple[list[Picture], dict[Path, str]]:
    """Those that can be opened, in order, and why the others cannot."""
    opened: list[Picture] = []
    refused: dict[Path, str] = {}
    for path in files:
        try:
            opened.append(open_picture(path))
        except (PictureRefused, OSError) as error:
            refused[path] = str(error)
    return opened, refused


def caption_of(path: Path, class_word: str) -> str:
    """What `00.txt` says of `00.jpg`, else "a" and the class word."""
    told = path.with_suffix(".txt")
    return told.read_text(encoding="utf-8").strip() if told.is_file() else f"a {class_word}"


def _given_mask(path: Path, image: Image.Image) -> str:
    beside = path.with_name(f"{path.stem}{MASK_SUFFIX}")
    if beside.is_file():
        return hashlib.sha256(beside.read_bytes()).hexdigest()
    return hashlib.sha256(image.getchannel("A").tobytes()).hexdigest() if image.mode == "RGBA" else ""


def _subject(folder: Path, prompts: PromptSet, classes: Mapping[str, str]) -> EvaluationSubject:
    name = folder.name
    known = prompts.subjects.get(name)
    told = folder / CLASS_FILE
    class_word = classes.get(name, "")
    if not class_word and told.is_file():
        class_word = told.read_text(encoding="utf-8").strip()
    if not class_word and known is not None:
        class_word = known.class_word
    if not class_word:
        raise ClassUnknown(
            "--subjects", f"nobody knows what {name!r} is: write its class into {told}, or say --class {name}=toy"
        )
    kind: Kind = known.kind if known is not None and known.class_word == class_word else prompts.kind_of(class_word)
    return EvaluationSubject(name, class_word, kind, tuple(picture_files(folder)))


def picture_files(folder: Path) -> list[Path]:
    """The pictures that lie in a folder, by name; masks are none."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.endswith(MASK_SUFFIX)
    ]

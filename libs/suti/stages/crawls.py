"""Where a run's pictures come from, looked at from outside: does it exist, what is it, what does it hash to."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import unquote, urlsplit

from suti.core.errors import InvalidArgument
from suti.ml.model_files import file_digest
from suti.stages.run_spec import CrawlInput

CrawlFormat = Literal["warc", "img2dataset"]
WARC_SUFFIXES = (".warc", ".warc.gz")
TABLE_SUFFIXES = (".parquet", ".tar")


class CrawlMissing(InvalidArgument):
    """A run's crawl is not there, cannot be read, or is nothing that we know."""

    reason: ClassVar[str] = "CRAWL_MISSING"


class CrawlFormatUnknown(InvalidArgument):
    """A run's crawl does not tell by its name how it is stored."""

    reason: ClassVar[str] = "CRAWL_FORMAT_UNKNOWN"


class CrawlNotOffered(InvalidArgument):
    """A run's crawl lies where this installation reads none."""

    reason: ClassVar[str] = "CRAWL_NOT_OFFERED"


def check_offered(url: str, roots: Sequence[str]) -> None:
    """Does nothing for a crawl at or below one of the roots: folders of this machine, or URLs such as `s3://bucket/`.

    Looks at nothing else, so that callers learn nothing of what there is. Raises CrawlNotOffered.
    """
    path = local_path(url)
    if path is not None:
        folders = [Path(root) for root in roots if "://" not in root]
        offered = any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)
    else:
        offered = any(f"{url}/".startswith(f"{root.rstrip('/')}/") for root in roots if "://" in root)
    if not offered:
        places = ", ".join(roots) or "nowhere"
        raise CrawlNotOffered(
            "input.url", f"{url[:200]!r} is not where crawls are read from ({places}): put it there, or set CRAWL_ROOTS"
        )


def look_at_crawl(url: str, crawl_format: CrawlFormat | None = None) -> CrawlInput:
    """The crawl as a run freezes it: its format told from its name unless given, and its hash if it is one file.

    What lies in an object store is taken as it is: the grouping stage says if it cannot be read.

    Raises:
        CrawlMissing: no such file or folder, or not readable.
        CrawlFormatUnknown: its name tells no format, and none is given.
    """
    path = local_path(url)
    if path is None:
        return CrawlInput(url=url, format=crawl_format or _format_of_name(url), sha256="")
    if not path.is_absolute():
        raise CrawlMissing("input.url", f"{url!r} is relative, and the workers stand elsewhere: give a whole path")
    if not path.exists():
        raise CrawlMissing("input.url", f"no file or folder {str(path)!r}: give one that the workers see as well")
    if not (path.is_dir() or path.is_file()):
        raise CrawlMissing("input.url", f"{str(path)!r} is neither file nor folder: give one of them")
    if not os.access(path, os.R_OK):
        raise CrawlMissing("input.url", f"{str(path)!r} may not be read: give its reader the right to")
    if path.is_dir():
        return CrawlInput(url=str(path), format=crawl_format or _format_of_folder(path), sha256="")
    return CrawlInput(url=str(path), format=crawl_format or _format_of_name(path.name), sha256=file_digest(path))


def local_path(url: str) -> Path | None:
    """The path that a URL without scheme, or a file:// one, means; None for all others."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(url) if not parts.scheme or "://" not in url else None


def files_of(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The file itself, or the files below a folder whose names end so, sorted."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    yield from (file for file in found if file.is_file() and (file == path or file.name.lower().endswith(suffixes)))


def _format_of_name(name: str) -> CrawlFormat:
    lower = name.lower()
    if lower.endswith(WARC_SUFFIXES):
        return "warc"
    if lower.endswith(TABLE_SUFFIXES):
        return "img2dataset"
    raise CrawlFormatUnknown(
        "input.format", f"{name!r} ends in no crawl's suffix: name another file, or say its format (warc, img2dataset)"
    )


def _format_of_folder(folder: Path) -> CrawlFormat:
    if next(files_of(folder, TABLE_SUFFIXES), None) is not None:
        return "img2dataset"
    if next(files_of(folder, WARC_SUFFIXES), None) is not None:
        return "warc"
    raise CrawlMissing("input.url", f"folder {str(folder)!r} has no .warc, .warc.gz, .parquet or .tar file")

"""Pictures that are named on the command line and sent; complaints name the file and not its number."""

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from suti.api.types.v1.types_pb2 import Demonstration, Picture
from suti.client.errors import RemoteError
from suti.client.inputs import demonstration, picture
from suti.core.errors import InvalidArgument

_NUMBERED = re.compile(r"(?:demonstrations|pictures)\[(\d+)\](\.picture)?")


def demonstrations(paths: Sequence[Path], captions: Sequence[str] = ()) -> list[Demonstration]:
    """The files with their captions: none, one for all, or one for each.

    Raises:
        InvalidArgument: a file is empty, too large or cannot be read, or the captions do not fit.
    """
    texts = [*captions] * len(paths) if len(captions) == 1 else [*captions] or [""] * len(paths)
    if len(texts) != len(paths):
        raise InvalidArgument("--caption", f"{len(texts)} for {len(paths)} pictures: give one, or one for each")
    return [_read(path, partial(demonstration, caption=text)) for path, text in zip(paths, texts, strict=True)]


def plain_pictures(paths: Sequence[Path]) -> list[Picture]:
    """The files without captions. Raises InvalidArgument: a file is empty, too large or cannot be read."""
    return [_read(path, picture) for path in paths]


@contextmanager
def named(paths: Sequence[Path]) -> Generator[None]:
    """What a service says of `demonstrations[2]`, or of `pictures[2]`, is said of the third file."""
    try:
        yield
    except RemoteError as error:
        error.args = (_NUMBERED.sub(lambda found: str(paths[int(found[1])]), str(error)),)
        raise


def _read[Sent](path: Path, read: Callable[[Path], Sent]) -> Sent:
    try:
        return read(path)
    except InvalidArgument as error:
        raise InvalidArgument(str(path), str(error).removeprefix(f"{error.field}: ")) from error
    except OSError as error:
        raise InvalidArgument(str(path), f"{error.strerror}: give a picture that can be read") from error

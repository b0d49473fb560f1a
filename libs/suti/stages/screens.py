"""The operator's screens: code of a deployment's own, that settings name. Pure Python: light services load them too."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from PIL import Image

from suti.core.errors import BadConfiguration, PermanentError

# Looks at the prompt and what was drawn for it, and says for each picture whether it may go out.
Screen = Callable[[str, Sequence[Image.Image]], Sequence[bool]]


class ScreenMissing(BadConfiguration):
    """The screen that the settings name cannot be loaded."""

    reason: ClassVar[str] = "SCREEN_MISSING"


class ScreenIncomplete(BadConfiguration):
    """The operator's screen did not say of each picture whether it may go out, so none does."""

    reason: ClassVar[str] = "SCREEN_INCOMPLETE"


class PicturesScreened(PermanentError):
    """The operator's screen holds a picture back."""

    reason: ClassVar[str] = "PICTURES_SCREENED"
    grpc_code = "PERMISSION_DENIED"


def load_screen(name: str) -> Any:
    """What `package.module:name` is, None for an empty name. Raises ScreenMissing."""
    if not name:
        return None
    module, _, inside = name.partition(":")
    try:
        return getattr(importlib.import_module(module), inside)
    except (ImportError, AttributeError, ValueError) as error:
        raise ScreenMissing(f"screen {name!r}: {error}; name an importable package.module:name") from error


def pass_screen(screen: Screen, prompt: str, pictures: Sequence[Image.Image]) -> None:
    """Does nothing if the screen lets every picture out. Raises PicturesScreened, ScreenIncomplete."""
    verdicts = list(screen(prompt, pictures))
    if len(verdicts) != len(pictures):
        raise ScreenIncomplete(
            f"the screen gave {len(verdicts)} verdicts for {len(pictures)} pictures: make it give one for each"
        )
    if not all(verdicts):
        raise PicturesScreened("the operator's screen holds these pictures back: ask for something else")

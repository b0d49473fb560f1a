"""Tiny pipelines on disk, made once and copied for tests that break them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.ml.diffusion import tiny_pipelines

LAYOUTS = ("stable_diffusion", "stable_diffusion_xl", "deepfloyd")


@pytest.fixture(scope="session")
def saved_pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each layout, as diffusers saved it. Not to be changed."""
    root = tmp_path_factory.mktemp("pipelines")
    for layout in LAYOUTS:
        getattr(tiny_pipelines, layout)().save_pretrained(root / layout)
    return {layout: root / layout for layout in LAYOUTS}


@pytest.fixture
def copy_of(saved_pipelines: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a layout's folder that a test may break."""
    return lambda layout: Path(shutil.copytree(saved_pipelines[layout], tmp_path / layout))

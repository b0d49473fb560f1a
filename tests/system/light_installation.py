"""A Python process that finds only the packages that `pip install suti[EXTRA]` would bring, whatever else is installed.

Run as a program: `python light_installation.py EXTRA MODULE` runs the module as `python -m MODULE` would.
"""

import importlib.machinery
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def packages_of(extra: str) -> set[str]:
    """The packages (by canonical name) that our extra brings, those that they need included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours: dict[str, Sequence[str]] = project["optional-dependencies"]
    found: dict[str, set[str]] = {}  # package -> extras of it that are in
    open_ends = [Requirement(f"suti[{extra}]"), *(Requirement(line) for line in project["dependencies"])]
    while open_ends:
        wanted = open_ends.pop()
        name = canonicalize_name(wanted.name)
        extras = set(wanted.extras) | {""}
        if extras <= found.get(name, set()):
            continue
        found.setdefault(name, set()).update(extras)
        if name == "suti":
            open_ends.extend(Requirement(line) for one in wanted.extras for line in ours[one])
        else:
            open_ends.extend(_needs(name, extras))
    return set(found)


def _needs(name: str, extras: set[str]) -> list[Requirement]:
    try:
        lines = [Requirement(line) for line in requires(name) or ()]
    except PackageNotFoundError:  # for another system or Python
        return []
    return [line for line in lines if line.marker is None or any(line.marker.evaluate({"extra": e}) for e in extras)]


def modules_refused(extra: str) -> set[str]:
    """The top-level modules that are installed here and would not be there."""
    brought = packages_of(extra)
    here: Mapping[str, Sequence[str]] = packages_distributions()
    return {
        module
        for module, packages in here.items()
        if not any(canonicalize_name(package) in brought for package in packages)
    }


class Finder(importlib.machinery.PathFinder):
    """Finds modules as Python does, but for those that are refused: they are not there at all."""

    refused: frozenset[str] = frozenset()

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """As the base class."""
        return None if fullname.partition(".")[0] in cls.refused else super().find_spec(fullname, path, target)


def launch(extra: str, module: str, *, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`python -m module` in such an installation."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, __file__, extra, module], env=dict(environment), stdout=output, stderr=output
        )


def main() -> None:
    """See the module."""
    extra, module = sys.argv[1:]
    Finder.refused = frozenset(modules_refused(extra))
    sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
    for name in [name for name in sys.modules if name.partition(".")[0] in Finder.refused]:
        del sys.modules[name]
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

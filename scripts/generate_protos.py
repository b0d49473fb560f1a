"""Generate Python from `protos/` so that each module's path is its package. `make protos` calls it.

Usage: python scripts/generate_protos.py OUT    (OUT is `libs`; the drift test gives a temporary folder)
"""

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import google.longrunning
import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"


def generate(out: Path) -> None:
    """Write `*_pb2.py`, `*_pb2_grpc.py`, their stubs and empty `__init__.py` files for every proto below `out`.

    Raises:
        RuntimeError: protoc refused; its own message stands on stderr.
    """
    sources = sorted(PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        includes = [str(PROTOS), str(Path(grpc_tools.__file__).parent / "_proto"), *_googleapis(Path(scratch))]
        arguments = [
            "protoc",
            *(f"--plugin={Path(sys.executable).with_name(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
            *(f"--proto_path={include}" for include in includes),
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *(str(source) for source in sources),
        ]
        out.mkdir(parents=True, exist_ok=True)
        if protoc.main(arguments) != 0:
            raise RuntimeError("protoc failed: mend the proto named above")
    for source in sources:
        _drop_empty_services(out / source.relative_to(PROTOS).with_suffix(""), source)
    _mark_packages(out, sources)


def _googleapis(scratch: Path) -> Iterable[str]:
    """Folders with google/{api,rpc,longrunning}/*.proto; the package ships operations.proto under another name."""
    packages = Path(next(iter(google.longrunning.__path__))).parent.parent
    target = scratch / "google" / "longrunning"
    target.mkdir(parents=True)
    shutil.copy(packages / "google" / "longrunning" / "operations_proto.proto", target / "operations.proto")
    return [str(scratch), str(packages)]


def _drop_empty_services(stem: Path, source: Path) -> None:
    if "\nservice " not in source.read_text(encoding="utf-8"):
        for suffix in ("_pb2_grpc.py", "_pb2_grpc.pyi"):
            stem.with_name(stem.name + suffix).unlink(missing_ok=True)


def _mark_packages(out: Path, sources: Iterable[Path]) -> None:
    for source in sources:
        folder = (out / source.relative_to(PROTOS)).parent
        while folder.name != "suti":
            (folder / "__init__.py").touch()
            folder = folder.parent


if __name__ == "__main__":
    generate(Path(sys.argv[1]).resolve())

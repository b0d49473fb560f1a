"""Generate Python from `protos/` so that each module's path is its package. `make protos` calls it.

Usage: python scripts/generate_protos.py OUT    (OUT is `libs`; the drift test gives a temporary folder)
"""

import shutil
import sys
import tempfile
from pathlib import Path

import google.longrunning
import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"


def generate(out: Path) -> None:
    """Write `*_pb2.py`, `*_pb2_grpc.py`, their stubs and empty `__init__.py` files for every proto below `out`.

    Raises:
        RuntimeError: protoc refused; its own message stands on stderr.
    """
    out.mkdir(parents=True, exist_ok=True)
    _protoc(
        *(f"--plugin={Path(sys.executable).with_name(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
    )
    for source in _sources():
        _drop_empty_services(out / source.relative_to(PROTOS).with_suffix(""), source)
    _mark_packages(out)


def describe() -> FileDescriptorSet:
    """The whole contract as descriptors, with its comments and with what it imports."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as target:
        _protoc(f"--descriptor_set_out={target.name}", "--include_imports", "--include_source_info")
        return FileDescriptorSet.FromString(Path(target.name).read_bytes())


def _sources() -> list[Path]:
    return sorted(PROTOS.rglob("*.proto"))


def _protoc(*options: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        includes = [PROTOS, Path(grpc_tools.__file__).parent / "_proto", *_googleapis(Path(scratch))]
        paths = [f"--proto_path={include}" for include in includes]
        if protoc.main(["protoc", *paths, *options, *(str(source) for source in _sources())]) != 0:
            raise RuntimeError("protoc failed: mend the proto named above")


def _googleapis(scratch: Path) -> list[Path]:
    """Folders with google/{api,rpc,longrunning}/*.proto; the package ships operations.proto under another name."""
    packages = Path(next(iter(google.longrunning.__path__))).parent.parent
    target = scratch / "google" / "longrunning"
    target.mkdir(parents=True)
    shutil.copy(packages / "google" / "longrunning" / "operations_proto.proto", target / "operations.proto")
    return [scratch, packages]


def _drop_empty_services(stem: Path, source: Path) -> None:
    if "\nservice " not in source.read_text(encoding="utf-8"):
        for suffix in ("_pb2_grpc.py", "_pb2_grpc.pyi"):
            stem.with_name(stem.name + suffix).unlink(missing_ok=True)


def _mark_packages(out: Path) -> None:
    for source in _sources():
        folder = (out / source.relative_to(PROTOS)).parent
        while folder.name != "suti":
            (folder / "__init__.py").touch()
            folder = folder.parent


if __name__ == "__main__":
    generate(Path(sys.argv[1]).resolve())

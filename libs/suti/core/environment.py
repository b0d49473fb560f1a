"""What of this machine and installation changes floating-point results, told without loading any of it."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "suti",
    "torch",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "peft",
    "numpy",
    "pillow",
    "daft",
    "pyarrow",
    "imagehash",
    "scipy",
    "warcio",
    "selectolax",
    "tokenizers",
    "openai",
)
_CPU_INFO = Path("/proc/cpuinfo")
# Vector instructions; which of them there are decides which kernels a library takes.
_FAMILIES = ("avx", "amx", "fma", "f16c", "sse4", "asimd", "sve", "bf16", "neon")


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on; those that are missing are left out."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_flags(cpu_info: Path = _CPU_INFO) -> tuple[str, ...]:
    """The processor's vector instructions, sorted; empty where the system does not tell."""
    try:
        lines = cpu_info.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return tuple(sorted({flag for flag in value.split() if flag.startswith(_FAMILIES)}))
    return ()

"""Removes from an image's site-packages what libraries bring and nobody here imports, and says how much that was.

    python prune_packages.py SITE_PACKAGES

Run in the same layer as the installation, or nothing is saved.
"""

import shutil
import sys
from pathlib import Path

_EVERYWHERE = {
    "headers and tests": (
        "pyarrow/include",
        "pyarrow/src",
        "pyarrow/tests",
        "Crypto/SelfTest",
        "numpy/_core/include",
        "scipy/**/tests",
    ),
    "Arrow Flight": ("pyarrow/*flight*",),
    "the same library under the name that compilers look for": (
        "pyarrow/libarrow_python*.so",
        "pyarrow/libarrow_python*.so.*.*.*",
    ),
    "Kubernetes' types and calls: launchers send JSON": (
        "kubernetes/aio",
        "kubernetes/client/api/[!_]*",
        "kubernetes/client/models/[!_]*",
    ),
}
# imagehash, which wants both, takes a cosine transform of SciPy; PyWavelets is for a hash that nobody takes.
_WITHOUT_TORCH = {
    "PyWavelets": ("pywt", "[Pp]y[Ww]avelets*"),
    "what of SciPy is no Fourier transform": tuple(
        f"scipy/{part}"
        for part in (
            "cluster",
            "datasets",
            "differentiate",
            "integrate",
            "interpolate",
            "io",
            "misc",
            "ndimage",
            "odr",
            "optimize",
            "signal",
            "sparse",
            "spatial",
            "stats",
        )
    ),
}


def prune(packages: Path) -> dict[str, int]:
    """Removes; the bytes that it was, by reason."""
    reasons = _EVERYWHERE if (packages / "torch").is_dir() else _EVERYWHERE | _WITHOUT_TORCH
    return {
        reason: sum(_remove(path) for pattern in patterns for path in sorted(packages.glob(pattern)))
        for reason, patterns in reasons.items()
    }


def _remove(path: Path) -> int:
    if not path.exists():  # it was below one that is gone
        return 0
    if path.is_file() or path.is_symlink():
        size = path.lstat().st_size
        path.unlink()
        return size
    size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
    shutil.rmtree(path)
    return size


if __name__ == "__main__":
    for why, size_bytes in prune(Path(sys.argv[1])).items():
        if size_bytes:
            sys.stdout.write(f"pruned {size_bytes / 1e6:5.0f} MB: {why}\n")

"""Splits `uv export` in two: torch with the NVIDIA libraries (torch.txt), and everything else (rest.txt).

python split_pins.py all.txt FOLDER
"""

import re
import sys
from pathlib import Path

_HEAVY = re.compile(r"(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==")


def split(text: str) -> tuple[str, str]:
    """Entries of a requirements file (with their continued lines): the heavy ones, and the others."""
    heavy, others = [], []
    for entry in re.split(r"\n(?=\S)", text.strip() + "\n"):
        (heavy if _HEAVY.match(entry) else others).append(entry.strip())
    return "\n".join(heavy), "\n".join(others)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    for name, entries in zip(("torch.txt", "rest.txt"), split(Path(sys.argv[1]).read_text()), strict=True):
        (folder / name).write_text(entries + "\n" if entries else "")

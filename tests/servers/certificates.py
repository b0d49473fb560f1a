"""Certificates for servers on 127.0.0.1."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, name: str) -> Path:
    """`NAME.crt`, for 127.0.0.1 and its own authority; `NAME.key` stands beside it. Skips where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with: install it")
    path = folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-out", str(path)]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", str(path.with_suffix(".key"))]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return path

"""Certificates for servers on 127.0.0.1, or with an authority apart."""

import shutil
import subprocess
from collections.abc import Sequence
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


def sign(folder: Path, names: Sequence[str]) -> Path:
    """`tls.crt` for these names (`DNS:host`, `IP:address`), its `tls.key`; the path of its `ca.crt`. For both sides.

    Skips where there is no openssl.
    """
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with: install it")

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=suti-test-ca", "-out", "ca.crt", "-keyout", "ca.key")
    run("req", *new_key, "-subj", "/CN=suti", "-out", "tls.csr", "-keyout", "tls.key")
    (folder / "extensions").write_text(
        f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n"
    )
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions")
    run("x509", "-req", "-in", "tls.csr", "-out", "tls.crt", *signing)
    return folder / "ca.crt"

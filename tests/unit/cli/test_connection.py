"""What the environment says of how the command calls."""

from pathlib import Path

import pytest

from suti.cli.connection import UnreadableCertificate, options_from
from suti.client.options import Tls


def test_nothing_said_is_plaintext_to_this_machine_alone() -> None:
    options = options_from({})

    assert options.tls is None
    assert not options.allow_plaintext


def test_certificates_come_from_files(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("SUTI_TLS_CA", "SUTI_TLS_CERT", "SUTI_TLS_KEY")}
    for name, path in files.items():
        path.write_text(f"pem of {name}")

    options = options_from({name: str(path) for name, path in files.items()} | {"SUTI_TLS_SERVER_NAME": "suti"})

    assert options.tls == Tls(
        roots=b"pem of SUTI_TLS_CA", chain=b"pem of SUTI_TLS_CERT", key=b"pem of SUTI_TLS_KEY", server_name="suti"
    )


def test_tls_with_the_systems_authorities_and_plaintext_are_said_by_a_one() -> None:
    assert options_from({"SUTI_TLS": "1"}).tls == Tls()
    assert options_from({"SUTI_PLAINTEXT": "1"}).allow_plaintext
    assert not options_from({"SUTI_PLAINTEXT": "0"}).allow_plaintext


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("pem")

    with pytest.raises(UnreadableCertificate, match="SUTI_TLS_KEY"):
        options_from({"SUTI_TLS_CERT": str(tmp_path / "chain.pem")})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCertificate, match=r"SUTI_TLS_CA names .*nowhere\.pem"):
        options_from({"SUTI_TLS_CA": str(tmp_path / "nowhere.pem")})

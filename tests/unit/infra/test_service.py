"""A service as a process: how it ends is told by its exit code and by the last line of its log."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.servers.nats import NatsServer, nats_server
from tests.waiting import appears

__all__ = ["nats_server"]

SERVICE = """
import asyncio, sys
from pathlib import Path
from pydantic import SecretStr
from suti.core.errors import BadConfiguration
from suti.infra.service import Service, run_service
from suti.infra.settings import ServiceSettings

nats, folder, case = sys.argv[1:]

class NoLens(BadConfiguration):
    reason = "NO_LENS"

async def returns(stop):
    await asyncio.sleep(0.1)

def wire(settings, bus):
    if case == "misconfigured":
        raise NoLens("there is no lens: buy one")
    return Service(settings.make_server(), tasks=[returns] if case == "returns" else [])

class Settings(ServiceSettings):
    model_config = {"env_prefix": "SUTI_TEST_"}
    nats_url: str = nats
    store_url: str = f"file://{folder}/s"
    port_file: Path = Path(f"{folder}/port")
    log_json: bool = True
    keep_models: int = 2
    key: SecretStr | None = None

run_service("suti_test", Settings, wire)
"""


async def run(nats: NatsServer, folder: Path, case: str, **environment: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and what was logged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVICE,
        nats.url,
        str(folder),
        case,
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    if case == "well":
        await appears(folder / "port")
        process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in errors.splitlines()]


async def test_a_service_that_is_asked_to_end_ends_with_0(nats_server: NatsServer, tmp_path: Path) -> None:
    code, _ = await run(nats_server, tmp_path, "well")

    assert code == 0


@pytest.mark.parametrize(("case", "code", "reason"), [("misconfigured", 78, "NO_LENS"), ("returns", 75, "LOOP_ENDED")])
async def test_a_service_ends_with_the_code_of_its_error_and_says_the_reason_last(
    nats_server: NatsServer, tmp_path: Path, case: str, code: int, reason: str
) -> None:
    ended, log = await run(nats_server, tmp_path, case)

    assert ended == code
    assert log[-1]["message"].startswith(f"{reason}: ")


async def test_a_setting_that_is_no_such_value_is_named_by_its_variable_and_its_value_is_not_told(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    code, log = await run(nats_server, tmp_path, "well?", SUTI_TEST_KEEP_MODELS="many", SUTI_TEST_KEY="s3cret")

    assert code == 78
    assert log[-1]["message"].startswith("SETTING_WRONG: SUTI_TEST_KEEP_MODELS: Input should be a valid integer")
    assert "many" not in str(log)
    assert "s3cret" not in str(log)

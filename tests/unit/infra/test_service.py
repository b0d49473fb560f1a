"""A service as a process: how it ends is told by its exit code and by the last line of its log."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.servers.nats import NatsServer, nats_server
from tests.waiting import appears

__all__ = ["nats_server"]

SERVICE = """
import asyncio, sys
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

settings = ServiceSettings(nats_url=nats, store_url=f"file://{folder}/s", port_file=f"{folder}/port", log_json=True)
run_service("suti_test", settings, wire)
"""


async def run(nats: NatsServer, folder: Path, case: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and what was logged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, nats.url, str(folder), case, stderr=asyncio.subprocess.PIPE
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

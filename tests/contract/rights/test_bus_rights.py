"""What a service's user may do on a real NATS server with the rights of `suti.infra.rights`, and what it may not."""

import asyncio
import json
from collections.abc import Generator
from pathlib import Path

import nats.errors
import pytest

from suti.infra.bus.connection import Bus, BusUnavailable
from suti.infra.bus.tickets import ShardTicket
from suti.infra.rights import BUS
from tests.servers.nats import NatsServer

RUN = "01JD0000000000000000000000"


def _config(folder: Path) -> Path:
    users = [
        {
            "user": user,
            "password": f"secret-{user}",
            "permissions": {
                "publish": list(rights.publish),
                "subscribe": [*rights.subscribe, f"_INBOX_{user}.>"],
            },
        }
        for user, rights in BUS.items()
    ]
    path = folder / "rights.conf"
    path.write_text(f"authorization {{ users: {json.dumps(users)} }}")
    return path


@pytest.fixture
def server(tmp_path: Path) -> Generator[NatsServer]:
    server = NatsServer(tmp_path / "nats", arguments=("-c", str(_config(tmp_path))))
    server.start()
    yield server
    server.stop()


async def _connect(server: NatsServer, user: str) -> Bus:
    return await Bus.connect(
        server.url, name=user, user=user, password=f"secret-{user}", inbox=f"_INBOX_{user}", timeout_s=10.0
    )


async def test_bootstrap_makes_the_queue_and_a_worker_finds_it_takes_its_tickets_and_no_others(
    server: NatsServer,
) -> None:
    async with await _connect(server, "bootstrap") as bootstrap:
        await bootstrap.ensure_streams()
    async with await _connect(server, "pipeline") as pipeline, await _connect(server, "captioning") as captioning:
        await captioning.ensure_streams()
        await pipeline.issue(ShardTicket(run_id=RUN, stage="captioning", shard=3))

        place = await captioning.pull("captioning", ack_wait_s=30.0)
        (message,) = await place.fetch(1, timeout=5.0)
        await captioning.answer(message.reply, b"+ACK")

        assert ShardTicket.decode(message.data).shard == 3
        assert await pipeline.queue_depth("captioning") == 0
        with pytest.raises(BusUnavailable):
            await asyncio.wait_for(captioning.pull("filtering", ack_wait_s=30.0), 20.0)


async def test_a_worker_may_neither_make_nor_purge_the_queue(server: NatsServer) -> None:
    async with await _connect(server, "filtering") as filtering:
        with pytest.raises(BusUnavailable):
            await filtering.ensure_streams()  # there is none yet, and it may not make one
    async with await _connect(server, "bootstrap") as bootstrap, await _connect(server, "filtering") as filtering:
        await bootstrap.ensure_streams()
        with pytest.raises(BusUnavailable):
            await filtering.withdraw(RUN)


async def test_a_worker_may_not_issue_tickets_of_another_stage(server: NatsServer) -> None:
    async with await _connect(server, "bootstrap") as bootstrap, await _connect(server, "filtering") as filtering:
        await bootstrap.ensure_streams()
        with pytest.raises((BusUnavailable, nats.errors.Error)):
            await filtering.issue(ShardTicket(run_id=RUN, stage="experts", shard=0))

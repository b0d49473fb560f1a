"""The captioning service's screen, from its setting to a shard's drops, on a real queue."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from suti.core.records import DropRow, Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.tables import from_parquet
from suti.stages.run_orders import write_run
from suti.stages.screens import ScreenMissing
from suti_captioning.settings import CaptioningSettings
from suti_captioning.wiring import wire
from tests.unit.stages.shards import open_run, select
from tests.waiting import becomes


class NoPictures:
    """Refuses all pictures."""

    def refuse_picture(self, picture: Image.Image) -> str | None:
        del picture
        return "SCREENED"

    def refuse_prompt(self, text: str) -> str | None:
        del text
        return None


SCREEN = NoPictures()


def settings(folder: Path, *, screen: str) -> CaptioningSettings:
    return CaptioningSettings(store_url=f"file://{folder}/store", models_path=str(folder / "models"), screen=screen)


async def test_a_screen_that_is_none_ends_the_service_at_the_start(bus: Bus, tmp_path: Path) -> None:
    with pytest.raises(ScreenMissing):
        wire(settings(tmp_path, screen="no.such.module:screen"), bus)


async def test_what_the_screen_refuses_is_not_learnt_from(bus: Bus, tmp_path: Path) -> None:
    run = open_run(tmp_path)
    select(run, [["a cup", "a red cup", "a cup"]])
    write_run(run.ledger.store, run.spec)
    (worker,) = wire(settings(tmp_path, screen=f"{__name__}:SCREEN"), bus).workers
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    await bus.issue(ShardTicket(run_id=run.spec.run_id, stage=Stage.CAPTIONING, shard=0))
    await becomes(lambda: run.ledger.is_committed(Stage.CAPTIONING, 0))
    stop.set()
    await working

    commit = run.ledger.get(Stage.CAPTIONING, 0)
    drops = from_parquet(run.ledger.read(commit.part("drops.parquet")), DropRow)
    assert [row.reason for row in drops if row.kind == "picture"] == ["SCREENED"] * 3

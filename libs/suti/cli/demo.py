"""`suti demo`: from a drawn crawl to an apprentice that draws what it never saw, with a report."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from suti.api.pipeline.v1.pipeline_pb2 import Run
    from suti.client import Suti
    from suti.local.demo.story import Teller
    from suti.report.facts import Facts

app = typer.Typer(help="From a drawn crawl to an apprentice that draws what it never saw, with a report.")

LEAST_IDENTIFIED = 0.30
LEAST_RATIO = 2.0  # apprentice to base
MOST_MEMORY_BYTES = 2 * 8 * 2**30  # a failure at twice what is promised


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the report goes, and all data of the demo.")] = Path("out/demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A small one, to see that everything works.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed: another crawl, other subjects.")] = 0,
    pages: Annotated[int | None, typer.Option(min=4, help="Pages of the crawl.")] = None,
    check: Annotated[
        bool, typer.Option(help="End with 1 if the apprentice or the memory misses its mark; --quick never does.")
    ] = True,
) -> None:
    """Draw a crawl, run it through the real services, and put the apprentice to the test. Ten minutes on two cores."""
    from dataclasses import replace  # noqa: PLC0415

    from suti.local.demo.plan import DemoPlan  # noqa: PLC0415
    from suti.local.demo.plan import quick as cut_short  # noqa: PLC0415
    from suti.local.demo.story import tell  # noqa: PLC0415 - brings torch

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _terminated)
    plan = DemoPlan(seed=seed)
    plan = cut_short(plan) if quick else plan
    plan = replace(plan, pages=pages) if pages else plan
    console = Console()
    with _Screen(console) as screen:
        told = tell(plan, out, screen.teller())
    console.print(_summary(told.facts))
    console.print(f"Report: {told.html_path.absolute()}\nFacts:  {told.json_path.absolute()}", soft_wrap=True)
    missed = [] if quick else misses(told.facts)
    for miss in missed:
        console.print(f"[red]missed[/]: {miss}")
    raise typer.Exit(1 if missed and check else 0)


def misses(facts: "Facts") -> list[str]:
    """What a demo promises and these facts do not show."""
    apprentice = facts.scores["apprentice"].identified_16way.mean
    base = facts.scores["base"].identified_16way.mean
    found: list[str] = []
    if apprentice < LEAST_IDENTIFIED:
        found.append(f"the apprentice is identified in {apprentice:.2f} of its pictures, below {LEAST_IDENTIFIED:.2f}")
    if apprentice < LEAST_RATIO * base:
        found.append(f"the apprentice ({apprentice:.2f}) is below twice the base ({base:.2f})")
    if facts.peak_rss_bytes > MOST_MEMORY_BYTES:
        found.append(f"peak memory is {facts.peak_rss_bytes / 2**30:.1f} GiB, above {MOST_MEMORY_BYTES / 2**30:.0f}")
    return found


class _Screen:
    """Bars that come and go."""

    def __init__(self, console: Console) -> None:
        from suti.local.demo.watching import stage_bars  # noqa: PLC0415

        self._bars = stage_bars(console)

    def __enter__(self) -> "_Screen":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def teller(self) -> "Teller":
        """What the story calls."""
        from suti.local.demo.story import Teller  # noqa: PLC0415 - brings torch

        return Teller(say=self._bars.console.print, follow=self._follow, count=self._count)

    def _follow(self, client: "Suti", run_id: str, on_stage: Callable[[str], None]) -> "Run":
        from suti.local.demo.watching import follow  # noqa: PLC0415

        return follow(client, run_id, self._bars, on_stage=on_stage)

    def _count(self, what: str, total: int) -> Callable[[], None]:
        task = self._bars.add_task(what, total=total, said="")
        return lambda: self._bars.advance(task)


def _summary(facts: "Facts") -> Table:
    table = Table(box=None, pad_edge=False, title="overall: the true one of 16, as asked", title_justify="left")
    for column in ("", "overall", "identified", "as asked", "n"):  # eighty columns wide
        table.add_column(column, justify="left" if not column else "right")
    rows = {**facts.scores, "apprentice\n- warmstart": facts.apprentice_minus_warmstart}
    for name, scores in rows.items():
        spans = (scores.overall, scores.identified_16way, scores.follows_prompt)
        shown = [f"{score.mean:.3f} [{score.low:.2f}, {score.high:.2f}]" for score in spans]
        table.add_row(name, *shown, str(scores.identified_16way.n))
    bounds = facts.identified_16way_bounds
    table.add_row("ceiling", "", f"{bounds.ceiling.mean:.3f}", "", str(bounds.ceiling.n))
    table.add_row("floor", "", f"{bounds.floor.mean:.3f}", "", str(bounds.floor.n))
    table.caption = f"{facts.seconds['total']:.0f} s in all, peak memory {facts.peak_rss_bytes / 2**30:.2f} GiB"
    return table


def _terminated(number: int, frame: FrameType | None) -> None:
    """Ends the demo; signals that come while its processes are being stopped change nothing."""
    for later in (signal.SIGINT, signal.SIGTERM):
        signal.signal(later, signal.SIG_IGN)
    sys.exit(128 + number)

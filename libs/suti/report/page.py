"""`report.html`, a demo's or any run's: one file that needs nothing else, from facts and pictures."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from suti.report.charts import CURVE_POINTS, line_chart, smoothed
from suti.report.facts import Facts, Score, StageFacts
from suti.report.gallery import Gallery
from suti.report.run_facts import RunReport

STAGE_WORDS = {
    "grouping": "pictures of the crawl, grouped by page",
    "selection": "clusters, judged by how alike their pictures are",
    "captioning": "clusters, each picture told in words",
    "experts": "clusters, an expert tuned on each",
    "filtering": "candidates that the experts drew",
    "apprentice": "examples that the apprentice learned from",
}
MODEL_WORDS = {
    "base": "the base, text alone",
    "warmstart": "what the apprentice starts from: trained on raw clusters",
    "apprentice": "the apprentice of this run",
    "expert": "the experts, on their own clusters' subjects: other pictures than the rest",
}


STATE_WORDS = {
    "RUNNING": "On the way from a crawl to an apprentice",
    "CANCELLING": "A run that is being cancelled",
    "SUCCEEDED": "From a crawl to an apprentice",
    "EMPTY": "A run that ended with nothing",
    "FAILED": "A run that failed",
    "CANCELLED": "A run that was cancelled",
}
FIGURE_WORDS = {"grouping": "pictures grouped", "selection": "clusters chosen", "filtering": "candidates kept"}


def render_page(facts: Facts, gallery: Gallery) -> str:
    """A demo's whole page. Its pictures are inline."""
    losses = smoothed(gallery.losses, window=-(-len(gallery.losses) // CURVE_POINTS))
    return _rendered(
        "page.html.j2",
        facts=facts,
        gallery=gallery,
        model_words=MODEL_WORDS,
        widest=_widest(facts.stages),
        loss_chart=_loss_chart(losses),
        losses=losses,
        added=facts.apprentice_minus_warmstart,
    )


def render_run_page(report: RunReport, gallery: Gallery) -> str:
    """Any run's whole page. Its pictures are inline."""
    return _rendered(
        "run.html.j2",
        report=report,
        gallery=gallery,
        state_words=STATE_WORDS,
        figure_words=FIGURE_WORDS,
        widest=_widest(report.stages),
        work_seconds=sum(stage.work_seconds for stage in report.stages.values()),
        loss_chart=_loss_chart(report.loss_curve),
    )


def write_page(page: str, path: Path) -> None:
    """`report.html`, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(page, encoding="utf-8")
    new.replace(path)


def _rendered(template: str, **shown: object) -> str:
    environment = Environment(
        loader=PackageLoader("suti.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(inline=_inline, percent=_percent, span=_span, duration=_duration, gib=_gib, told=_told)
    return environment.get_template(template).render(stage_words=STAGE_WORDS, **shown)


def _widest(stages: Mapping[str, StageFacts]) -> int:
    return max((stage.items_in for stage in stages.values()), default=1) or 1


def _loss_chart(losses: Sequence[float]) -> Markup:
    return Markup(line_chart(losses, label="loss of the apprentice over its steps"))  # noqa: S704 - our numbers


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _span(score: Score) -> str:
    return f"{score.low:+.3f} … {score.high:+.3f}" if score.low < 0 else f"{score.low:.3f} … {score.high:.3f}"


def _duration(seconds: float) -> str:
    if seconds >= 2 * 3600:
        return f"{seconds // 3600:,.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"


def _told(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

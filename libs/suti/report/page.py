"""`report.html`: one file that needs nothing else, from facts and pictures."""

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from suti.report.charts import line_chart, smoothed
from suti.report.facts import Facts, Score
from suti.report.gallery import Gallery

_CURVE_POINTS = 80
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


def render_page(facts: Facts, gallery: Gallery) -> str:
    """The whole page. Its pictures are inline."""
    environment = Environment(
        loader=PackageLoader("suti.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(inline=_inline, percent=_percent, span=_span, duration=_duration, gib=_gib)
    losses = smoothed(gallery.losses, window=-(-len(gallery.losses) // _CURVE_POINTS))
    return environment.get_template("page.html.j2").render(
        facts=facts,
        gallery=gallery,
        stage_words=STAGE_WORDS,
        model_words=MODEL_WORDS,
        widest=max((stage.items_in for stage in facts.stages.values()), default=1) or 1,
        loss_chart=Markup(line_chart(losses, label="loss of the apprentice over its steps")),  # noqa: S704 - our numbers
        losses=losses,
        added=facts.apprentice_minus_warmstart,
    )


def write_page(facts: Facts, gallery: Gallery, path: Path) -> None:
    """`report.html`, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(render_page(facts, gallery), encoding="utf-8")
    new.replace(path)


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _span(score: Score) -> str:
    return f"{score.low:+.3f} … {score.high:+.3f}" if score.low < 0 else f"{score.low:.3f} … {score.high:.3f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"

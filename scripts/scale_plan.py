"""Prints the table of docs/scale.md: what one billion pairs, two million experts and 500,000 examples take, on paper.

    python scripts/scale_plan.py            the table
    python scripts/scale_plan.py --write    puts it between the marks in docs/scale.md

Each number is one line of arithmetic on the constants below; where they come from stands behind them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOC = Path(__file__).parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- scale_plan -->", "<!-- /scale_plan -->"

# The task, and the paper's shares (SuTI, section 4 and appendix A.1).
PAIRS = 1_000_000_000
PAGES = 45_000_000  # "~45M clusters"
LARGE_ENOUGH = 0.222  # 77.8 % have fewer than 3 pictures
ONE_SUBJECT = 0.189  # 81.1 % are not of mean similarity 0.82 to 0.98
EXPERTS = 2_000_000
EXAMPLES = 500_000
EXPERT_S = 300.0  # "only takes 5 minutes" on one TPU core of 32 GB, 2.1B parameters at 64 px
APPRENTICE_CHIPS, APPRENTICE_STEPS = 128, 150_000  # TPU v4
BATCH = 128  # ours: one subject to a chip (the recipe's default of 16 is for less); the paper names none
STEP_S = 0.7  # assumed: 2.1B parameters, 3 demonstrations, one target to a chip

# Suti's recipes (preset `paper`).
SHARD_CLUSTERS = 200  # raw clusters
SAMPLES = 4  # of the one target prompt of a cluster
PICTURES = 6  # of a cluster: between 3 and 10
STORE_PX, DRAWN_PX = 512, 64
PNG = 0.6  # of the pixels' bytes, as in suti.stages.plan
SOURCE_BYTES = 50_000  # a picture of img2dataset at 512 px
# Parts of a commit and the commit itself: grouping has two parts for each shard and one commit.
OBJECTS = {"grouping": 2, "selection": 5, "captioning": 4, "experts": 5, "filtering": 5}
CORE_S_DECODE = 0.02  # a picture decoded, hashed and packed (suti.stages.plan)
CLIP_PER_S = 400.0  # pictures through ViT-L/14 on one accelerator
CAPTION_PER_S = 20.0  # pictures through a captioner and refined by an LLM, on one accelerator

# The machinery, measured on one machine (`make bench-cluster`, docs/scale.md) or set by its constants.
PODS_AT_ONCE = 1_000
WAVE = 1_000  # shards of a job (`wave_shards`)
RENEW_S = 10.0  # a ticket in a worker's hand is renewed so often (a third of its `ack_wait_s`, 30 seconds)
LAUNCHER_RENEW_S = 40.0  # one in a launcher's (its `ack_wait_s` is 120 seconds)
TELL_S = 10.0  # a shard's progress on its way from the store to the bus, in a job of a thousand
PROGRESS_PUT_S = 5.0
REQUESTS_PER_POD = 10  # of the API server, by all of the control plane

# Money: list prices of 2025, on demand, US. Accelerator: a TPU v4 chip is 3.22 $ an hour and has two cores.
CORE_USD_H, CPU_USD_H = 1.61, 0.04
STORE_USD_GB_MONTH, PUT_USD, GET_USD, LIST_USD = 0.023, 5e-6, 4e-7, 5e-6  # S3 Standard, a request each


@dataclass(frozen=True)
class Part:
    """One row."""

    name: str
    shards: float
    pods: float
    accelerator_h: float
    core_h: float
    read_bytes: float
    written_bytes: float
    objects: float
    messages: float

    @property
    def usd(self) -> float:
        """Compute, a month of what is written, and the requests for it (two reads for each write)."""
        stored = self.written_bytes / 1e9 * STORE_USD_GB_MONTH
        return (
            self.accelerator_h * CORE_USD_H + self.core_h * CPU_USD_H + stored + self.objects * (PUT_USD + 2 * GET_USD)
        )


def plan() -> Sequence[Part]:
    """All parts, in order."""
    raw = PAGES * LARGE_ENOUGH
    shards = raw / SHARD_CLUSTERS
    kept_pictures = raw * PICTURES
    shown = EXPERTS * PICTURES
    candidates = EXPERTS * SAMPLES
    picture, drawn = STORE_PX**2 * 3 * PNG, DRAWN_PX**2 * 3 * PNG
    shard_s = EXPERTS / shards * EXPERT_S
    apprentice_h = APPRENTICE_STEPS * STEP_S / 3600
    waves_messages = shards * (4 + shard_s / LAUNCHER_RENEW_S + shard_s / TELL_S)

    def stage(
        name: str, *, accelerator_h: float = 0.0, core_h: float = 0.0, read: float, written: float, one_s: float
    ) -> Part:
        """A stage that workers do shard by shard, each of `one_s` seconds."""
        # Ticket, delivery, ack and announcement; renewals and progress while it lasts.
        messages = shards * (4 + one_s / RENEW_S + min(one_s / 0.5, 2 * one_s))
        return Part(name, shards, 0, accelerator_h, core_h, read, written, shards * OBJECTS[name], messages)

    clip_s, caption_s = kept_pictures / shards / CLIP_PER_S, shown / shards / CAPTION_PER_S
    judge_s = candidates / shards / CLIP_PER_S
    return [
        Part(
            "grouping", 1, 0, 0.0, PAIRS * CORE_S_DECODE / 3600, PAIRS * SOURCE_BYTES, kept_pictures * picture,
            shards * OBJECTS["grouping"] + 2, 4 + PAIRS * CORE_S_DECODE / 1_000 / RENEW_S,
        ),
        stage(
            "selection", accelerator_h=kept_pictures / CLIP_PER_S / 3600, read=kept_pictures * picture,
            written=shown * 3_400, one_s=clip_s,
        ),
        stage(
            "captioning", accelerator_h=shown / CAPTION_PER_S / 3600, read=shown * picture, written=shown * 600,
            one_s=caption_s,
        ),
        Part(
            "experts", shards, shards, EXPERTS * EXPERT_S / 3600, 0.0, shown * picture, candidates * (drawn + 300),
            shards * OBJECTS["experts"], waves_messages,
        ),
        stage(
            "filtering", accelerator_h=candidates / CLIP_PER_S / 3600, read=candidates * drawn,
            written=candidates * 3_400, one_s=judge_s,
        ),
        Part(
            "apprentice", 1, APPRENTICE_CHIPS / 4, apprentice_h * APPRENTICE_CHIPS * 2, 0.0,
            EXAMPLES * (PICTURES * picture + drawn) * APPRENTICE_CHIPS, 2.1e9 * 4 + 3 * 2.1e9 * 8, 20,
            4 + apprentice_h * 3600 * (1 / LAUNCHER_RENEW_S + 2),
        ),
    ]  # fmt: skip


def table() -> str:
    """Markdown."""
    rows = [
        "| Part | Shards | Pods | Accelerator hours | Core hours | Read | Written | Objects | NATS messages | USD |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    parts = plan()
    total = Part("**all**", 0, *(sum(column) for column in zip(*map(_numbers, parts), strict=True)))
    for part in [*parts, total]:
        cells = [
            part.name, _short(part.shards) if part.shards else "", _short(part.pods) if part.pods else "-",
            _short(part.accelerator_h), _short(part.core_h), _bytes(part.read_bytes), _bytes(part.written_bytes),
            _short(part.objects), _short(part.messages), _short(part.usd),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", *_experts(parts[3])])


def _experts(experts: Part) -> Sequence[str]:
    """What the table does not say of the experts, and of the apprentice."""
    each = EXPERTS / experts.shards
    seconds = experts.accelerator_h * 3600
    days = seconds / PODS_AT_ONCE / 86_400
    pods_a_second = experts.pods * PODS_AT_ONCE / seconds
    puts = seconds / PROGRESS_PUT_S
    requests = experts.pods * REQUESTS_PER_POD
    return [
        f"An expert shard has {each:.0f} experts and takes {each * EXPERT_S / 3600:.1f} hours.",
        f"With {PODS_AT_ONCE:,} pods at once the experts take {days:.0f} days.",
        f"The control plane makes {pods_a_second:.2f} pods a second, of {_short(experts.shards / WAVE)} jobs,",
        f"with {_short(requests)} requests in all.",
        f"Pods say how far they are with {_short(PODS_AT_ONCE / PROGRESS_PUT_S)} small puts a second",
        f"({_short(puts)} in all, {puts * PUT_USD:.0f} USD).",
        f"The apprentice takes {APPRENTICE_STEPS * STEP_S / 3600:.0f} hours on {APPRENTICE_CHIPS} chips.",
    ]


def _numbers(part: Part) -> tuple[float, ...]:
    return (
        part.pods, part.accelerator_h, part.core_h, part.read_bytes, part.written_bytes, part.objects, part.messages,
    )  # fmt: skip


def _short(number: float) -> str:
    """Two digits that mean something."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.3g}"


def _bytes(number: float) -> str:
    for limit, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number / 1e6:.2g} MB"


def main() -> None:
    """Prints, or writes."""
    if "--write" not in sys.argv:
        sys.stdout.write(f"{table()}\n")
        return
    text = DOC.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOC.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

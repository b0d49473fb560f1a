"""`suti generate`: pictures of a subject, or of nobody in particular."""

import io
from pathlib import Path
from typing import Annotated, Literal

import typer

from suti.api.generation.v1 import generation_pb2 as pb
from suti.cli.answers import answer_console
from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption, connect
from suti.cli.pictures import demonstrations, named, plain_pictures
from suti.cli.progress import reported
from suti.client.blocking import Suti
from suti.client.requests.generation import generate_request
from suti.core.errors import InvalidArgument

app = typer.Typer(help="Draw a subject for a prompt.")
console = answer_console()

SamplerChoice = Literal["ddpm", "ddim", "dpmsolver++", "unipc"]


@app.command()
def generate(  # noqa: PLR0917 - options, given by name
    prompt: Annotated[str, typer.Argument(help="What the pictures are to show; needless with --picture.")] = "",
    subject: Annotated[str, typer.Option(help="A registered subject's id.")] = "",
    like: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A picture of a subject, for this call alone; may be repeated: three to five are best.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A name of `suti models list`; unset: the promoted apprentice. Before there is one: warmstart."
        ),
    ] = "",
    count: Annotated[int, typer.Option(min=1, max=16, help="Pictures.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed draws the same pictures.")] = None,
    steps: Annotated[int, typer.Option(min=0, max=1000, help="Steps of the sampler; 0: the model's.")] = 0,
    guidance: Annotated[float | None, typer.Option(min=0, max=100, help="Weight of text and subject.")] = None,
    subject_guidance: Annotated[float | None, typer.Option(min=0, max=100, help="The subject's own weight.")] = None,
    sampler: Annotated[
        SamplerChoice | None, typer.Option(help="How noise becomes a picture; unset: the model's.")
    ] = None,
    avoid: Annotated[str, typer.Option(help="What the pictures are not to show.")] = "",
    out: Annotated[Path, typer.Option(help="A folder for the pictures.")] = Path("out"),
    enlarge_with: Annotated[
        list[str] | None,
        typer.Option(
            help="A super-resolution model of `suti models list`, by which the pictures become larger and keep their "
            "subject; may be repeated: one after the other."
        ),
    ] = None,
    picture: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A picture to enlarge instead of drawing any, with --enlarge-with; may be repeated.",
        ),
    ] = None,
    noise_level: Annotated[
        int | None, typer.Option(min=0, max=999, help="Noise before enlarging: the more, the more is drawn anew.")
    ] = None,
    enlarge: Annotated[int, typer.Option(min=1, max=64, help="Write each pixel so many times wide and high.")] = 1,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Draw pictures for a prompt, write them as PNG, and print where.

    Say who is on them with --subject (registered before) or --like (pictures for this call alone); a base model draws
    from the prompt alone. With --enlarge-with they are drawn anew in larger form after that.
    """
    if subject and like:
        raise InvalidArgument("--like", "the subject is registered already: give one of --subject and --like")
    if like and picture:
        raise InvalidArgument("--picture", "nobody is drawn where pictures are given: leave out one of both")
    request = generate_request(
        prompt,
        subject_id=subject,
        demonstrations=demonstrations(like or []),
        negative_prompt=avoid,
        model=model,
        count=count,
        seed=seed,
        steps=steps,
        guidance=guidance,
        subject_guidance=subject_guidance,
        sampler_name=sampler or "",
        enlarge_with=enlarge_with or [],
        noise_level=noise_level,
        pictures=plain_pictures(picture or []),
    )
    with named([*(like or []), *(picture or [])]), connect(server, data) as suti:
        answer = _watch(suti, request)
        out.mkdir(parents=True, exist_ok=True)
        for index, one in enumerate(answer.pictures):
            path = out / f"{answer.provenance_id[:8]}-{index:02d}.png"
            png = one.png or suti.read_picture(one.store_key).png
            path.write_bytes(_enlarged(png, enlarge))
            console.print(f"{path}  seed {one.seed}", soft_wrap=True)
    used = [answer.model, *answer.enlarged_with] if answer.model.name else answer.enlarged_with
    by = " and ".join(f"{one.name} ({one.sha256[:12]})" for one in used)
    took = f"{answer.timings.total.ToMilliseconds() / 1e3:.1f} s"
    console.print(f"by {by} from seed {answer.seed} in {took}; provenance {answer.provenance_id}", soft_wrap=True)


def _watch(suti: Suti, request: pb.GenerateRequest) -> pb.GenerateResponse:
    """The answer, told of while it is drawn."""
    answer = pb.GenerateResponse()
    with reported("waiting") as report:
        for event in suti.generate_stream(request):
            match event.WhichOneof("event"):
                case "queued":
                    report(0, 0, f"waiting, {event.queued.place} before" if event.queued.place else "waiting")
                case "step":
                    report(event.step.step, event.step.steps, "drawing")
                case "result":
                    answer = event.result
                case _:
                    pass
    return answer


def _enlarged(png: bytes, times: int) -> bytes:
    if times == 1:
        return png
    from PIL import Image  # noqa: PLC0415 - not needed otherwise

    from suti.ml.png import png_of  # noqa: PLC0415

    drawn = Image.open(io.BytesIO(png))
    return png_of(drawn.resize((drawn.width * times, drawn.height * times), Image.Resampling.NEAREST))

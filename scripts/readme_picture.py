"""Draw the README picture: unseen toy subjects, what the warm start makes of them, and the base without seeing them."""

import sys
from pathlib import Path

from PIL import Image

from suti.local.folder import packaged_models
from suti.ml.diffusion.pixels import from_pixels, tensor_to_picture
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import load_subject_model
from suti.toyworld.captions import caption, prompt
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.views import View, draw_view

SUBJECTS, DEMONSTRATIONS, BASE_DRAWS = 6, 4, 2
ASKED = (View(scene="beach"), View(scene="snow"), View(scene="meadow"), View(accessory="hat"))
SIDE_PX, GAP_PX, GROUP_GAP_PX = 92, 4, 12
RECIPE = SamplingRecipe(sampler="dpmsolver++", steps=14, guidance=2.0)


def main(path: Path) -> None:
    """Write the picture: a subject a row."""
    model = load_subject_model(packaged_models() / "warmstart")
    model.network.eval()
    rows: list[list[Image.Image]] = []
    for number in range(SUBJECTS):
        subject = subject_of(Namespace.EVALUATION, number)
        views = [draw_view(view_seed(Namespace.EVALUATION, number, view)) for view in range(DEMONSTRATIONS)]
        shown_NCHW = from_pixels(render([subject] * DEMONSTRATIONS, views))
        texts = [caption(subject, view, detail=0.0) for view in views]
        context = encode_subject(model, shown_NCHW, texts)
        prompts = [prompt(subject.kind, view) for view in ASKED]
        seeds = list(range(1, len(ASKED) + 1))
        drawn = draw_subject_pictures(model, prompts=prompts, seeds=seeds, subject=context, recipe=RECIPE)
        base = draw_subject_pictures(
            model, prompts=prompts[:BASE_DRAWS], seeds=seeds[:BASE_DRAWS], subject=None, recipe=RECIPE
        )
        rows.append([tensor_to_picture(picture_CHW) for picture_CHW in (*shown_NCHW, *drawn, *base)])
    _sheet(rows).save(path, optimize=True)


def _sheet(rows: list[list[Image.Image]]) -> Image.Image:
    pitch = SIDE_PX + GAP_PX
    sheet = Image.new("RGB", (len(rows[0]) * pitch + 2 * GROUP_GAP_PX - GAP_PX, len(rows) * pitch - GAP_PX), "white")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            groups = (column >= DEMONSTRATIONS) + (column >= DEMONSTRATIONS + len(ASKED))
            place = (column * pitch + groups * GROUP_GAP_PX, row * pitch)
            sheet.paste(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS), place)
    return sheet


if __name__ == "__main__":
    main(Path(sys.argv[1]))

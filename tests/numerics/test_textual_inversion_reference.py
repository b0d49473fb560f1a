"""Textual Inversion against the way the field's scripts do it: the whole table of a resized encoder is trained, and all
rows but the new one are put back after each step.
"""

from typing import Any, cast

import torch
from tokenizers import AddedToken

from suti.ml.diffusion.base import predict
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.diffusion.text import TextEmbedding
from suti.ml.experts.choices import Dice
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.rivals.new_words import new_embeddings
from suti.ml.rivals.textual_inversion import TextualInversion
from tests.models.subject_models import tiny_subject_model
from tests.unit.ml.rivals.test_rivals import a_subject

_STEPS, _RATE, _SEED = 5, 0.02, 7


def test_the_new_embedding_is_that_of_training_a_resized_table() -> None:
    subject = a_subject()
    recipe = TextualInversion(steps=_STEPS, learning_rate=_RATE, batch_pictures=3)

    drawer = recipe.prepare(tiny_subject_model(), subject, seed=_SEED)

    (learnt_VD,) = new_embeddings(drawer.expert.text)
    assert torch.allclose(learnt_VD[0], _by_resized_table(), rtol=1e-4, atol=1e-6)


def _by_resized_table() -> torch.Tensor:
    start, subject = tiny_subject_model(), a_subject()
    base, tokenizer, model = start.base, start.base.text.tokenizers[0], cast("Any", start.base.text.models[0])
    like: list[int] = tokenizer("mug", add_special_tokens=False, padding=False)["input_ids"]
    tokenizer.add_tokens([AddedToken("<subject-0>", normalized=False, lstrip=True)])
    own = len(tokenizer) - 1
    model.resize_token_embeddings(own + 1, mean_resizing=False)
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        table[own] = table[like].mean(dim=0)
    kept = table.detach().clone()
    optimizer = torch.optim.AdamW([table], lr=_RATE, weight_decay=0.01)
    schedule = NoiseSchedule.from_config(base.scheduler_config)
    dice = Dice(
        seed=_SEED,
        pictures=len(subject.texts),
        recipe=ExpertRecipe(batch_pictures=3, text_dropout=0.0),
        noise_levels=schedule.steps,
        shape_CHW=subject.pictures_KCHW.shape[1:],
    )
    for _ in range(_STEPS):
        thrown = dice.throw()
        picked: list[int] = thrown.text_N.tolist()
        texts = [subject.texts[one].replace("mug", "<subject-0>") for one in picked]
        tokens = tokenizer(texts, padding="max_length", max_length=_length(start), truncation=True, return_tensors="pt")
        text = TextEmbedding(hidden_NLD=model(input_ids=tokens["input_ids"])[0])
        x0_NCHW = subject.pictures_KCHW[thrown.picture_N]
        signal = schedule.alpha_bar_T[thrown.t_N].sqrt().view(-1, 1, 1, 1)
        sigma = (1 - schedule.alpha_bar_T[thrown.t_N]).sqrt().view(-1, 1, 1, 1)
        answer_NCHW = predict(base.unet, signal * x0_NCHW + sigma * thrown.noise_NCHW, thrown.t_N, text)
        loss = ((answer_NCHW - (signal * thrown.noise_NCHW - sigma * x0_NCHW)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            table[:own] = kept[:own]
    return table[own].detach()


def _length(start: Any) -> int:
    text = start.base.text
    return min(int(text.models[0].config.max_position_embeddings), int(text.tokenizers[0].model_max_length))

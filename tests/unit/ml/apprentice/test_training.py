"""Training can be killed at any step and goes on as if nothing had happened."""

import random

import pytest
import torch
from safetensors.torch import load

from suti.core.errors import PermanentError
from suti.ml.apprentice.checkpoints import CheckpointInvalid, restore, take_checkpoint
from suti.ml.apprentice.examples import ExampleSet, NoExamples, Shown, SubjectExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer, TrainingDiverged
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.diffusion.text import TextEmbedding
from suti.ml.subject.network import SubjectUNet
from tests.unit.ml.subject.test_network import TEXT_WIDTH, tiny_unet

RECIPE = ApprenticeRecipe(
    steps=8, batch_subjects=2, targets_per_subject=2, learning_rate=1e-3, optimizer="adamw", checkpoint_steps=2
)
SCHEDULE = NoiseSchedule.from_config({"num_train_timesteps": 100, "prediction_type": "v_prediction"})


def examples(subjects: int = 3) -> ExampleSet:
    generator = torch.Generator().manual_seed(5)
    rows = [
        SubjectExamples(
            demonstrations=tuple(Shown(4 * s + k, s) for k in range(3)), targets=(Shown(4 * s + 3, subjects),)
        )
        for s in range(subjects)
    ]
    return ExampleSet(
        pictures_PCHW=torch.randint(0, 256, (4 * subjects, 3, 1, 1), generator=generator, dtype=torch.uint8).expand(
            -1, -1, 16, 16
        ),
        texts=TextEmbedding(
            torch.cat([torch.randn(subjects + 1, 5, TEXT_WIDTH, generator=generator), torch.zeros(1, 5, TEXT_WIDTH)])
        ),
        subjects=rows,
    )


def new_trainer(seed: int, recipe: ApprenticeRecipe = RECIPE) -> Trainer:
    return Trainer(SubjectUNet(tiny_unet()), SCHEDULE, examples(), recipe=recipe, seed=seed)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_training_killed_at_a_random_step_and_resumed_gives_the_bit_equal_loss_curve(seed: int, optimizer: str) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    whole = new_trainer(seed, recipe)
    losses = whole.run(until=8)
    killed_at = random.Random(seed).randrange(1, 8)
    first = new_trainer(seed, recipe)
    begun = first.run(until=killed_at)
    checkpoint = take_checkpoint(first)

    second = new_trainer(seed, recipe)
    restore(second, checkpoint.data)
    resumed = second.run(until=8)

    assert begun + resumed == losses
    for name, value in whole.average.weights.items():
        assert torch.equal(value, second.average.weights[name])


def test_a_checkpoint_of_another_seed_is_refused() -> None:
    checkpoint = take_checkpoint(new_trainer(1))

    with pytest.raises(CheckpointInvalid, match="another recipe or seed"):
        restore(new_trainer(2), checkpoint.data)


def test_bytes_that_are_no_checkpoint_are_refused() -> None:
    with pytest.raises(CheckpointInvalid, match="not a Suti checkpoint"):
        restore(new_trainer(1), b"\x08\0\0\0\0\0\0\0{}      ")


def test_a_checkpoint_cut_short_is_refused_and_changes_nothing() -> None:
    data, trainer = take_checkpoint(new_trainer(1)).data, new_trainer(1)

    with pytest.raises(CheckpointInvalid, match="cut short"):
        restore(trainer, data[:-1])
    assert trainer.run(until=2) == new_trainer(1).run(until=2)


def test_a_checkpoint_of_another_network_is_refused() -> None:
    recipe, network = RECIPE, SubjectUNet(tiny_unet())
    network.added.pop(min(network.added))
    data = take_checkpoint(Trainer(network, SCHEDULE, examples(), recipe=recipe, seed=1)).data

    with pytest.raises(CheckpointInvalid, match="another network"):
        restore(new_trainer(1), data)


def test_a_checkpoint_is_safetensors_with_weights_average_optimizer_and_position() -> None:
    trainer = new_trainer(1)
    trainer.run(until=3)

    tensors = load(take_checkpoint(trainer).data)  # the library's own reader; it opens no pickles

    names = [name for name, _ in trainer.network.named_parameters()]
    assert {f"weight/{name}" for name in names} | {f"average/{name}" for name in names} <= set(tensors)
    assert {name.rsplit("/", 1)[1] for name in tensors if name.startswith("optimizer/")} == {
        "exp_avg",
        "exp_avg_sq",
        "step",
    }
    assert take_checkpoint(trainer).step == 3


def test_a_loss_that_is_not_a_number_ends_the_training_before_the_weights_change() -> None:
    broken = ExampleSet(
        torch.full((4, 3, 16, 16), torch.nan),
        TextEmbedding(torch.zeros(2, 5, TEXT_WIDTH)),
        [SubjectExamples(tuple(Shown(k, 0) for k in range(3)), (Shown(3, 0),))],
    )
    trainer = Trainer(SubjectUNet(tiny_unet()), SCHEDULE, broken, recipe=RECIPE, seed=1)
    before = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}

    with pytest.raises(TrainingDiverged, match="learning_rate"):
        trainer.advance()
    assert trainer.step == 0
    assert all(torch.equal(value, before[name]) for name, value in trainer.network.named_parameters())


@pytest.mark.parametrize("gradient", [torch.inf, torch.nan])
def test_a_gradient_that_is_not_finite_ends_the_training_for_good_before_weights_and_average_change(
    gradient: float,
) -> None:
    trainer = new_trainer(1)
    trainer.run(until=1)
    before = take_checkpoint(trainer).data
    name, weight = next(iter(trainer.network.named_parameters()))

    def spoiled(grad: torch.Tensor) -> torch.Tensor:
        return torch.full_like(grad, gradient)

    weight.register_hook(spoiled)  # the loss stays a number

    with pytest.raises(PermanentError, match="learning_rate") as end:
        trainer.advance()

    assert isinstance(end.value, TrainingDiverged), name
    assert take_checkpoint(trainer).data == before


def test_an_infinite_loss_ends_the_training() -> None:
    trainer = new_trainer(1)
    with torch.no_grad():
        trainer.network.unet.conv_out.get_parameter("bias").fill_(3e38)  # its square is beyond float32

    with pytest.raises(TrainingDiverged, match="inf"):
        trainer.advance()


def test_the_defaults_are_the_papers() -> None:
    recipe = ApprenticeRecipe()  # SuTI, section 5

    assert (recipe.steps, recipe.learning_rate, recipe.optimizer) == (150_000, 1e-4, "adafactor")
    assert (recipe.start, recipe.demonstrations, recipe.targets_per_subject) == ("base", 3, 1)


def test_training_on_nothing_is_refused_with_the_remedy() -> None:
    with pytest.raises(NoExamples, match="min_gain"):
        ExampleSet(torch.zeros(0, 3, 16, 16), TextEmbedding(torch.zeros(1, 5, 8)), subjects=[])


def test_the_loss_falls_on_a_few_examples_and_all_weights_learn() -> None:
    recipe = RECIPE.model_copy(update={"steps": 60, "text_dropout": 0.0, "demonstration_dropout": 0.0})
    trainer = new_trainer(4, recipe)
    start = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}

    losses = trainer.run(until=60)

    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    still = {name for name, value in trainer.network.named_parameters() if torch.equal(value, start[name])}
    assert not still


def test_a_target_is_never_among_its_own_demonstrations() -> None:
    pictures = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 16, 16)
    cluster = tuple(Shown(k, 0) for k in range(6))
    raw = ExampleSet(pictures, TextEmbedding(torch.zeros(2, 5, 8)), [SubjectExamples(cluster, cluster)])
    recipe = RECIPE.model_copy(update={"batch_subjects": 1, "targets_per_subject": 3})

    for step in range(20):
        batch = raw.batch(step, recipe=recipe, seed=0)

        shown = set(batch.demonstrations_SKCHW[0, :, 0, 0, 0].tolist())
        asked = set(batch.targets_NCHW[:, 0, 0, 0].tolist())
        assert len(shown) == 3
        assert len(asked) == 3
        assert not shown & asked


def test_text_and_demonstrations_are_dropped_independently_and_as_often_as_the_recipe_says() -> None:
    recipe = RECIPE.model_copy(update={"text_dropout": 0.3, "demonstration_dropout": 0.2})
    source = examples()
    no_text, no_subject, neither, count = 0, 0, 0, 0

    for step in range(1000):
        batch = source.batch(step, recipe=recipe, seed=0)
        text_gone = (batch.text.hidden_NLD == 0).all(dim=(1, 2))
        subject_gone = batch.keep_N == 0
        no_text += int(text_gone.sum())
        no_subject += int(subject_gone.sum())
        neither += int((text_gone & subject_gone).sum())
        count += len(text_gone)

    assert no_text / count == pytest.approx(0.3, abs=0.03)
    assert no_subject / count == pytest.approx(0.2, abs=0.03)
    assert neither / count == pytest.approx(0.06, abs=0.02)

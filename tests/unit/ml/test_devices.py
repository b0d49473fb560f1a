"""Nothing is left behind on the CPU when a network lies on an accelerator.

The first tests need none: PyTorch's fake tensors have a device and a shape and no numbers, and an operation over two
devices fails with them as it would with real ones. The last ones want a real accelerator: `make test-accelerator`.
"""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from suti.ml.apprentice.checkpoints import restore, take_checkpoint
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer, batch_loss
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import tune_expert
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel, load_subject_model
from suti.ml.subject.network import SubjectUNet
from tests.models.subject_models import SIZE_PX, save_tiny_subject_model
from tests.unit.ml.apprentice.test_training import RECIPE, SCHEDULE, examples
from tests.unit.ml.subject.test_network import demonstrations, inputs, tiny_unet

CUDA = torch.device("cuda", 0)
PRECISIONS = ["float32", "bfloat16"]


def fake_network() -> SubjectUNet:
    """A network whose weights claim to lie on an accelerator. To be made and used in a fake mode."""
    with CUDA:
        return SubjectUNet(tiny_unet())


def test_a_training_step_on_an_accelerator_mixes_no_devices() -> None:
    batch = examples().batch(0, recipe=RECIPE, seed=0)  # on the CPU, as the examples are

    with FakeTensorMode(allow_non_fake_inputs=True):
        network = fake_network()
        loss = batch_loss(network, SCHEDULE, batch, dtype="float32", device=CUDA)

        assert loss.device == CUDA  # the way back is autograd's own


def test_a_batch_that_stays_behind_is_noticed() -> None:
    batch = examples().batch(0, recipe=RECIPE, seed=0)

    with FakeTensorMode(allow_non_fake_inputs=True):
        network = fake_network()
        with pytest.raises(RuntimeError, match="two devices"):
            batch_loss(network, SCHEDULE, batch, dtype="float32")


def test_noise_is_alike_whatever_the_device() -> None:
    drawn = [examples().batch(3, recipe=RECIPE, seed=0).generator for _ in range(2)]

    assert {one.device.type for one in drawn} == {"cpu"}
    assert torch.equal(*(torch.randn(4, generator=one) for one in drawn))


def test_drawing_with_a_subject_on_an_accelerator_mixes_no_devices() -> None:
    noisy_NCHW, t_N, text = inputs()
    pictures_SKCHW, captions = demonstrations()

    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        network = fake_network()
        context = network.encode(pictures_SKCHW.to(CUDA), captions.to(CUDA))
        answer_NCHW = network(noisy_NCHW.to(CUDA), t_N.to(CUDA), text.to(CUDA), subject=context.select([0]), unseen=2)

        assert answer_NCHW.device == CUDA


accelerator = pytest.mark.accelerator


@pytest.fixture
def device() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no accelerator: run it on a machine where torch.cuda.is_available()")
    return "cuda"


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory, device: str) -> SubjectModel:
    return load_subject_model(save_tiny_subject_model(tmp_path_factory.mktemp("model")), device=device)


@accelerator
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_training_on_an_accelerator_goes_the_way_of_the_cpus_and_can_be_resumed(dtype: str, device: str) -> None:
    recipe = RECIPE.model_copy(update={"dtype": dtype})

    def trainer(where: str, how: ApprenticeRecipe = recipe) -> Trainer:
        return Trainer(SubjectUNet(tiny_unet()).to(where), SCHEDULE, examples(), recipe=how, seed=1)

    begun = trainer(device)
    losses = begun.run(until=4)
    resumed = trainer(device)
    restore(resumed, take_checkpoint(begun).data)

    assert losses == pytest.approx(trainer("cpu").run(until=4), rel=0.05)
    assert begun.run(until=8) == pytest.approx(resumed.run(until=8), rel=1e-3)


@accelerator
def test_pictures_of_a_subject_are_alike_on_an_accelerator_and_on_the_cpu(
    model: SubjectModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    on_cpu = load_subject_model(save_tiny_subject_model(tmp_path_factory.mktemp("again")))
    shown_KCHW = torch.rand(3, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(3)) * 2 - 1

    def drawn(which: SubjectModel, sampler: str) -> Tensor:
        return draw_subject_pictures(
            which,
            prompts=["a red mug", "a hat"],
            seeds=[1, 2],
            subject=encode_subject(which, shown_KCHW, ["a mug", "", "a hat"]),
            recipe=SamplingRecipe.model_validate({"sampler": sampler, "steps": 4, "guidance": 2.0}),
        ).cpu()

    for sampler in ("ddpm", "ddim", "dpmsolver++", "unipc"):
        torch.testing.assert_close(drawn(model, sampler), drawn(on_cpu, sampler), rtol=0, atol=0.02)


@accelerator
@pytest.mark.parametrize("method", ["dreambooth", "lora"])
def test_an_expert_is_tuned_and_draws_on_an_accelerator(model: SubjectModel, method: str) -> None:
    pictures_PCHW = torch.rand(2, 3, SIZE_PX, SIZE_PX, device=model.base.device) * 2 - 1
    recipe = ExpertRecipe.model_validate({"method": method, "steps": 2, "batch_pictures": 2, "lora_rank": 2})
    assert NoiseSchedule.from_config(model.base.scheduler_config).steps == 1000

    expert = tune_expert(model.base, pictures_PCHW, ["a mug", "a hat"], recipe=recipe, seed=1, dtype="bfloat16")
    sampling = SamplingRecipe(sampler="ddpm", steps=2, batch_pictures=2)
    (picture_CHW,) = draw_candidates(expert, [Order("a mug", 1)], recipe=sampling, dtype="bfloat16")

    assert picture_CHW.device.type == "cpu"
    assert bool(torch.isfinite(picture_CHW).all())

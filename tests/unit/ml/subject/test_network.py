"""The promises of subject attention (design, section 6)."""

from typing import cast

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from suti.ml.diffusion.text import TextEmbedding
from suti.ml.subject.attention import SubjectAttention
from suti.ml.subject.network import SubjectUNet

TEXT_WIDTH = 16


def tiny_unet(seed: int = 0) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    return unet.eval()


@pytest.fixture
def network() -> SubjectUNet:
    return SubjectUNet(tiny_unet()).eval()


def trained(network: SubjectUNet) -> SubjectUNet:
    """Give the added projections weights, as training would."""
    torch.manual_seed(1)
    for name, parameter in network.added.named_parameters():
        if "to_out" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return network


def inputs(pictures: int = 4) -> tuple[torch.Tensor, torch.Tensor, TextEmbedding]:
    generator = torch.Generator().manual_seed(2)
    noisy = torch.randn(pictures, 3, 16, 16, generator=generator)
    t = torch.randint(0, 1000, (pictures,), generator=generator)
    text = torch.randn(pictures, 5, TEXT_WIDTH, generator=generator)
    return noisy, t, TextEmbedding(text)


def demonstrations(subjects: int = 1, count: int = 3, seed: int = 3) -> tuple[torch.Tensor, TextEmbedding]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(subjects, count, 3, 16, 16, generator=generator),
        TextEmbedding(torch.randn(subjects * count, 5, TEXT_WIDTH, generator=generator)),
    )


@torch.inference_mode()
def test_an_untrained_apprentice_answers_bit_for_bit_as_the_untouched_base(network: SubjectUNet) -> None:
    noisy, t, text = inputs()
    untouched = tiny_unet()(noisy, t, encoder_hidden_states=text.hidden_NLD).sample

    context = network.encode(*demonstrations())

    assert torch.equal(network(noisy, t, text), untouched)
    assert torch.equal(network(noisy, t, text, subject=context), untouched)


@torch.inference_mode()
def test_a_trained_apprentice_listens_to_its_demonstrations(network: SubjectUNet) -> None:
    noisy, t, text = inputs()
    trained(network)

    one = network(noisy, t, text, subject=network.encode(*demonstrations(seed=3)))
    other = network(noisy, t, text, subject=network.encode(*demonstrations(seed=4)))

    assert not torch.allclose(one, other)


@torch.inference_mode()
def test_demonstration_features_are_bit_equal_whatever_is_drawn_in_between(network: SubjectUNet) -> None:
    noisy, t, text = inputs()
    before = network.encode(*demonstrations())
    network(noisy, t, text, subject=before)

    after = network.encode(*demonstrations())

    assert all(torch.equal(before.keys[name], after.keys[name]) for name in before.keys)
    assert all(torch.equal(before.values[name], after.values[name]) for name in before.values)


@torch.inference_mode()
def test_every_text_attention_of_the_down_and_up_blocks_gets_a_subject_attention(network: SubjectUNet) -> None:
    layers = {name for name, _ in network.unet.named_modules() if name.endswith("attn2") and "mid_block" not in name}

    assert {name.replace("/", ".") for name in network.added} == layers


@torch.inference_mode()
def test_features_come_from_a_single_pass_of_the_bases_own_down_blocks_at_step_zero(network: SubjectUNet) -> None:
    pictures, text = demonstrations(count=1)
    unet = tiny_unet()
    seen: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _arguments: object, answer: tuple[torch.Tensor, ...]) -> None:
        seen.append(answer[0])

    unet.get_submodule("down_blocks.1.attentions.0").register_forward_hook(keep)
    unet(pictures[0], torch.zeros(1, dtype=torch.long), encoder_hidden_states=text.hidden_NLD)
    name = "down_blocks/1/attentions/0/transformer_blocks/0/attn2"

    keys, _ = cast("SubjectAttention", network.added[name]).keys_values(seen[0].flatten(2).transpose(1, 2))

    torch.testing.assert_close(network.encode(pictures, text).keys[name], keys)


@torch.inference_mode()
def test_the_order_of_demonstrations_does_not_matter(network: SubjectUNet) -> None:
    noisy, t, text = inputs()
    trained(network)
    pictures, captions = demonstrations()

    forward = network(noisy, t, text, subject=network.encode(pictures, captions))
    backward = network(noisy, t, text, subject=network.encode(pictures.flip(1), captions.select([2, 1, 0])))

    torch.testing.assert_close(forward, backward)


@torch.inference_mode()
def test_targets_that_share_a_demonstration_encode_are_drawn_as_if_alone(network: SubjectUNet) -> None:
    noisy, t, text = inputs(pictures=4)
    trained(network)
    pictures, captions = demonstrations(subjects=2)
    together = network(noisy, t, text, subject=network.encode(pictures, captions))

    alone = [
        network(
            noisy[i : i + 1],
            t[i : i + 1],
            text.select([i]),
            subject=network.encode(pictures, captions).select([i // 2]),
        )
        for i in range(4)
    ]

    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_pictures_that_may_not_see_the_demonstrations_are_the_bases_own(network: SubjectUNet) -> None:
    noisy, t, text = inputs(pictures=4)
    trained(network)
    context = network.encode(*demonstrations())
    base = network(noisy, t, text)

    dropped = network(noisy, t, text, subject=context, keep_N=torch.tensor([0.0, 1.0, 0.0, 1.0]))
    unseen = network(noisy, t, text, subject=context, unseen=2)

    torch.testing.assert_close(dropped[[0, 2]], base[[0, 2]])
    torch.testing.assert_close(unseen[:2], base[:2])
    assert not torch.allclose(dropped[[1, 3]], base[[1, 3]])
    assert not torch.allclose(unseen[2:], base[2:])

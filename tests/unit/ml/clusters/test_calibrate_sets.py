import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.clusters.calibrate import CalibrationImpossible
from suti.ml.clusters.calibrate_sets import COPIES, LEAST_CLUSTERS, Open, copies_of, measure_held_out, shuffled
from suti.ml.quality.copies import copy_difference, low_resolution
from tests.unit.ml.clip.tiny import save_tiny_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    torch.set_num_threads(1)
    return load_clip(str(save_tiny_clip(tmp_path_factory.mktemp("clip"))))


def noise(seed: int) -> Image.Image:
    blocks_HWC = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks_HWC).resize((40, 40), Image.Resampling.BICUBIC)


def opener(seed: int) -> Open:
    return lambda: noise(seed)


def pages(count: int, *, pictures: int = 3) -> dict[str, list[Open]]:
    return {f"page-{page:02d}": [opener(page * 100 + one) for one in range(pictures)] for page in range(count)}


def test_too_few_clusters_are_refused_with_what_to_give(clip: ClipEncoder) -> None:
    few = pages(LEAST_CLUSTERS - 1) | {"alone": [opener(1)]}  # one picture says nothing of similarity

    with pytest.raises(CalibrationImpossible, match=r"7 held-out clusters .* 8 are needed: give a larger crawl"):
        measure_held_out(few, clip=clip)


def test_every_cluster_is_measured_as_it_is_shuffled_and_copied(clip: ClipEncoder) -> None:
    found = measure_held_out(pages(LEAST_CLUSTERS), clip=clip)

    assert [len(rows_KD) for rows_KD in found.same] == [3] * LEAST_CLUSTERS
    assert [len(rows_KD) for rows_KD in found.mixed] == [3] * LEAST_CLUSTERS
    assert [len(rows_KD) for rows_KD in found.copied] == [1 + COPIES] * LEAST_CLUSTERS
    assert (len(found.neighbours), len(found.copies)) == (3 * LEAST_CLUSTERS, COPIES * LEAST_CLUSTERS)


def test_the_order_of_clusters_changes_nothing(clip: ClipEncoder) -> None:
    one = measure_held_out(pages(LEAST_CLUSTERS), clip=clip)
    other = measure_held_out(dict(reversed(pages(LEAST_CLUSTERS).items())), clip=clip)

    assert one.neighbours == other.neighbours
    assert all(torch.equal(a_KD, b_KD) for a_KD, b_KD in zip(one.mixed, other.mixed, strict=True))


def test_a_shuffled_cluster_has_no_two_pictures_of_one_page() -> None:
    own: list[Tensor] = [torch.full((4, 1), float(page)) for page in range(6)]  # each row names its page

    for rows_KD in shuffled(own, seed=3):
        assert len(set(rows_KD.flatten().tolist())) == 4


def test_copies_show_the_same_picture_and_are_not_the_same_bytes() -> None:
    picture = noise(5)

    for copy in copies_of(picture):
        assert copy.tobytes() != picture.tobytes()
        near = copy_difference(low_resolution(copy), np.stack([low_resolution(picture)]))
        far = copy_difference(low_resolution(copy), np.stack([low_resolution(noise(6))]))
        assert near < 0.1 < far

from typing import Any

import pytest

from suti.ml.evaluation.protocols import DREAMBENCH, PROTOCOLS, Preprocessing, Protocol, UnknownProtocol, named_protocol

HASHES: dict[str, Any] = {"dino_sha256": "d" * 64, "dino_px": 224, "clip_sha256": "c" * 64}


def _but(**changes: Any) -> dict[str, Any]:
    return HASHES | changes


def test_the_papers_protocol_is_spelt_out_in_its_id() -> None:
    assert DREAMBENCH.protocol_id(**HASHES) == (
        "dreambench;references=all;background=kept,alpha-on-white;text=class;score=mean-cosine;"
        "dino=cls@dddddddddddd,short256-bicubic-crop224-mean.485,.456,.406-std.229,.224,.225;"
        "clip=cccccccccccc,own-preprocessing"
    )


def test_whatever_changes_a_score_changes_the_id() -> None:
    ids = {one.protocol_id(**HASHES) for one in PROTOCOLS.values()}
    ids.add(DREAMBENCH.protocol_id(**_but(dino_sha256="e" * 64)))
    ids.add(DREAMBENCH.protocol_id(**_but(clip_sha256="e" * 64)))
    ids.add(DREAMBENCH.protocol_id(**_but(dino_px=32)))
    ids.add(Protocol(name="dreambench", text="token-class").protocol_id(**HASHES))

    assert len(ids) == len(PROTOCOLS) + 4
    assert "squash224-bilinear-mean" in PROTOCOLS["squashed"].protocol_id(**HASHES)


def test_a_mean_of_nothing_is_spelt_as_a_number() -> None:
    plain = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    assert plain.spelt(32).endswith("-mean0,0,0-std1.,1.,1.")


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(UnknownProtocol, match="dreambench, masked"):
        named_protocol("masks")

import json

from suti.local.folder import packaged_models
from suti.ml.clusters.calibrate import FILE, Thresholds
from suti.ml.model_files import folder_digest
from suti.toyworld import words


def test_the_committed_word_lists_are_those_that_captions_are_made_of() -> None:
    assert json.loads((packaged_models() / "clip" / "tags.json").read_bytes()) == words.tags()


def test_the_committed_thresholds_belong_to_the_committed_clip() -> None:
    told = Thresholds.model_validate_json((packaged_models() / "clip" / FILE).read_bytes())

    assert told.clip_sha256 == folder_digest(packaged_models() / "clip")

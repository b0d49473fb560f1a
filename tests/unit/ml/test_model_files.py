import hashlib
from pathlib import Path

import pytest

from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe, folder_digest, refuse_pickles, resolve


def test_a_name_means_the_first_folder_of_that_name(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (second / "clip").mkdir(parents=True)
    first.mkdir()

    assert resolve("clip", [first, second]) == second / "clip"
    assert resolve(str(second / "clip"), [second]) == second / "clip"
    assert resolve(str(second / "clip"), [], anywhere=True) == second / "clip"


def test_a_whole_path_leads_nowhere_else_unless_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "models" / "link").symlink_to(tmp_path / "secret")

    for path in (tmp_path / "secret", tmp_path / "models" / ".." / "secret", tmp_path / "models" / "link"):
        with pytest.raises(ModelMissing, match="suti models list"):
            resolve(str(path), [tmp_path / "models"])


@pytest.mark.parametrize("name", ["", "..", "../secret", "nobody", "a/b", "."])
def test_a_name_never_leads_out_of_the_search_paths(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "models").mkdir()

    with pytest.raises(ModelMissing, match="suti models list"):
        resolve(name, [tmp_path / "models"])


def test_the_digest_is_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_bytes(b"{}")
    (tmp_path / "a.safetensors").write_bytes(b"abc")
    (tmp_path / "README.md").write_bytes(b"ignored")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.json").write_bytes(b"ignored")

    by_hand = hashlib.sha256()
    for name, content in ((b"a.safetensors", b"abc"), (b"unet/config.json", b"{}")):
        by_hand.update(len(name).to_bytes(8, "big") + name)
        by_hand.update(len(content).to_bytes(8, "big") + hashlib.sha256(content).digest())

    assert folder_digest(tmp_path) == by_hand.hexdigest()


@pytest.mark.parametrize("name", ["tokenizer/spiece.model", "tokenizer/merges.txt", "chat_template.jinja"])
def test_another_vocabulary_or_template_is_another_model(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"one")
    before = folder_digest(tmp_path)

    file.write_bytes(b"two")

    assert folder_digest(tmp_path) != before


def test_a_folder_with_pickles_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid):
        refuse_pickles(tmp_path)
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(ModelUnsafe, match=r"model\.ckpt"):
        refuse_pickles(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    refuse_pickles(tmp_path)

"""Where a model's name or folder leads, for the models that evaluations measure with."""

from pathlib import Path

from suti.ml.model_files import SAFE_SUFFIXES, ModelMissing


def published_folder(name_or_folder: str) -> Path:
    """The folder itself, or the snapshot of a hub's repository "owner/name", fetched without any pickle.

    Raises:
        ModelMissing: there is no such folder, and no hub that has the name.
    """
    if name_or_folder and Path(name_or_folder).is_dir():
        return Path(name_or_folder)
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for names

    patterns = [f"*{suffix}" for suffix in sorted(SAFE_SUFFIXES)]
    try:
        return Path(snapshot_download(name_or_folder.removeprefix("hf-hub:"), allow_patterns=patterns))
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        raise ModelMissing(
            f"model {name_or_folder!r} is no folder and cannot be fetched ({error}): check name and network"
        ) from error

from pathlib import Path

import pytest

from suti.client.endpoints import Service
from suti.infra.settings import ServiceSettings
from suti.local.folder import DataFolder
from suti.local.programs import MachineOptions, service_environment
from suti_captioning.settings import CaptioningSettings
from suti_pipeline.settings import PipelineSettings

ENDPOINTS = '{"vllm": {"url": "http://127.0.0.1:8000/v1", "key": "k-31415"}}'


def told(service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process' environment is what `suti up` tells the service."""
    environment = service_environment(
        service, DataFolder(folder), MachineOptions(), nats_url="nats://127.0.0.1:4222", listen="127.0.0.1:0"
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_on_ones_own_machine_crawls_and_models_may_lie_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (PipelineSettings().crawl_roots, PipelineSettings().model_rules().anywhere) == ("s3://", False)

    told(Service.PIPELINE, tmp_path, monkeypatch)

    assert PipelineSettings().crawl_roots == "/,s3://"
    assert PipelineSettings().model_rules().anywhere
    assert PipelineSettings().model_rules().downloads
    assert not ServiceSettings().models_anywhere


def test_endpoints_for_captions_are_handed_on_and_their_keys_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUTI_CAPTIONING_ENDPOINTS", ENDPOINTS)

    told(Service.CAPTIONING, tmp_path, monkeypatch)

    settings = CaptioningSettings()
    assert settings.endpoints["vllm"].key.get_secret_value() == "k-31415"
    assert "k-31415" not in repr(settings)

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from suti.infra.rpc.security import TlsUnreadable
from suti.infra.settings import ServiceSettings


class FilteringSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SUTI_FILTERING_", frozen=True)

    batch_images: int = 64


def test_a_service_reads_shared_and_own_settings_under_its_prefix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUTI_FILTERING_NATS_URL", "nats://elsewhere:4222")
    monkeypatch.setenv("SUTI_FILTERING_BATCH_IMAGES", "8")
    monkeypatch.setenv("SUTI_FILTERING_STORE_URL", f"file://{tmp_path}")
    monkeypatch.setenv("SUTI_FILTERING_TOKENS", "one, two")
    monkeypatch.setenv("SUTI_FILTERING_NATS_USER", "")

    settings = FilteringSettings()

    assert (settings.nats_url, settings.batch_images, settings.nats_user) == ("nats://elsewhere:4222", 8, None)
    assert settings.server_security().tokens == {"one", "two"}
    assert settings.open_store().create("key", b"value")
    assert "two" not in repr(settings)


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FilteringSettings().drain_s = 1.0  # pyright: ignore[reportAttributeAccessIssue] - just that


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TlsUnreadable):
        FilteringSettings(tls_certificate=tmp_path / "cert").server_security()
    with pytest.raises(TlsUnreadable, match="cannot read"):
        FilteringSettings(tls_certificate=tmp_path / "cert", tls_key=tmp_path / "key").server_security()


def test_models_lie_where_all_services_look_unless_one_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTI_MODELS_PATH", "/everybody")
    assert FilteringSettings().models_path == "/everybody"

    monkeypatch.setenv("SUTI_FILTERING_MODELS_PATH", "/own")
    assert FilteringSettings().models_path == "/own"

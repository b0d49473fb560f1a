"""What people read after an installation works as it is written, in every mode."""

import re
from pathlib import Path

import pytest

from tests.charts.rendering import ROOT, render

SHOWN = (
    'extraManifests=["{{ dict \\"apiVersion\\" \\"v1\\" \\"kind\\" \\"ConfigMap\\" \\"metadata\\" '
    '(dict \\"name\\" \\"shown\\") \\"data\\" (dict \\"notes\\" (include \\"suti.notes\\" .)) | toYaml }}"]'
)


def _notes(case: str, *settings: str) -> str:
    return str(render(case, *settings, SHOWN).of("ConfigMap")["shown"]["data"]["notes"])


def test_the_notes_are_these() -> None:
    assert Path(ROOT / "charts/suti/templates/NOTES.txt").read_text() == '{{ include "suti.notes" . }}\n'


@pytest.mark.parametrize("case", ["external", "full", "restricted"])
def test_with_tls_each_call_trusts_the_authority_and_asks_for_the_name_in_the_certificate(case: str) -> None:
    notes = _notes(case)
    known = (ROOT / "libs/suti/cli/connection.py").read_text()

    assert set(re.findall(r"SUTI_[A-Z_]+", notes)) <= set(re.findall(r"SUTI_[A-Z_]+", known))
    assert notes.index("export SUTI_TLS_CA=") < notes.index("suti subject add")
    forwards = re.findall(r"port-forward svc/(\S+)", notes)
    assert re.findall(r"export SUTI_TLS_SERVER_NAME=(\S+)", notes) == forwards
    for certificate in render(case).of("Certificate").values():
        assert set(forwards) <= set(certificate["spec"]["dnsNames"])


def test_with_mutual_tls_the_notes_have_a_certificate_to_show() -> None:
    shown = "export SUTI_TLS_CERT=suti.crt SUTI_TLS_KEY=suti.key"

    assert shown in _notes("restricted")
    assert "get secret suti-tls -o jsonpath='{.data.tls\\.key}'" in _notes("restricted")
    assert shown not in _notes("external")


def test_in_plaintext_the_notes_ask_for_no_certificate() -> None:
    assert "SUTI_TLS" not in _notes("minimal")
    assert "tls.mode=plaintext" in _notes("minimal")


def test_a_token_is_shown_only_where_one_is_asked_for() -> None:
    assert "export SUTI_TOKEN=" in _notes("minimal")
    assert "SUTI_TOKEN" not in _notes("minimal", "auth.enabled=false")


def test_the_first_request_names_a_model_as_long_as_none_is_promoted() -> None:
    assert "--subject SUBJECT_ID --model warmstart " in _notes("minimal")
    assert "--model" not in _notes("minimal", "models.toy=false")


@pytest.mark.parametrize(("case", "said"), [("minimal", "kubernetes.io/h2c"), ("external", None), ("full", None)])
def test_gateways_are_told_of_plaintext_http2_only_where_it_is(case: str, said: str | None) -> None:
    port = render(case).of("Service")["generation"]["spec"]["ports"][0]

    assert port.get("appProtocol") == said

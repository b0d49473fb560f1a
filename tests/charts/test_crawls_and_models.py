"""Where crawls and models come from: what callers may name, with which keys it is read, whom pods may then reach."""

from typing import Any

import pytest

from tests.charts.rendering import COMPONENTS, Rendered, refusal, render

MODEL_PODS = {"selection", "captioning", "filtering", "generation", "experts-job", "apprentice-job"}
HUB = {"ports": [{"port": 443}]}


def _container(rendered: Rendered, name: str) -> dict[str, Any]:
    return rendered.of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]


def _environment(rendered: Rendered, name: str) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in _container(rendered, name)["env"]}


def _reaching(rendered: Rendered, rule: dict[str, Any]) -> set[str]:
    return {
        name for name, policy in rendered.of("NetworkPolicy").items() if rule in (policy["spec"].get("egress") or [])
    }


def test_crawls_are_read_from_where_the_values_say() -> None:
    rendered = render("external")

    roots = _environment(rendered, "pipeline")["SUTI_PIPELINE_CRAWL_ROOTS"]
    assert roots == "s3://company-suti/prod/crawls/,s3://company-web/"
    assert "SUTI_PIPELINE_CRAWL_ROOTS" not in _environment(render("minimal"), "pipeline")


def test_only_clustering_is_told_how_other_buckets_are_entered() -> None:
    rendered = render("external")
    told = _environment(rendered, "clustering")

    assert told["SUTI_CLUSTERING_CRAWL_ENDPOINT"] == "https://crawls.example.org"
    assert told["SUTI_CLUSTERING_CRAWL_REGION"] == "eu-central-1"
    assert told["SUTI_CLUSTERING_CRAWL_ACCESS_KEY"] == {"secretKeyRef": {"name": "crawl-keys", "key": "access-key"}}
    assert told["SUTI_CLUSTERING_CRAWL_SECRET_KEY"] == {"secretKeyRef": {"name": "crawl-keys", "key": "secret-key"}}
    for name in set(COMPONENTS) - {"clustering"}:
        assert not any("_CRAWL_" in one and not one.endswith("CRAWL_ROOTS") for one in _environment(rendered, name))


def test_plain_http_to_crawls_must_be_allowed() -> None:
    assert "crawls.allowHttp" in refusal("minimal", "crawls.endpoint=http://elsewhere:9000")
    allowed = render("minimal", "crawls.endpoint=http://elsewhere:9000", "crawls.allowHttp=true")
    assert _environment(allowed, "clustering")["SUTI_CLUSTERING_CRAWL_ALLOW_HTTP"] == "true"


def test_there_is_a_user_who_may_upload_crawls() -> None:
    keys = render("minimal").of("Secret")["store-users"]["data"]

    assert {"crawls-access-key", "crawls-secret-key"} <= set(keys)


def test_models_of_a_hub_are_offered_only_when_asked_for() -> None:
    for name in COMPONENTS:
        prefix = "SUTI_CLUSTERING" if name == "selection" else f"SUTI_{name.upper()}"
        assert f"{prefix}_MODEL_DOWNLOADS" not in _environment(render("minimal"), name)
        downloads = render("minimal", "models.downloads=true")
        assert _environment(downloads, name)[f"{prefix}_MODEL_DOWNLOADS"] == "true"


def test_pods_that_load_models_reach_the_hub_if_models_are_downloaded() -> None:
    assert _reaching(render("minimal"), HUB) == set()
    assert _reaching(render("minimal", "models.downloads=true"), HUB) == MODEL_PODS
    narrowed = {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], **HUB}
    assert _reaching(render("full"), narrowed) == MODEL_PODS


@pytest.mark.parametrize("who", [*COMPONENTS, "experts-job", "apprentice-job", "test-store"])
def test_a_stores_own_authority_is_trusted_by_all_who_enter_it(who: str) -> None:
    rendered = render("external")
    if who.endswith("-job"):
        spec = container = rendered.job_templates()[who.removesuffix("-job")]
    else:
        spec = rendered.pods()[who]["spec"]
        container = spec["containers"][0]
    environment = {one["name"]: one.get("value") for one in container["env"]}

    assert environment["SSL_CERT_FILE"] == "/etc/suti/store/ca.crt"
    assert environment["SSL_CERT_DIR"] == "/etc/ssl/certs"
    assert {"name": "store-ca", "secret": {"secretName": "s3-ca"}} in spec["volumes"]
    assert {"name": "store-ca", "mountPath": "/etc/suti/store", "readOnly": True} in container["volumeMounts"]


def test_the_bootstrap_trusts_it_too() -> None:
    settings = ("bootstrap.bucket=true", "bootstrap.adminSecret=admin")
    job = next(iter(render("external", *settings).of("Job").values()))["spec"]["template"]["spec"]

    assert {"name": "SSL_CERT_FILE", "value": "/etc/suti/store/ca.crt"} in job["containers"][0]["env"]
    assert {"name": "store-ca", "secret": {"secretName": "s3-ca"}} in job["volumes"]


def test_nothing_is_said_of_authorities_where_there_is_none_of_ones_own() -> None:
    assert not any(one.startswith("SSL_CERT") for one in _environment(render("minimal"), "pipeline"))

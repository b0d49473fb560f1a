"""What is generated from values.yaml is up to date, and what values become is understood by the services."""

import json
import subprocess
import sys

import pytest
import yaml
from jsonschema import Draft7Validator

from scripts.chart_docs import SETTINGS
from suti.infra.bootstrap import BootstrapSettings
from tests.charts.rendering import CASES, CHART, COMPONENTS, ROOT, render


def test_schema_and_readme_say_what_the_values_say() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "scripts" / "chart_docs.py", "--check"], capture_output=True, text=True, check=False
    )

    assert check.returncode == 0, check.stderr


def test_the_schema_is_a_schema_and_the_defaults_meet_it() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)

    assert list(Draft7Validator(schema).iter_errors(yaml.safe_load((CHART / "values.yaml").read_text()))) == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_setting_that_a_service_has_may_be_given(name: str) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    component, everybody = schema["properties"][name], schema["definitions"]["component"]
    names = {field.upper() for field in SETTINGS[name].model_fields}

    assert set(component["properties"]["settings"]["properties"]) == names
    assert names <= set(everybody["properties"]["settings"]["properties"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_service_knows_every_setting_that_the_chart_gives_it(case: str, name: str) -> None:
    container = render(case).of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]
    kind = SETTINGS[name]
    prefix = str(kind.model_config["env_prefix"])  # pyright: ignore[reportTypedDictNotRequiredAccess]
    given = {one["name"] for one in container["env"] if one["name"].startswith("SUTI_")}

    assert given <= {f"{prefix}{field.upper()}" for field in kind.model_fields}


def test_the_bootstrap_knows_every_setting_that_the_chart_gives_it() -> None:
    for case in CASES:
        for job in render(case).of("Job").values():
            environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
            given = {one["name"] for one in environment if one["name"].startswith("SUTI_")}
            assert given <= {f"SUTI_BOOTSTRAP_{field.upper()}" for field in BootstrapSettings.model_fields}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_service_starts_with_what_the_chart_gives_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container = render("full").of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]
    for one in container["env"]:
        monkeypatch.setenv(one["name"], one.get("value", "from-a-secret"))
    settings = SETTINGS[name]()

    assert settings.listen == "0.0.0.0:50051"
    assert settings.nats_inbox == f"_INBOX_{name}"
    assert settings.store_url == "s3://suti"


def test_templates_are_small() -> None:
    for path in (CHART / "templates").rglob("*.yaml"):
        assert len(path.read_text().splitlines()) <= 25, path.name

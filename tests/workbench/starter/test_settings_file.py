"""workbench.toml as it is first written: valid, short, commented, whatever the columns are called."""

from __future__ import annotations

import tomllib
from pathlib import Path

from workbench.settings import compose
from workbench.starter.settings_file import PipelineDraft, pipeline_text, settings_text

DRAFT = PipelineDraft(
    "customers",
    {
        "target": 'has "churned".\nreally',
        "data": "data/Kunden 2024.csv",
        "task": "binary",
        "split.seed": 42,
        "params.max_depth": 5,
    },
    {"target": "the column\nto predict", "data": "a file"},
    {"module": "features.py", "gate.min_delta": 0.005},
)


def test_a_project_without_pipelines_is_valid() -> None:
    text = settings_text('the "shop"', None)
    project = compose(Path("/shop"), tomllib.loads(text), {}, {}, {})
    assert project.name == 'the "shop"'
    assert project.settings.pipelines == {}


def test_settings_read_back_and_validate() -> None:
    text = settings_text("shop", DRAFT, {"serve": {"port": 9000}})
    project = compose(Path("/shop"), tomllib.loads(text), {}, {}, {})
    pipeline = project.settings.pipelines["customers"]
    assert pipeline.target == 'has "churned".\nreally'
    assert pipeline.params == {"max_depth": 5}
    assert pipeline.module is None
    assert project.settings.serve.port == 9000


def test_settings_stand_in_the_order_of_the_documentation() -> None:
    lines = pipeline_text(DRAFT).splitlines()
    keys = [line.lstrip("# ").split(" ")[0] for line in lines if "=" in line]
    assert keys == ["data", "target", "task", "module", "max_depth", "seed", "min_delta"]


def test_a_section_with_suggestions_only_is_a_comment() -> None:
    text = pipeline_text(DRAFT)
    assert "# [pipelines.customers.gate]\n# min_delta = 0.005" in text
    assert "gate" not in tomllib.loads(text)["pipelines"]["customers"]


def test_uncommented_suggestions_are_valid_too() -> None:
    text = pipeline_text(DRAFT).replace("# [", "[").replace("# m", "m")
    document = tomllib.loads(settings_text("shop", None) + text)
    pipeline = compose(Path("/shop"), document, {}, {}, {}).settings.pipelines["customers"]
    assert (pipeline.module, pipeline.gate.min_delta) == ("features.py", 0.005)


def test_a_long_setting_has_its_comment_above() -> None:
    draft = PipelineDraft("x", {"data": "d" * 60, "target": "y"}, {"data": "a file"})
    assert "# a file\ndata = " in pipeline_text(draft)

"""workbench.toml: read, overridden by the environment, checked, explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.errors import NotFoundError, SettingsError, UsageError
from workbench.settings import (
    documentation,
    effective,
    find_root,
    ignored_variables,
    load_project,
    parse_value,
    served_uri,
    without_file,
)

PIPELINE = "[project]\nname = 'a'\n[pipelines.p]\ndata = 'd'\ntarget = 't'\n"


def write(folder, text):
    (folder / "workbench.toml").write_text(text)
    return folder


def refusal(folder):
    with pytest.raises(SettingsError) as caught:
        load_project(folder)
    return str(caught.value)


def test_only_the_projects_name_is_required(tmp_path):
    project = load_project(write(tmp_path, '[project]\nname = "shop"\n'))
    assert project.name == "shop"
    assert project.settings.pipelines == {}
    assert project.layout.state == tmp_path / ".workbench"


def test_a_project_is_found_from_a_folder_below(tmp_path):
    write(tmp_path, '[project]\nname = "shop"\n')
    below = tmp_path / "data" / "raw"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path


def test_no_project_says_how_to_start_one(tmp_path):
    with pytest.raises(NotFoundError, match="workbench init"):
        load_project(tmp_path)


def test_a_byte_order_mark_does_not_matter(tmp_path):
    (tmp_path / "workbench.toml").write_text('\ufeff[project]\nname = "shop"\n', "utf-8")
    assert load_project(tmp_path).name == "shop"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[project]\nname = 'a'\n[serve]\nprot = 1\n", ["serve.prot", "'port'"]),
        ("[project]\nname = 'a'\n[sevre]\nport = 1\n", ["sevre", "'serve'"]),
        (
            PIPELINE + "[pipelines.p.gate]\nminn = 1\n",
            ["minn", "'min'"],
        ),
        ("[project]\n", ["project.name is missing", "Add name to [project]"]),
        ("[project]\nname = 'a'\n[pipelines.p]\ndata = 'd'\n", ["pipelines.p.target is missing"]),
        (
            "[project]\nname = 'a'\n[pipelines.'My Model']\ndata = 'd'\ntarget = 't'\n",
            ["'My Model'", "lower-case"],
        ),
        ("[project]\nname = 'a'\n[serve]\nport = 'high'\n", ["serve.port", "'high'"]),
        ("[project]\nname = 'a'\n[serve]\nport = 99999\n", ["serve.port", "65535", "99999"]),
        (
            PIPELINE + "threshold = 1.5\n",
            ["threshold", "between 0 and 1"],
        ),
        (
            PIPELINE + "[pipelines.p.split]\nstrategy = 'time'\n",
            ["time_column"],
        ),
        ("[project\n", ["not valid TOML", "line 1"]),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_a_hint(tmp_path, text, expected):
    message = refusal(write(tmp_path, text))
    assert "workbench.toml" in message
    for part in expected:
        assert part in message
    assert "pydantic" not in message


def test_the_environment_wins_over_the_file_and_options_over_both(tmp_path, monkeypatch):
    write(tmp_path, '[project]\nname = "shop"\n[serve]\nport = 1000\n')
    monkeypatch.setenv("PORT", "2000")
    assert load_project(tmp_path).settings.serve.port == 2000
    monkeypatch.setenv("WORKBENCH_SERVE__PORT", "3000")
    assert load_project(tmp_path).settings.serve.port == 3000
    project = load_project(tmp_path, {"serve.port": 4000})
    assert project.settings.serve.port == 4000
    assert effective(project)["serve.port"] == {"value": 4000, "source": "option"}


def test_variables_find_the_users_own_names(tmp_path, monkeypatch):
    write(
        tmp_path,
        '[project]\nname="a"\n[pipelines.big-bikes]\ndata="d"\ntarget="t"\nparams = {Max_Depth = 3}\n',
    )
    monkeypatch.setenv("WORKBENCH_PIPELINES__BIG-BIKES__PARAMS__MAX_DEPTH", "7")
    project = load_project(tmp_path)
    assert project.settings.pipelines["big-bikes"].params == {"Max_Depth": 7}
    shown = effective(project)["pipelines.big-bikes.params.Max_Depth"]
    assert shown == {"value": 7, "source": "WORKBENCH_PIPELINES__BIG-BIKES__PARAMS__MAX_DEPTH"}


def test_an_unknown_variable_is_named_as_such(tmp_path, monkeypatch):
    write(tmp_path, '[project]\nname = "shop"\n')
    monkeypatch.setenv("WORKBENCH_SERVE__PROT", "1")
    message = refusal(tmp_path)
    assert "environment variable WORKBENCH_SERVE__PROT" in message
    assert "'port'" in message


def test_an_option_that_is_wrong_is_named_as_such(tmp_path):
    write(tmp_path, '[project]\nname="a"\n[pipelines.p]\ndata="d"\ntarget="t"\n')
    with pytest.raises(SettingsError, match=r"unknown key 'pipelines\.p\.parms' in the command line"):
        load_project(tmp_path, {"pipelines.p.parms.max_depth": 5})


def test_a_value_cannot_be_a_section_as_well(tmp_path):
    write(tmp_path, '[project]\nname="a"\n[pipelines.p]\ndata="d"\ntarget="t"\n')
    with pytest.raises(SettingsError, match="is a value, not a section"):
        load_project(tmp_path, {"pipelines.p.target.name": "x"})


def test_variables_with_one_underscore_set_nothing_and_are_reported():
    environment = {
        "WORKBENCH_SERVE_PORT": "1",
        "WORKBENCH_DEBUG": "1",
        "WORKBENCH_SERVE__PORT": "2",
        "PATH": "/",
    }
    assert list(ignored_variables(environment)) == ["WORKBENCH_SERVE_PORT"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"MODEL_URI": "models:/a/3"}, "models:/a/3"),
        ({"MODEL_NAME": "a", "MODEL_STAGE": "Production"}, "models:/a/Production"),
        (
            {"MODEL_URI": "models:/a@champion", "MODEL_NAME": "b", "MODEL_STAGE": "Staging"},
            "models:/a@champion",
        ),
        ({"MODEL_NAME": "a"}, None),
        ({"MODEL_STAGE": "Production"}, None),
        ({"MODEL_URI": ""}, None),
    ],
)
def test_the_containers_variables_name_a_model_to_serve(environment, expected):
    assert served_uri(environment) == expected


def test_settings_without_a_file_take_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PORT", "8080")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    project = without_file(tmp_path, {"serve.host": "0.0.0.0"})
    assert project.settings.serve.port == 8080
    assert project.settings.serve.host == "0.0.0.0"
    assert project.settings.tracking.uri == "http://tracking:5000"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("0.1", 0.1),
        ("true", True),
        ('["a", 1]', ["a", 1]),
        ("balanced", "balanced"),
        ('"5"', "5"),
        ("", ""),
    ],
)
def test_values_on_the_command_line_are_tomls_or_text(text, value):
    assert parse_value(text) == value


def test_the_only_pipeline_needs_no_name(tmp_path):
    write(tmp_path, '[project]\nname="a"\n[pipelines.p]\ndata="d"\ntarget="t"\nmodel = "m"\n')
    project = load_project(tmp_path)
    assert project.pipeline()[0] == "p"
    assert project.model_name("p") == "m"
    with pytest.raises(NotFoundError, match="'p'"):
        project.pipeline("pp")


def test_one_of_several_pipelines_must_be_named(tmp_path):
    sections = "".join(f'[pipelines.{name}]\ndata="d"\ntarget="t"\n' for name in ("first", "second"))
    project = load_project(write(tmp_path, f'[project]\nname="a"\n{sections}'))
    with pytest.raises(UsageError, match="first, second"):
        project.pipeline()


def test_every_setting_is_documented():
    for key, _default, text in documentation():
        assert text, key
        assert "\n" not in text, key


def test_secrets_are_masked(tmp_path, monkeypatch):
    write(
        tmp_path, '[project]\nname="a"\n[pipelines.p]\ndata="d"\ntarget="t"\nparams = {api_token = "abc"}\n'
    )
    assert effective(load_project(tmp_path))["pipelines.p.params.api_token"]["value"] == "***"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('traget = "x"\ndata = "d"', "unknown key 'pipelines.p.traget'.*Did you mean 'target'"),
        (
            'data = "d"\ntarget = "t"\nthreshold = "abc"',
            "p.threshold in .*a valid number, or 'f1', or a table",
        ),
        ('data = "d"\ntarget = "t"\nthreshold = {false_negativ = 3}', "Did you mean 'false_negative'"),
        (
            'data = "d"\ntarget = "t"\nclass_weight = "even"',
            "p.class_weight in .*should be 'balanced', or a table",
        ),
    ],
)
def test_a_wrong_value_is_named_by_the_users_own_key(tmp_path: Path, section: str, words: str) -> None:
    (tmp_path / "workbench.toml").write_text(f'[project]\nname = "x"\n[pipelines.p]\n{section}\n')
    with pytest.raises(SettingsError, match=words):
        load_project(tmp_path)

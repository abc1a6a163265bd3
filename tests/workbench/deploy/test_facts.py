"""What templates are told of a project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.deploy.facts import facts_of, slug_of
from workbench.settings import load_project


@given(st.text(min_size=1))
def test_a_slug_is_a_dns_label_whatever_the_project_is_called(name: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?", slug_of(name))


@pytest.mark.parametrize(
    ("name", "slug"), [("Bike Lab", "bike-lab"), ("Größe 2", "gr-e-2"), ("42", "p-42"), ("日本", "workbench")]
)
def test_a_slug_stays_close_to_the_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def project(folder: Path, settings: str) -> Path:
    (folder / "workbench.toml").write_text(f'[project]\nname = "shop"\n{settings}')
    return folder


def test_the_model_is_the_default_one_else_the_first_pipelines(tmp_path: Path) -> None:
    pipelines = '[pipelines.a]\ndata = "a.csv"\ntarget = "y"\nmodel = "first"\n'
    assert facts_of(load_project(project(tmp_path, ""))).model == "MODEL"
    assert facts_of(load_project(project(tmp_path, pipelines))).model == "first"
    named = f'{pipelines}[serve]\ndefault = "second"\n'
    assert facts_of(load_project(project(tmp_path, named))).model == "second"


def test_a_port_of_0_is_no_port_to_write_down(tmp_path: Path) -> None:
    assert facts_of(load_project(project(tmp_path, "[serve]\nport = 0\n"))).port == 8000

"""Clients are told which file is broken, never where on this machine it lies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.disclosure import without_folders


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot load /srv/app/mlruns/1/model.skops: BadZipFile", "cannot load model.skops: BadZipFile"),
        ("cannot read /home/Jo Ann/my models/MLmodel: gone", "cannot read MLmodel: gone"),
        (
            "[Errno 13] Permission denied: '/var/lib/a b/c.json'. Mend it.",
            "[Errno 13] Permission denied: 'c.json'. Mend it.",
        ),
        ('no model in "/srv/Jo\'s work/artifacts"', 'no model in "artifacts"'),
        ("its files at /a/b/c/ are not here", "its files at c are not here"),
        ("moved from '/a/b/c.txt' to '/d/e/f.txt'", "moved from 'c.txt' to 'f.txt'"),
        ("/a/b/c, /d/e/f and /g/h/i; /j/k/l", "c, f and i; l"),
        ("(/a/b/c) path=/d/e/f see:/g/h/i", "(c) path=f see:i"),
        ("no store at file:///srv/data/mlruns here", "no store at mlruns here"),
        ("no store at file:/srv/data/mlruns", "no store at mlruns"),
        ("sqlite:////srv/data/mlflow.db is locked", "mlflow.db is locked"),
        (r"cannot open C:\Users\Jo Ann\model.skops: gone", "cannot open model.skops: gone"),
        ("cannot open D:/models/model.skops", "cannot open model.skops"),
        (r"on \\server\share\models\model.skops", "on model.skops"),
        ("~/lab/mlruns", "mlruns"),
        ("~jo/work/mlruns", "mlruns"),
        ('File "/usr/lib/python3/x.py", line 3', 'File "x.py", line 3'),
        ("https://jo:secret@mlflow.internal:5000/api gave no answer", "https://… gave no answer"),
        ("postgresql://jo:secret@db/mlflow: refused", "postgresql://… refused"),
        ("/a//b/c", "c"),
        ("first\n/a/b/c\nlast/one", "first\nc\nlast/one"),
    ],
)
def test_a_path_is_cut_down_to_its_name(text: str, told: str) -> None:
    assert without_folders(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the body is not valid JSON: unexpected end",
        "use text/csv and/or application/json",
        "use /predict; or send it to /docs, as text",
        "1/2 of 3 rows; see mlruns/1/model.skops, ../x/y and ./x/y",
        "pickle needs trust. Review it: workbench models trust two 1",
        "10:30 is no date; C: is no disk",
    ],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert without_folders(text) == text


folder = st.from_regex(r"[A-Za-z0-9_.é-][A-Za-z0-9_. é-]{0,12}[A-Za-z0-9_é-]", fullmatch=True)


@settings(max_examples=40, deadline=None)
@given(
    folders=st.lists(folder, min_size=1, max_size=5),
    frame=st.sampled_from(
        ["cannot load {}: BadZipFile", "gone: '{}'", "{}", "at file://{} is nothing", '("{}")']
    ),
    times=st.integers(1, 3),
)
def test_no_folder_is_told_however_it_is_called(folders: list[str], frame: str, times: int) -> None:
    path = "/" + "/".join(f"{name}%" for name in folders) + "/model.skops"
    told = without_folders(", ".join([frame.format(path)] * times))
    assert told == ", ".join([re.sub("file://", "", frame.format("model.skops"))] * times)


@pytest.mark.parametrize(
    "text", ["/" * 50_000, "/a " * 20_000, "/a b" * 20_000, "' /a'" * 10_000, "x:/" * 20_000]
)
def test_no_text_takes_long(text: str) -> None:
    assert len(without_folders(text)) <= len(text)

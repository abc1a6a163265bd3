"""The demo's project folder: settings, data so far, and the months still to come."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from store.errors import StorageError, UsageError
from store.files import write_atomically
from store.layout import SETTINGS_FILE

TRAINED_MONTHS = ("2011-01", "2011-02", "2011-03")
LATER = Path("data") / "later"
"""Folder of the months that arrive after training, beside `data/bikes`."""
_MARK = "# made by workbench demo"

_SETTINGS = f"""\
{_MARK}: two pipelines on real data.
# What every setting means: workbench config show --help-text

[project]
name = "demo"

# Is a tumour benign (1) or malignant (0)? 569 patients, 30 measurements each.
[pipelines.cancer]
data = "data/cancer.csv"
target = "target"
estimator = "logistic_regression"

# How many bikes are rented in an hour? Washington, 2011, one file a month.
[pipelines.bikes]
data = "data/bikes"
target = "bikers"
time_column = "day"                   # day of the year: orders the rows, is no feature
ignore = ["casual", "registered"]     # casual + registered = bikers
estimator = "hist_gradient_boosting"

[pipelines.bikes.split]
strategy = "time"                     # the last fifth of the days is held out

[pipelines.bikes.columns]
hr = {{ min = 0, max = 23, description = "hour of the day" }}
hum = {{ min = 0, max = 1, description = "relative humidity" }}
"""

_GITIGNORE = """\
.workbench/
mlruns/
"""


def is_demo(folder: Path) -> bool:
    """Whether `folder` holds a project that an earlier demo made."""
    settings = folder / SETTINGS_FILE
    return settings.is_file() and settings.read_text("utf-8", errors="replace").startswith(_MARK)


def create(folder: Path) -> None:
    """Write the project into `folder`, or complete one that an interrupted demo left there.

    Raises UsageError when something else lives there, StorageError when it can't be written.
    """
    if folder.exists() and not is_demo(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty and no demo of ours", "Name another folder: workbench demo DIR."
        )
    try:
        bikes, later = folder / "data" / "bikes", folder / LATER
        if not is_demo(folder):
            bikes.mkdir(parents=True, exist_ok=True)
            later.mkdir(parents=True, exist_ok=True)
            with as_file(files("workbench.demo") / "data") as shipped:
                _copy(shipped / "cancer.csv", folder / "data" / "cancer.csv")
                _copy(shipped / "README.md", folder / "data" / "README.md")
                for month in sorted((shipped / "bikes").iterdir()):
                    _copy(month, (bikes if month.stem in TRAINED_MONTHS else later) / month.name)
            write_atomically(folder / ".gitignore", _GITIGNORE)
            # Last, so that its presence says that all the rest is there.
            write_atomically(folder / SETTINGS_FILE, _SETTINGS)
    except OSError as error:
        raise StorageError(
            f"cannot write the demo to {folder}: {error.strerror or error}",
            "Name a folder that can be written: workbench demo DIR.",
        ) from error


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)

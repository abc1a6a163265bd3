"""The user's own Python file: loaded by path under a private name, its failures turned into reports."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from store.errors import UserCodeError, WorkbenchError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class UserModule:
    """A loaded module; `name` is private to the pipeline and this content, so versions don't collide."""

    path: Path
    name: str
    sha256: str
    source: bytes
    module: ModuleType

    @property
    def features(self) -> Callable[[pd.DataFrame], pd.DataFrame] | None:
        return getattr(self.module, "features", None)

    @property
    def build(self) -> Callable[[dict[str, Any]], Any] | None:
        return getattr(self.module, "build", None)


def load_user_module(path: Path, pipeline: str) -> UserModule:
    """Run the file as module `wb_<pipeline>_<content>`.

    Raises UserCodeError when it is missing, raises, or has neither `features` nor `build`.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserCodeError(
            f"cannot read module {path}: {error.strerror}", "Check `module` in the settings."
        ) from error
    digest = hashlib.sha256(source).hexdigest()
    name = f"wb_{re.sub(r'[^a-z0-9_]', '_', pipeline)}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserCodeError(f"{path} is no Python file", "Name a .py file in `module`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with reported(path, "cannot be loaded"):
            # Compiled here, not by the loader: its bytecode cache would go into the user's folder.
            exec(compile(source, str(path), "exec"), module.__dict__)
    except UserCodeError:
        sys.modules.pop(name, None)
        raise
    loaded = UserModule(path, name, digest, source, module)
    for wanted in ("features", "build"):
        if not callable(getattr(module, wanted, lambda: None)):
            raise UserCodeError(f"{wanted} in {path} is no function", f"Define def {wanted}(…).")
    if loaded.features is None and loaded.build is None:
        raise UserCodeError(
            f"{path} defines neither features(frame) nor build(params)", "Define one, or remove `module`."
        )
    return loaded


def apply_features(user: UserModule, frame: pd.DataFrame) -> pd.DataFrame:
    """What `features(frame)` makes of a copy of the frame; UserCodeError unless it is a frame as long."""
    import pandas as pd

    assert user.features is not None
    with reported(user.path, "raised in features()"):
        result = user.features(frame.copy())
    if not isinstance(result, pd.DataFrame):
        raise UserCodeError(
            f"features() in {user.path} returned {type(result).__name__}, not a data frame",
            "Return the frame.",
        )
    if len(result) != len(frame):
        raise UserCodeError(
            f"features() in {user.path} turned {len(frame)} rows into {len(result)}",
            "It must keep every row: the server asks for one prediction a row.",
        )
    return result


def call_build(user: UserModule, params: Mapping[str, Any]) -> Any:
    """The estimator or Pipeline that `build(params)` makes."""
    assert user.build is not None
    with reported(user.path, "raised in build()"):
        estimator = user.build(dict(params))
    if not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise UserCodeError(
            f"build() in {user.path} returned {type(estimator).__name__}, no estimator",
            "Return a scikit-learn estimator or Pipeline.",
        )
    return estimator


@contextmanager
def reported(path: Path, what: str) -> Iterator[None]:
    """Turn whatever user code raises, SystemExit included, into a UserCodeError with its traceback."""
    try:
        yield
    except WorkbenchError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise as_user_error(error, path, what) from error


def as_user_error(error: BaseException, path: Path, what: str) -> UserCodeError:
    """A report that names the user's line."""
    line = line_in(error, path)
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line = error.lineno
    where = f"{path}, line {line}," if line else f"{path}"
    shown = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    report = "".join(traceback.format_exception(error))
    return UserCodeError(
        f"{where} {what}: {shown.splitlines()[0]}", "Mend that line; the job's log has it all.", report
    )


def line_in(error: BaseException, path: Path) -> int | None:
    """The innermost line of `path` in the error's traceback; None where it does not appear."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return lines[-1] if lines else None

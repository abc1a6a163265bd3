"""The user's own Python file and those beside it: loaded by path under private names, their failures turned
into reports."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines.siblings import BETWEEN, Sibling, find_siblings, renamed
from store.errors import UserCodeError, WorkbenchError
from store.model_loading import DIGEST

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class UserModule:
    """A loaded module; `name` is private to the pipeline and this content, so versions don't collide."""

    path: Path
    name: str
    sha256: str
    source: bytes
    """As it travels with models."""
    module: ModuleType
    siblings: Mapping[str, ModuleType]
    """The files beside it that it imports, by their private names."""
    sources: Mapping[str, bytes]
    """What travels with models: the content of each file by private name, its own first."""

    @property
    def features(self) -> Callable[[pd.DataFrame], pd.DataFrame] | None:
        return getattr(self.module, "features", None)

    @property
    def build(self) -> Callable[[dict[str, Any]], Any] | None:
        return getattr(self.module, "build", None)

    @property
    def modules(self) -> tuple[ModuleType, ...]:
        """Everything that another machine can't import."""
        return self.module, *self.siblings.values()


def load_user_module(path: Path, pipeline: str) -> UserModule:
    """Run the file as module `wb_<pipeline>_<content>`, what it imports from beside it likewise.

    Raises UserCodeError when it is missing, raises, or has neither `features` nor `build`.
    """
    try:
        written = path.read_bytes()
    except OSError as error:
        raise UserCodeError(
            f"cannot read module {path}: {error.strerror}", "Check `module` in the settings."
        ) from error
    beside = find_siblings(path, written)
    digest = hashlib.sha256(written)
    for stem in sorted(beside):
        digest.update(f"\0{stem}\0".encode() + beside[stem].source)
    name = f"wb_{re.sub(r'[^a-z0-9_]', '_', pipeline)}_{digest.hexdigest()[:12]}"
    names = {stem: f"{name}{BETWEEN}{stem}" for stem in beside}
    source = renamed(written, names)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserCodeError(f"{path} is no Python file", "Name a .py file in `module`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    finder = _Beside({names[stem]: sibling for stem, sibling in beside.items()}, names)
    sys.meta_path.append(finder)
    try:
        with reported(path, "cannot be loaded"):
            _run(module, source, str(path))
        siblings = finder.load_all()
    except UserCodeError:
        sys.modules.pop(name, None)
        raise
    finally:
        sys.meta_path.remove(finder)
    loaded = UserModule(
        path,
        name,
        hashlib.sha256(source).hexdigest(),
        source,
        module,
        siblings,
        {name: source, **{private: finder.sources[private] for private in siblings}},
    )
    for wanted in ("features", "build"):
        if not callable(getattr(module, wanted, lambda: None)):
            raise UserCodeError(f"{wanted} in {path} is no function", f"Define def {wanted}(…).")
    if loaded.features is None and loaded.build is None:
        raise UserCodeError(
            f"{path} defines neither features(frame) nor build(params)", "Define one, or remove `module`."
        )
    return loaded


class _Beside:
    """Finds the files beside a module by their private names, while it is loaded."""

    def __init__(self, files: Mapping[str, Sibling], names: Mapping[str, str]) -> None:
        self._files = files
        self.sources = {name: renamed(file.source, names) for name, file in files.items()}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._files.get(name)
        if file is None:
            return None
        return importlib.util.spec_from_file_location(
            name, file.path, loader=_FromSource(name, str(file.path), self.sources[name])
        )

    def load_all(self) -> dict[str, ModuleType]:
        """The files as modules. One that can't be loaded and that nothing needed so far stays behind."""
        for name in self._files:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        return {name: sys.modules[name] for name in self._files if name in sys.modules}


class _FromSource(importlib.machinery.SourceFileLoader):
    """Runs a file with other names in its imports."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def exec_module(self, module: ModuleType) -> None:
        _run(module, self._source, self.path)


def _run(module: ModuleType, source: bytes, path: str) -> None:
    """Run the source as the module, known by its hash to whoever loads a model with the same code."""
    setattr(module, DIGEST, hashlib.sha256(source).hexdigest())
    # Compiled here, not by a loader: its bytecode cache would go into the user's folder.
    exec(compile(source, path, "exec"), module.__dict__)


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
    """A report that names the user's line, be it of `path` or of a file beside it."""
    path, line = _innermost(error, path)
    where = f"{path}, line {line}," if line else f"{path}"
    shown = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    report = "".join(traceback.format_exception(error))
    hint = missing_module_hint(error, path) or "Mend that line; the job's log has it all."
    return UserCodeError(f"{where} {what}: {shown.splitlines()[0]}", hint, report)


def missing_module_hint(error: BaseException, path: Path) -> str | None:
    """What to do about a package that the file at `path` imports and that isn't there."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    package = (name or "").partition(".")[0]
    if not package or package in sys.modules or importlib.util.find_spec(package) is not None:
        return None
    return f"Install it (pip install {package}); a file of yours of that name belongs beside {path.name}."


def _innermost(error: BaseException, path: Path) -> tuple[Path, int | None]:
    """The last line in the error's traceback that is the user's: of `path` or of a file in its folder."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).parent == path.parent:
        return Path(error.filename), error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent == path.parent:
            return Path(frame.filename), frame.lineno
    return path, None


def line_in(error: BaseException, path: Path) -> int | None:
    """The innermost line of `path` in the error's traceback; None where it does not appear."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path
    ]
    return lines[-1] if lines else None

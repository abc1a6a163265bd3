"""Rebuilds the estimator of a model folder from skops, or from a pickle that somebody trusted."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from store.errors import ModelLoadError
from store.estimator_parts import check_trees
from store.skops_public import public_types
from store.trust import SKOPS_TYPES, file_digest, trusted_values

if TYPE_CHECKING:
    from store.layout import Layout
    from store.model_files import ModelFile

OUR_PACKAGES = frozenset({"workbench", "pipelines", "serve", "store"})
"""Installed with workbench: a copy of one of these among a model's code files is never imported."""

# Imports of code files change sys.modules, which all threads share.
_import_lock = threading.Lock()
DIGEST = "__workbench_sha256__"
"""Attribute of a module loaded from a code file: the hash of what was run."""


def load_estimator(file: ModelFile, *, trusted_types: Collection[str], layout: Layout | None) -> Any:
    """The fitted estimator in a model folder; ModelLoadError for what isn't trusted or doesn't load."""
    if file.flavor != "sklearn":
        raise ModelLoadError(
            f"{file.path} holds a {file.flavor} model; only scikit-learn models can be loaded here",
            "Log it with mlflow.sklearn.log_model.",
        )
    path = file.path / file.model_path
    if not path.is_file():
        raise ModelLoadError(f"{path} is missing", "Its files were deleted or moved; train again.")
    if file.serialization_format == "skops":
        estimator = _load_skops(file, path, trusted_types, layout)
    else:
        estimator = _load_pickle(file, path, layout)
    check_trees(estimator)
    return estimator


def _load_skops(file: ModelFile, path: Path, trusted_types: Collection[str], layout: Layout | None) -> Any:
    import skops.io

    try:
        untrusted = skops.io.get_untrusted_types(file=path)
    except Exception as error:
        raise _broken(path, error) from error
    unknown = set(untrusted) - SKOPS_TYPES - set(trusted_types) - trusted_values(layout, "type")
    unknown -= public_types(unknown)
    if unknown and file.code_dir is not None:
        unknown -= _import_code(file.code_dir, unknown, layout)
    if unknown:
        raise ModelLoadError(
            f"{path} contains types that are not on the allow-list: {', '.join(sorted(unknown))}",
            "Review them, then allow them: workbench models trust TYPE, or [serve] trusted_types.",
        )
    try:
        return skops.io.load(path, trusted=untrusted)
    except Exception as error:
        raise _broken(path, error) from error


def _load_pickle(file: ModelFile, path: Path, layout: Layout | None) -> Any:
    digest = file_digest(path)
    if digest not in trusted_values(layout, "model"):
        raise ModelLoadError(
            f"{path} is a pickle ({file.serialization_format}): loading it runs whatever code is in it",
            f'Log the model with serialization_format="skops", or trust this file: '
            f"workbench models trust {digest}",
        )
    import pickle

    if file.code_dir is not None:
        _import_code(file.code_dir, None, layout)
    try:
        with path.open("rb") as stream:
            return pickle.load(stream)
    except Exception as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> ModelLoadError:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return ModelLoadError(
        f"cannot load {path}: {reason}",
        "The file is damaged or was made with other package versions; see workbench models show.",
    )


def _import_code(code_dir: Path, wanted: Iterable[str] | None, layout: Layout | None) -> set[str]:
    """Import the model's code files that `wanted` dotted names need (all files for None), if trusted.

    Returns those of `wanted` that are defined in them. Raises ModelLoadError where a file isn't trusted.
    """
    files = sorted(path for path in code_dir.rglob("*.py") if _top(path, code_dir) not in OUR_PACKAGES)
    tops = {_top(path, code_dir) for path in files}
    needed = {name for name in wanted or () if name.partition(".")[0] in tops}
    if not files or (wanted is not None and not needed):
        return set()
    trusted = trusted_values(layout, "code")
    digests = {path: file_digest(path) for path in files}
    untrusted = [path for path, digest in digests.items() if digest not in trusted]
    if untrusted:
        raise ModelLoadError(
            f"the model needs code that nobody trusted here: {', '.join(str(path) for path in untrusted)}",
            f"Read it, then trust it: workbench models trust {digests[untrusted[0]]}",
        )
    own = {path.stem: path for path in files if path.parent == code_dir}
    with _import_lock, _importable(own, digests):
        modules = [_import_file(path, digests[path]) for path in files if path.parent == code_dir]
        if any(path.parent != code_dir for path in files) and str(code_dir) not in sys.path:
            sys.path.append(str(code_dir))
    by_name = {module.__name__: module for module in modules}
    return {name for name in needed if _is_defined(name, by_name)}


@contextmanager
def _importable(files: Mapping[str, Path], digests: Mapping[Path, str]) -> Iterator[None]:
    """Let the code files of one model import each other, whichever comes first."""
    finder = _CodeFinder(files, digests)
    for name, path in files.items():
        if getattr(sys.modules.get(name), DIGEST, digests[path]) != digests[path]:
            del sys.modules[name]  # another version's: what holds on to it goes on using it
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _CodeFinder:
    def __init__(self, files: Mapping[str, Path], digests: Mapping[Path, str]) -> None:
        self._files, self._digests = files, digests

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._files.get(name)
        if file is None:
            return None
        loader = _MarkedLoader(name, str(file))
        loader.digest = self._digests[file]
        return importlib.util.spec_from_file_location(name, file, loader=loader)


class _MarkedLoader(importlib.machinery.SourceFileLoader):
    digest = ""

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, DIGEST, self.digest)
        super().exec_module(module)


def _top(path: Path, code_dir: Path) -> str:
    return path.relative_to(code_dir).parts[0].removesuffix(".py")


def _import_file(path: Path, digest: str) -> ModuleType:
    """The module of one code file, under its own name; another version's module of that name gives way."""
    name = path.stem
    present = sys.modules.get(name)
    if present is not None:
        known = getattr(present, DIGEST, None)
        if known is None and getattr(present, "__file__", None):
            known = (
                file_digest(Path(str(present.__file__))) if Path(str(present.__file__)).is_file() else None
            )
        if known == digest:
            return present
        if getattr(present, DIGEST, None) is None:
            raise ModelLoadError(
                f"{path} has the name of a module that is already loaded: {name}",
                "Give the file another name and train again.",
            )
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelLoadError(f"{path} can't be imported", "It must be a Python file.")
    module = importlib.util.module_from_spec(spec)
    setattr(module, DIGEST, digest)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        if present is None:
            del sys.modules[name]
        else:
            sys.modules[name] = present
        raise ModelLoadError(
            f"{path} raised {type(error).__name__} when it was imported: {error}",
            "Mend the file, or install what it needs, and train again.",
        ) from error
    return module


def _is_defined(name: str, modules: dict[str, ModuleType]) -> bool:
    """Whether a dotted name is something the code files define, not something they imported."""
    module_name, _, attribute = name.rpartition(".")
    module = modules.get(module_name)
    if module is None:
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            raise ModelLoadError(
                f"{module_name} raised {type(error).__name__} when it was imported: {error}",
                "Install what it needs, or train again.",
            ) from error
    return getattr(getattr(module, attribute, None), "__module__", None) == module_name

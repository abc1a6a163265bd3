"""Imports what models need without what they don't: one thread for OpenMP, no pandas where none is used.

scikit-learn 1.9 imports pandas wherever it is installed (67 MB and a second of a worker's), dask likewise,
and scipy.stats (35 MB, half a second) for a function here and there; skops imports all of scikit-learn to
make a list of names. For models that take a bare array nothing ever touches them.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

from store.skops_public import TRUSTED_TYPES, light_lists

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LEFT_OUT = ("pandas", "dask", "rich")
"""scikit-learn's support of other array types, and of progress bars, brings them along."""
_STATISTICS = "scipy.stats"
_NUMPYS_TOOLS = ("f2py", "testing")
"""scipy looks at every name in numpy, which imports these when they are looked at."""
_SERVED = ("linear_model", "ensemble", "compose", "impute", "calibration", "naive_bayes", "neural_network")
"""Parts of scikit-learn that most models are of, with all that these import."""


def limit_threads() -> None:
    """One thread for each numeric library, unless the environment says otherwise.

    A row is too little work to share, and threads that wait for each other make it many times slower.
    The libraries read this once, so it has no effect after numpy is imported.
    """
    for variable in _THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")


def import_model_libraries() -> None:
    """Import scikit-learn and skops, leaving out what they import wherever it is installed.

    It can still be imported afterwards, by a model that needs frames. numpy's warnings about numbers that
    grow too large are left out: they are a client's, who is told that the answer is no number.
    """
    warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
    if any(name in sys.modules for name in ("sklearn", "skops", _STATISTICS)):
        import_module("skops.io")
        return
    for name in _LEFT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    numpy = import_module("numpy")
    for name in _NUMPYS_TOOLS:
        vars(numpy).setdefault(name, _NotYet(f"numpy.{name}"))
    sys.modules[_STATISTICS] = _StatisticsLater(_STATISTICS)
    sys.modules[TRUSTED_TYPES] = light_lists()
    try:
        import_module("skops.io")
        for name in _SERVED:
            import_module(f"sklearn.{name}")
    except (ImportError, AttributeError, TypeError):
        # Versions that insist on one of them: forget the half-made imports and let them have all.
        for name in [name for name in sys.modules if name.partition(".")[0] in ("sklearn", "skops")]:
            del sys.modules[name]
        _give_back()
        import_module("skops.io")
    finally:
        _give_back()


def _give_back() -> None:
    for name in _LEFT_OUT:
        if sys.modules.get(name, True) is None:
            del sys.modules[name]
    if isinstance(sys.modules.get(_STATISTICS), _StatisticsLater):
        del sys.modules[_STATISTICS]
    numpy = import_module("numpy")
    for name in _NUMPYS_TOOLS:
        if isinstance(vars(numpy).get(name), _NotYet):
            delattr(numpy, name)


class _NotYet(ModuleType):
    """A module that nobody has asked for."""


class _StatisticsLater(ModuleType):
    """scipy.stats, imported when something of it is used; a name taken from it before is a `_Later`."""

    __path__: list[str] = []  # noqa: RUF012 - a package's, as scipy.stats is one

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(name) if sys.modules.get(_STATISTICS) is self else getattr(_statistics(), name)


class _Later:
    """A function or distribution of scipy.stats."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return getattr(_statistics(), self._name)(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_statistics(), self._name), name)


def _statistics() -> ModuleType:
    return import_module(_STATISTICS)

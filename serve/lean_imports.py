"""Imports what models need without what they don't: one thread for OpenMP, no pandas where none is used.

scikit-learn 1.9 imports pandas whenever it is installed, which costs a worker 67 MB and a second, and dask
likewise; for models that take a bare array nothing ever touches them.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LEFT_OUT = ("pandas", "dask")
"""scikit-learn's support of other array types brings them along."""


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
    if "sklearn" in sys.modules or any(name in sys.modules for name in _LEFT_OUT):
        import_module("skops.io")
        return
    for name in _LEFT_OUT:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import_module("skops.io")
    except ImportError:
        # A version that insists on one of them: forget the half-made imports and let it have all.
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

"""Imports what models need without what they don't: one thread for OpenMP, no pandas where none is used.

scikit-learn 1.9 imports pandas whenever it is installed, which costs a worker 67 MB and a second; for
models that take a bare array nothing ever touches it.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def limit_threads() -> None:
    """One thread for each numeric library, unless the environment says otherwise.

    A row is too little work to share, and threads that wait for each other make it many times slower.
    The libraries read this once, so it has no effect after numpy is imported.
    """
    for variable in _THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")


def import_model_libraries() -> None:
    """Import scikit-learn and skops, leaving pandas out where they can do without.

    pandas can still be imported afterwards, by a model that needs frames. numpy's warnings about numbers that
    grow too large are left out: they are a client's, who is told that the answer is no number.
    """
    warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
    if "pandas" in sys.modules or "sklearn" in sys.modules:
        import_module("skops.io")
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        import_module("skops.io")
    except ImportError:
        # A version that insists on pandas: forget the half-made imports and let it have pandas.
        for name in [name for name in sys.modules if name.partition(".")[0] in ("sklearn", "skops")]:
            del sys.modules[name]
        del sys.modules["pandas"]
        import_module("skops.io")
    finally:
        if sys.modules.get("pandas", True) is None:
            del sys.modules["pandas"]

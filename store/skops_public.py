"""What skops trusts by itself, asked of one name at a time.

skops makes lists of it when it is imported, for which it imports all of scikit-learn and looks for each
numeric function in every module there is: half of what a server's start would take. A server imports it
with these lists empty (see `serve.lean_imports`), so that the names come here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

TRUSTED_TYPES = "skops.io._trusted_types"
"""The module of skops that holds the lists."""
# Parts of scikit-learn that hold no public estimators (as in sklearn.utils.discovery).
_NOT_PUBLIC = frozenset(
    {"tests", "externals", "setup", "conftest", "experimental", "estimator_checks", "_test_common"}
)


def public_types(names: Iterable[str]) -> set[str]:
    """Those names that are of a public scikit-learn estimator, or of a numeric function of numpy or scipy."""
    return {name for name in names if _is_estimator(name) or _is_ufunc(name)}


def _is_estimator(name: str) -> bool:
    module_name, _, class_name = name.rpartition(".")
    parts = module_name.split(".")
    if parts[0] != "sklearn" or class_name.startswith("_") or _NOT_PUBLIC & set(parts):
        return False
    first_private = next((at for at, part in enumerate(parts) if part.startswith("_")), len(parts))
    try:
        module = import_module(module_name)
        public = import_module(".".join(parts[:first_private]))
        from sklearn.base import BaseEstimator
    except ImportError:
        return False
    found = getattr(module, class_name, None)
    return (
        inspect.isclass(found)
        and issubclass(found, BaseEstimator)
        and found is not BaseEstimator
        and found.__module__ == module_name
        and not inspect.isabstract(found)
        and found.__name__ == class_name
        and getattr(public, class_name, None) is found
    )


def _is_ufunc(name: str) -> bool:
    module_name, _, attribute = name.rpartition(".")
    if module_name != "numpy" and module_name.rpartition(".")[0] != "scipy.special":
        return False
    import numpy as np
    import scipy.special

    found = getattr(sys.modules.get(module_name), attribute, None)
    public = np if module_name == "numpy" else scipy.special
    is_by_its_name = isinstance(found, np.ufunc) and found.__name__ == attribute
    return is_by_its_name and getattr(public, attribute, None) is found


def light_lists() -> ModuleType:
    """In place of skops' module of lists: what is quickly made as it is, the others empty."""
    import numpy as np

    module = ModuleType(TRUSTED_TYPES)
    bits = (getattr(np.random, name) for name in dir(np.random))
    values: dict[str, list[str]] = {
        "PRIMITIVE_TYPE_NAMES": [f"builtins.{kind.__name__}" for kind in (int, float, str, bool)],
        "CONTAINER_TYPE_NAMES": [f"builtins.{kind.__name__}" for kind in (list, set, map, tuple)],
        "NUMPY_DTYPE_TYPE_NAMES": sorted(
            {f"numpy.{kind.__name__}" for kind in np.sctypeDict.values() if kind.__module__ == "numpy"}
        ),
        "NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES": sorted(
            f"numpy.random.{one.__name__}"
            for one in bits
            if isinstance(one, type)
            and issubclass(one, np.random.BitGenerator)
            and one is not np.random.BitGenerator
        ),
        "SKLEARN_ESTIMATOR_TYPE_NAMES": [],
        "SKLEARN_INTERNAL_TYPE_NAMES": [],
        "SCIPY_UFUNC_TYPE_NAMES": [],
        "NUMPY_UFUNC_TYPE_NAMES": [],
    }
    vars(module).update(values)
    return module

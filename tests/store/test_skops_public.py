"""A server asks of one name what skops makes lists of: the answers are the same."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module

import numpy as np
import pytest

from store.skops_public import TRUSTED_TYPES, light_lists, public_types
from store.skops_types import SKOPS_TYPES


def names_of_skops() -> set[str]:
    lists = vars(import_module(TRUSTED_TYPES))
    trusted = lists["SKLEARN_ESTIMATOR_TYPE_NAMES"]
    return {*trusted, *lists["SCIPY_UFUNC_TYPE_NAMES"], *lists["NUMPY_UFUNC_TYPE_NAMES"]}


def test_all_that_skops_trusts_is_trusted() -> None:
    names = names_of_skops()
    assert len(names) > 400
    assert public_types(names) == names
    assert set(vars(import_module(TRUSTED_TYPES))["SKLEARN_INTERNAL_TYPE_NAMES"]) <= SKOPS_TYPES


def test_nothing_else_of_scikit_learn_numpy_and_scipy_is() -> None:
    names = names_of_skops()
    others = {
        f"{found.__module__}.{name}"
        for module_name, module in list(sys.modules.items())
        if module_name.partition(".")[0] in ("sklearn", "numpy", "scipy") and module is not None
        for name, found in list(vars(module).items())
        if inspect.isclass(found) or inspect.isfunction(found) or isinstance(found, np.ufunc)
        if getattr(found, "__module__", None)
    }
    assert len(others) > 2_000
    assert public_types(others) <= names


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "numpy.load",
        "numpy.exp.reduce",
        "sklearn.base.BaseEstimator",
        "sklearn.tree._classes.BaseDecisionTree",
        "sklearn.linear_model.LogisticRegression",  # by another name than its own
        "sklearn.datasets._base.load_files",
        "sklearn.no_such_part.Estimator",
        "sklearn..os.system",
        "",
    ],
)
def test_what_acts_or_is_not_there_is_not_trusted(name: str) -> None:
    assert not public_types([name])


def test_the_short_lists_are_those_of_skops() -> None:
    lists, ours = vars(import_module(TRUSTED_TYPES)), vars(light_lists())
    for name in (
        "PRIMITIVE_TYPE_NAMES",
        "CONTAINER_TYPE_NAMES",
        "NUMPY_DTYPE_TYPE_NAMES",
        "NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES",
    ):
        assert ours[name] == lists[name]

"""A parameter of several runs against a metric."""

from __future__ import annotations

from store.run_compare import compare_runs
from store.runs import Run
from workbench.desk.comparison import Comparison
from workbench.desk.scatter import plotted_metrics, plotted_parameters, scatter


def comparison(*found: tuple[dict[str, str], dict[str, float]]) -> Comparison:
    runs = tuple(
        Run(str(place), str(place), "1", "e", params=params, metrics=metrics)
        for place, (params, metrics) in enumerate(found)
    )
    return Comparison(runs, 0, tuple(compare_runs(runs)), ())


def test_numbers_stand_from_left_to_right_and_runs_without_either_are_counted() -> None:
    found = comparison(
        ({"depth": "8"}, {"auc": 0.9}),
        ({"depth": "2"}, {"auc": 0.8}),
        ({"depth": "5"}, {}),
        ({}, {"auc": 0.7}),
        ({"depth": "4"}, {"auc": float("nan")}),
    )
    shown = scatter(found, "depth", "auc")
    assert shown.points == ((1, 2.0, 0.8), (0, 8.0, 0.9))
    assert (shown.missing, shown.names, shown.is_log) == (3, (), False)


def test_orders_of_magnitude_get_a_logarithmic_axis_and_zero_a_linear_one() -> None:
    rates = comparison(*(({"lr": lr}, {"auc": 0.9}) for lr in ("0.0001", "0.1", "1e-2")))
    assert scatter(rates, "lr", "auc").is_log
    with_zero = comparison(*(({"lr": lr}, {"auc": 0.9}) for lr in ("0", "0.1", "10")))
    assert not scatter(with_zero, "lr", "auc").is_log


def test_texts_stand_side_by_side_by_name() -> None:
    found = comparison(
        ({"kind": "ridge"}, {"auc": 0.7}), ({"kind": "forest"}, {"auc": 0.9}), ({"kind": "1"}, {"auc": 0.8})
    )
    shown = scatter(found, "kind", "auc")
    assert shown.names == ("1", "forest", "ridge")
    assert shown.points == ((2, 0.0, 0.8), (1, 1.0, 0.9), (0, 2.0, 0.7))


def test_only_what_differs_and_what_two_runs_have_can_be_plotted() -> None:
    found = comparison(
        ({"depth": "8", "seed": "1"}, {"auc": 0.9, "f1": 0.1}), ({"depth": "2", "seed": "1"}, {"auc": 0.9})
    )
    assert plotted_parameters(found) == ("depth",)
    assert plotted_metrics(found) == ("auc",)

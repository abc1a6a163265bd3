"""Models that are loaded when they are first asked for, and let go when there is no room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

from serve.hosting import ModelHost
from serve.problems import Problem
from store.alerts import list_alerts
from store.journal import read_events


def constant(value: float, flower_data: Any) -> Any:
    X, _ = flower_data
    return DummyRegressor(strategy="constant", constant=value).fit(X, X[:, 0])


@pytest.fixture
def three_models(project: Any, flower_data: Any) -> Any:
    for value, name in enumerate(("first", "second", "third")):
        project.add(name, constant(float(value), flower_data))
    return project


def host_of(project: Any, **options: Any) -> ModelHost:
    host = ModelHost(project.registry, layout=project.layout, model_order=project.models, **options)
    host.refresh()
    return host


def test_only_the_default_model_is_loaded_at_the_start(three_models: Any) -> None:
    host = host_of(three_models, is_lazy=True)
    assert (list(host.models), sorted(host.unloaded)) == (["first"], ["second", "third"])
    with pytest.raises(Problem, match="its first prediction loads it"):
        host.find("second")


def test_requests_for_a_model_that_is_not_loaded_wait_for_one_loading(
    three_models: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host = host_of(three_models, is_lazy=True)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(host.fetch("second") for _ in range(5)))

    caplog.clear()
    with caplog.at_level("INFO", logger="workbench.serve"):
        found = asyncio.run(ask())
    assert {model.version for model in found} == {1}
    assert len(set(map(id, found))) == 1
    assert [record.getMessage() for record in caplog.records] == ["second version 1 is in service"]


def test_the_one_not_used_for_longest_is_let_go_and_the_default_never(three_models: Any) -> None:
    size = host_of(three_models, max_loaded_bytes=1).models["first"].n_bytes
    host = host_of(three_models, is_lazy=True, max_loaded_bytes=size * 5 // 2)

    async def ask(*names: str) -> set[str]:
        for name in names:
            await host.fetch(name)
        return set(host.models)

    assert asyncio.run(ask("second")) == {"first", "second"}
    assert asyncio.run(ask("third")) == {"first", "third"}
    assert asyncio.run(ask("second", "first")) == {"first", "second"}
    assert set(host.unloaded) == {"third"}


def test_a_promotion_of_a_model_that_is_not_loaded_loads_nothing(three_models: Any, flower_data: Any) -> None:
    host = host_of(three_models, is_lazy=True)
    three_models.add("second", constant(7.0, flower_data))
    host.refresh()
    assert host.unloaded["second"].version == 2
    assert asyncio.run(host.fetch("second")).version == 2


def test_a_version_that_fails_raises_an_alert_until_one_is_served(project: Any, flower_data: Any) -> None:
    X, y = flower_data
    project.add("steady", constant(1.0, flower_data))
    project.add("steady", LogisticRegression().fit(X, y), serialization="pickle")
    host = host_of(project)
    host_of(project)  # another worker sees the same
    (alert,) = list_alerts(project.layout)
    assert (alert.kind, alert.model, alert.version, alert.state) == ("load_failed", "steady", 2, "open")
    assert "pickle" in alert.message
    assert len(read_events(project.layout, what="load_failed")) == 1
    project.registry.rollback("steady")
    host.refresh()
    assert host.models["steady"].version == 1
    assert [alert.state for alert in list_alerts(project.layout)] == ["cleared"]


def test_a_lazily_loaded_model_that_fails_answers_503(project: Any, flower_data: Any) -> None:
    X, y = flower_data
    project.add("first", constant(1.0, flower_data))
    project.add("second", LogisticRegression().fit(X, y), serialization="pickle")
    host = host_of(project, is_lazy=True)
    with pytest.raises(Problem, match="pickle") as raised:
        asyncio.run(host.fetch("second"))
    assert raised.value.status == 503
    assert host.models["first"].version == 1

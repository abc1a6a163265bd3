"""Who may ask for what: keys, scopes, and the Host and Origin of browsers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from store.jobs import list_jobs
from store.keys import create_key, revoke_key

ROW = {"a": 1.0, "b": -0.5, "c d": 0.25, "é": 2}
JSON = {"Content-Type": "application/json"}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def scaled(project: Any, flower_data: Any, columns: Any) -> Any:
    """A project with one model of two versions; the second is the champion."""
    from sklearn.linear_model import LogisticRegression

    X, y = flower_data
    inputs = columns(**{"a": "double", "b": "double", "c d": "double", "é": "double"})
    for strength in (1.0, 0.1):
        project.add("two", LogisticRegression(C=strength).fit(X, y), inputs=inputs)
    return project


@pytest.fixture
def guarded(scaled: Any, running: Any) -> Iterator[tuple[Any, Any, dict[str, str]]]:
    """A server with a key for each scope."""
    secrets = {
        scope: create_key(scaled.layout, f"the-{scope}", [scope])
        for scope in ("predict", "feedback", "admin")
    }
    with running(scaled) as server:
        yield scaled, server, secrets


def test_predictions_and_feedback_need_the_key_of_their_scope(guarded: Any) -> None:
    _, server, secrets = guarded
    tensors = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]}
    for path, body, right in (
        ("/predict", ROW, "predict"),
        ("/predict/batch", [ROW], "predict"),
        ("/models/two/predict", ROW, "predict"),
        ("/invocations", {"dataframe_records": [ROW]}, "predict"),
        ("/v2/models/two/infer", tensors, "predict"),
        ("/feedback", {"prediction_id": "x", "actual": 1}, "feedback"),
    ):
        missing = server.post(path, body)
        assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
        assert missing.headers["content-type"] == "application/problem+json"
        assert server.post(path, body, headers=bearer("wb_wrong")).status_code == 401
        for scope, secret in secrets.items():
            answer = server.post(path, body, headers=bearer(secret))
            assert answer.status_code == (403 if scope != right else 202 if scope == "feedback" else 200)
            assert server.post(path, body, headers={"X-API-Key": secret}).status_code == answer.status_code
    assert server.post("/invocations", {}).json()["error_code"] == "UNAUTHENTICATED"
    assert server.post("/v2/models/two/infer", tensors).json()["error"]


def test_health_and_metrics_stay_open(guarded: Any) -> None:
    _, server, _ = guarded
    for path in (
        "/health",
        "/health/live",
        "/health/ready",
        "/v2/health/ready",
        "/ping",
        "/metrics",
        "/models",
    ):
        assert server.get(path).status_code == 200
    assert server.metric('workbench_requests_refused_total{reason="unauthorized"}') == 0
    server.post("/predict", ROW)
    assert server.metric('workbench_requests_refused_total{reason="unauthorized"}') == 1


def test_keys_made_and_revoked_take_effect_while_it_runs(scaled: Any, running: Any, wait_until: Any) -> None:
    with running(scaled) as server:
        assert server.post("/predict", ROW).status_code == 200
        secret = create_key(scaled.layout, "late")
        wait_until(lambda: server.post("/predict", ROW).status_code == 401, "the key is asked for")
        assert server.post("/predict", ROW, headers=bearer(secret)).status_code == 200
        create_key(scaled.layout, "other")
        revoke_key(scaled.layout, "late")
        wait_until(
            lambda: server.post("/predict", ROW, headers=bearer(secret)).status_code == 401, "it is refused"
        )


def test_admin_changes_production_and_the_journal_names_the_key(guarded: Any) -> None:
    scaled, server, secrets = guarded
    admin = bearer(secrets["admin"])
    answer = server.post("/admin/promote", {"model": "two", "version": 1, "reason": "calmer"}, headers=admin)
    assert answer.json() == {"model": "two", "from": 2, "to": 1, "models": {"two": 1}, "failures": []}
    predicted = server.post("/predict", ROW, headers=bearer(secrets["predict"]))
    assert predicted.json()["version"] == 1
    assert server.post("/admin/rollback", {"model": "two"}, headers=admin).json()["models"] == {"two": 2}
    assert server.post("/admin/reload", headers=admin).json()["models"] == {"two": 2}
    events = [event for event in scaled.registry.history("two") if event.who == "the-admin"]
    assert [(event.what, event.reason) for event in events] == [("promoted", "calmer"), ("rolled_back", None)]


def test_a_training_is_queued_with_the_admin_scope_alone(guarded: Any) -> None:
    scaled, server, secrets = guarded
    settings = scaled.layout.root / "workbench.toml"
    before = settings.read_text("utf-8") if settings.exists() else None
    settings.write_text('[project]\nname = "x"\n[pipelines.two]\ndata = "d"\ntarget = "y"\n', "utf-8")
    wanted = {"pipeline": "two", "reason": "nightly"}
    admin = bearer(secrets["admin"])
    try:
        assert server.post("/admin/retrain", wanted, headers=bearer(secrets["predict"])).status_code == 403
        assert server.post("/admin/retrain", {"pipeline": "none"}, headers=admin).status_code == 404
        answer = server.post("/admin/retrain", wanted, headers=admin)
        assert answer.status_code == 202
        again = server.post("/admin/retrain", wanted, headers=admin)
        assert (again.status_code, "queued" in again.json()["detail"]) == (503, True)
        settings.unlink()
        assert server.post("/admin/retrain", wanted, headers=admin).status_code == 404  # a folder without one
        settings.write_text("[[", "utf-8")
        assert server.post("/admin/retrain", wanted, headers=admin).status_code == 503
    finally:
        settings.unlink()
        if before is not None:
            settings.write_text(before, "utf-8")
    (job,) = list_jobs(scaled.layout)
    assert (job.id, job.state, job.trigger) == (answer.json()["id"], "queued", "http")
    assert (job.reason, job.who) == ("nightly", "the-admin")


def test_admin_needs_its_scope_on_loopback_and_without_any_key_too(
    guarded: Any, several_models: Any, server: Any
) -> None:
    _, with_keys, secrets = guarded
    assert with_keys.post("/admin/reload").status_code == 401
    assert with_keys.post("/admin/reload", headers=bearer(secrets["predict"])).status_code == 403
    refused = server.post("/admin/promote", {"model": "two", "version": 1})
    assert refused.status_code == 401
    assert "workbench keys create" in refused.json()["detail"]


def test_a_wrong_promotion_is_a_problem(guarded: Any) -> None:
    _, server, secrets = guarded
    for body, status in (
        ({"model": "nobody", "version": 1}, 404),
        ({"model": "two", "version": 9}, 404),
        ({"model": "two", "version": "1"}, 422),
        ({"model": "two", "version": True}, 422),
        ({"model": "two"}, 422),
        ({"version": 1}, 422),
        ({"model": "two", "version": 1, "to": "king"}, 422),
        ({"model": "two", "version": 1, "reason": 7}, 422),
        ({"model": "two", "version": 1, "because": "x"}, 422),
        ([], 422),
    ):
        headers = JSON | bearer(secrets["admin"])
        answer = server.post("/admin/promote", content=json.dumps(body), headers=headers)
        assert answer.status_code == status, (body, answer.text)


def test_strange_hosts_are_refused_on_loopback(scaled: Any, running: Any) -> None:
    with running(scaled, settings={"allowed_hosts": ["models.example.com"]}) as server:
        for host in ("evil.example.org", "127.0.0.1.evil.example.org:8000", "localhost.evil.org"):
            assert server.post("/predict", ROW, headers={"Host": host}).status_code == 403
            assert server.get("/models", headers={"Host": host}).status_code == 403
            assert server.get("/health", headers={"Host": host}).status_code == 200
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "models.example.com", "server:8000"):
            assert server.post("/predict", ROW, headers={"Host": host}).status_code == 200
        secret = create_key(scaled.layout, "proxy")
    with running(scaled) as server:
        strange = {"Host": "api.example.com"}
        assert server.post("/predict", ROW, headers=strange | bearer(secret)).status_code == 200


def test_pages_of_other_sites_are_refused(scaled: Any, running: Any) -> None:
    with running(scaled, settings={"cors_origins": ["https://shop.example.com"]}) as server:
        own = server.url
        for origin, status in (
            ("https://evil.example.org", 403),
            ("null", 403),
            ("http://[", 403),
            ("https://shop.example.com", 200),
            (own, 200),
        ):
            answer = server.post("/predict", ROW, headers={"Origin": origin})
            assert answer.status_code == status, origin
        preflight = server.client.options(
            "/predict",
            headers={"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"},
        )
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example.com"


def test_beyond_loopback_it_starts_with_a_key_or_when_told_to(scaled: Any, running: Any) -> None:
    with (
        pytest.raises(AssertionError, match="workbench keys create"),
        running(scaled, settings={"host": "0.0.0.0"}),
    ):
        pass
    with running(scaled, settings={"host": "0.0.0.0", "allow_public_without_keys": True}) as server:
        assert server.post("/predict", ROW, headers={"Host": "models.example.com"}).status_code == 200
    secret = create_key(scaled.layout, "shop")
    with running(scaled, settings={"host": "0.0.0.0"}) as server:
        assert server.post("/predict", ROW).status_code == 401
        assert server.post("/predict", ROW, headers=bearer(secret)).status_code == 200
        revoke_key(scaled.layout, "shop")
        refused = server.post("/predict", ROW)
        assert refused.status_code == 401


def test_the_description_says_where_a_key_is_needed(guarded: Any, server: Any) -> None:
    _, with_keys, _ = guarded
    paths = with_keys.get("/openapi.json").json()["paths"]
    assert paths["/predict"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in paths["/health"]["get"]
    open_paths = server.get("/openapi.json").json()["paths"]
    assert "security" not in open_paths["/predict"]["post"]
    assert open_paths["/admin/promote"]["post"]["security"]

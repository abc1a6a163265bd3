"""MLflow's scoring protocol: the same values as MLflow's own server, and errors its clients understand."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ["a", "b", "c d", "é"]
ROWS = [[1.0, -0.5, 0.25, 2.0], [-1.5, 0.75, 0.0, 1.0], [0.1, 0.2, 0.3, 4]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
MIXED: list[dict[str, Any]] = [
    {"age": 30.5, "orders": 2, "plan": "pro", "active": True},
    {"age": None, "orders": 6, "plan": "free", "active": False},
]

# What MLflow's server does with a request, without its HTTP.
ASK_MLFLOW = """
import json, os, sys, warnings
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
warnings.simplefilter("ignore")
import skops.io
load = skops.io.load
skops.io.load = lambda path, trusted=None: load(path, trusted=skops.io.get_untrusted_types(file=path))
import mlflow.pyfunc
from mlflow.pyfunc.scoring_server import invocations
asked = json.load(sys.stdin)
answers = []
for folder, body, content_type in asked["requests"]:
    model = mlflow.pyfunc.load_model(folder)
    text = body if isinstance(body, str) else json.dumps(body)
    answer = invocations(text, content_type, model, model.metadata.get_input_schema())
    answers.append(json.loads(answer.response)["predictions"])
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
client = ScoringServerClient(asked["host"], asked["port"])
client.ping()
frame = pd.DataFrame(asked["rows"], columns=asked["names"])
by_client = client.invoke(frame).get_predictions()[0].tolist()
print(json.dumps({"answers": answers, "version": client.get_version(), "by_client": by_client}))
"""

JSON, CSV = "application/json", "text/csv"
REQUESTS: dict[str, tuple[str, Any, str]] = {
    "split": ("two", {"dataframe_split": {"columns": NAMES, "data": ROWS}}, JSON),
    "split in another order": (
        "two",
        {"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS]}},
        JSON,
    ),
    "split with an extra column and an index": (
        "two",
        {
            "dataframe_split": {
                "columns": ["id", *NAMES],
                "data": [[7, *row] for row in ROWS],
                "index": [4, 5, 6],
            }
        },
        JSON,
    ),
    "records": ("two", {"dataframe_records": RECORDS}, JSON),
    "records with an extra field": ("two", {"dataframe_records": [{**r, "id": "x"} for r in RECORDS]}, JSON),
    "instances": ("two", {"instances": RECORDS}, JSON),
    "inputs by column": (
        "two",
        {"inputs": {name: [row[i] for row in ROWS] for i, name in enumerate(NAMES)}},
        JSON,
    ),
    "CSV": ("two", "a,b,c d,é\n1.0,-0.5,0.25,2\n-1.5,0.75,0,1\n", CSV),
    "matrix as instances": ("three", {"instances": ROWS}, JSON),
    "matrix as inputs": ("three", {"inputs": ROWS}, JSON),
    "mixed columns": ("mixed", {"dataframe_records": MIXED}, JSON),
    "split without a signature": ("unsigned", {"dataframe_split": {"data": ROWS}}, JSON),
    "made up names without a signature": (
        "unsigned",
        {"dataframe_split": {"columns": ["p", "q", "r", "s"], "data": ROWS}},
        JSON,
    ),
}


@pytest.fixture(scope="module")
def mlflows(several_models: Any, server: Any) -> dict[str, Any]:
    """MLflow's own answers to all requests in their order, and what its client gets from our server."""
    asked = []
    for name, body, content_type in REQUESTS.values():
        folder = several_models.registry.version(name, "champion").model_dir
        asked.append((str(folder), body, content_type))
    done = subprocess.run(
        [sys.executable, "-c", ASK_MLFLOW],
        input=json.dumps(
            {
                "requests": asked,
                "host": urlsplit(server.url).hostname,
                "port": urlsplit(server.url).port,
                "rows": ROWS,
                "names": NAMES,
            }
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def mlflow_answers(mlflows: Any) -> dict[str, Any]:
    return dict(zip(REQUESTS, mlflows["answers"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", REQUESTS)
def test_the_values_are_those_of_mlflows_own_server(server: Any, mlflow_answers: Any, case: str) -> None:
    name, body, content_type = REQUESTS[case]
    content = body if isinstance(body, str) else json.dumps(body)
    answer = server.post(
        f"/models/{name}/invocations", content=content.encode(), headers={"Content-Type": content_type}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == mlflow_answers[case]


@pytest.mark.slow
def test_mlflows_own_client_works_unchanged(server: Any, mlflows: Any) -> None:
    assert mlflows["by_client"] == mlflows["answers"][0]
    assert mlflows["version"] == server.get("/version").text


def test_predictions_are_logged_and_can_be_given_feedback(server: Any) -> None:
    answer = server.post("/invocations", {"dataframe_records": RECORDS}).json()
    assert (answer["model"], answer["version"]) == ("two", 1)
    labels = [{"prediction_id": i, "actual": 1} for i in answer["prediction_ids"]]
    assert server.post("/feedback", labels).json() == {"accepted": 3, "unknown": 0}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"dataframe_records": [{"a": 1, "b": 2, "c d": 3}]}, "é: missing"),
        ({"dataframe_split": {"columns": NAMES[:3], "data": [[1, 2, 3]]}}, "é: missing"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1, 2, 3]]}}, "expected 4 values, got 3"),
        ({"dataframe_split": {"columns": [*NAMES, "a"], "data": [[1, 2, 3, 4, 5]]}}, "twice"),
        ({"dataframe_split": [1]}, "dataframe_split"),
        ({"dataframe_records": [{**RECORDS[0], "a": None}]}, "a: expected a number"),
        ({"dataframe_records": [{**RECORDS[0], "a": "x"}]}, "a: expected a number"),
        ({"dataframe_records": {}}, "expected a list"),
        ({"dataframe_records": []}, "no row"),
        ({"instances": [1, 2]}, "expected 4 values"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, "differ in length"),
        ({"inputs": "x"}, "expected a list"),
        ({"records": RECORDS}, "dataframe_split"),
        ({"instances": ROWS, "inputs": ROWS}, "one of"),
        ({"instances": ROWS, "signature_name": "x"}, "signature_name"),
        ([1, 2], "a list"),
    ],
)
def test_what_does_not_fit_is_a_400_with_mlflows_members(server: Any, body: Any, said: str) -> None:
    answer = server.post("/models/two/invocations", body)
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["error_code"] == "BAD_REQUEST"
    assert said in problem["message"]
    assert problem["status"] == 400
    assert "Traceback" not in answer.text


def test_other_errors_carry_mlflows_members_too(server: Any) -> None:
    unknown = server.post("/models/nobody/invocations", {"instances": ROWS})
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    refused = server.post("/models/pickled/invocations", {"instances": ROWS})
    assert (refused.status_code, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    picture = server.post("/invocations", content=b"x", headers={"Content-Type": "image/png"})
    assert (picture.status_code, picture.json()["error_code"]) == (415, "BAD_REQUEST")


def test_a_model_logged_to_answer_probabilities_does(project: Any, running: Any, flower_data: Any) -> None:
    import yaml
    from sklearn.linear_model import LogisticRegression

    X, y = flower_data
    estimator = LogisticRegression().fit(X, y)
    version = project.add("sure", estimator)
    mlmodel = project.registry.version("sure", version).model_dir / "MLmodel"
    document = yaml.safe_load(mlmodel.read_text())
    document["flavors"]["python_function"]["predict_fn"] = "predict_proba"
    mlmodel.write_text(yaml.safe_dump(document))
    with running(project) as server:
        answer = server.post("/invocations", {"instances": X[:3].tolist()}).json()
    assert answer["predictions"] == estimator.predict_proba(X[:3]).tolist()


def test_ping_and_version_answer_as_mlflows_server(server: Any) -> None:
    import importlib.metadata

    assert server.get("/ping").status_code == 200
    assert server.get("/version").text == importlib.metadata.version("mlflow")

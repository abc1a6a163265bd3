"""The Open Inference Protocol: metadata, health, and tensors in every form its clients send."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest

NAMES = ["a", "b", "c d", "é"]
ROWS = [[1.0, -0.5, 0.25, 2.0], [-1.5, 0.75, 0.0, 1.0]]


def by_column(**more: Any) -> dict[str, Any]:
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": "FP64", "data": [row[i] for row in ROWS]}
        for i, name in enumerate(NAMES)
    ]
    return {"inputs": inputs, **more}


def matrix(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP64", "data": ROWS, **changes}]}


def outputs(answer: Any) -> dict[str, Any]:
    return {output["name"]: output for output in answer.json()["outputs"]}


@pytest.fixture(scope="module")
def expected(server: Any) -> Any:
    """What the native protocol answers for ROWS."""
    return server.post("/models/two/predict", ROWS).json()["predictions"]


def test_the_server_says_what_it_is_and_that_it_is_well(server: Any) -> None:
    assert server.get("/v2").json()["name"] == "workbench"
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.get("/v2/models/two/ready").json() == {"name": "two", "ready": True}
    assert server.get("/v2/models/two/versions/1/ready").status_code == 200


def test_metadata_names_the_tensors(server: Any) -> None:
    described = server.get("/v2/models/mixed").json()
    assert described["versions"] == ["1"]
    assert described["inputs"] == [
        {"name": "age", "datatype": "FP64", "shape": [-1]},
        {"name": "orders", "datatype": "INT64", "shape": [-1]},
        {"name": "plan", "datatype": "BYTES", "shape": [-1]},
        {"name": "active", "datatype": "BOOL", "shape": [-1]},
    ]
    assert described["outputs"][:2] == [
        {"name": "predict", "datatype": "INT64", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ]
    assert server.get("/v2/models/three").json()["outputs"][0]["datatype"] == "BYTES"
    regression = server.get("/v2/models/unsigned").json()["outputs"]
    assert [output["name"] for output in regression] == ["predict", "prediction_id"]


@pytest.mark.parametrize(
    "request_body",
    [
        by_column(),
        by_column(inputs=by_column()["inputs"][::-1]),
        matrix(),
        matrix(data=[value for row in ROWS for value in row]),
    ],
    ids=["a tensor a column", "in another order", "nested matrix", "flat matrix"],
)
def test_tensors_get_the_native_protocols_values(server: Any, expected: Any, request_body: Any) -> None:
    found = outputs(server.post("/v2/models/two/infer", request_body))
    assert found["predict"]["data"] == [row["prediction"] for row in expected]
    assert found["predict_proba"]["shape"] == [2, 2]
    assert found["predict_proba"]["data"][1::2] == [row["probability"] for row in expected]


def test_the_id_comes_back_and_outputs_can_be_chosen(server: Any) -> None:
    asked = by_column(id="x-7", parameters={"content_type": "pd"}, outputs=[{"name": "predict"}])
    answer = server.post("/v2/models/two/versions/1/infer", asked)
    assert answer.json()["id"] == "x-7"
    assert (answer.json()["model_name"], answer.json()["model_version"]) == ("two", "1")
    assert list(outputs(answer)) == ["predict"]


def test_texts_booleans_and_missing_values(server: Any) -> None:
    def ask(plan: Any, **parameters: Any) -> Any:
        inputs = [
            {"name": "age", "shape": [2], "datatype": "FP64", "data": [30.5, None]},
            {"name": "orders", "shape": [2], "datatype": "INT32", "data": [2, 6]},
            {"name": "plan", "shape": [2], "datatype": "BYTES", "data": plan, "parameters": parameters},
            {"name": "active", "shape": [2], "datatype": "BOOL", "data": [True, False]},
        ]
        return server.post("/v2/models/mixed/infer", {"inputs": inputs})

    records = [
        {"age": 30.5, "orders": 2, "plan": "pro", "active": True},
        {"age": None, "orders": 6, "plan": "free", "active": False},
    ]
    native = server.post("/models/mixed/predict", records).json()["predictions"]
    wanted = [row["probability"] for row in native]
    assert outputs(ask(["pro", "free"]))["predict_proba"]["data"][1::2] == wanted
    encoded = [base64.b64encode(text).decode() for text in (b"pro", b"free")]
    assert outputs(ask(encoded, content_type="base64"))["predict_proba"]["data"][1::2] == wanted
    assert ask(["pro", "!"], content_type="base64").status_code == 400


def test_class_names_are_bytes(server: Any) -> None:
    found = outputs(server.post("/v2/models/three/infer", matrix()))
    assert found["predict"]["datatype"] == "BYTES"
    assert set(found["predict"]["data"]) <= {"red", "green", "blue"}
    assert found["predict_proba"]["shape"] == [2, 3]


def test_float32_means_the_number_a_client_with_float32_has(server: Any) -> None:
    tenths = {"shape": [1, 4], "data": [0.1, 0.1, 0.1, 0.1]}
    exact = float(np.float32(0.1))
    as_float32 = outputs(server.post("/v2/models/two/infer", matrix(**tenths, datatype="FP32")))
    native = server.post("/models/two/predict", [[exact] * 4]).json()["predictions"][0]
    assert as_float32["predict_proba"]["data"][1] == native["probability"]


def test_raw_tensors_after_the_json_are_read(server: Any, expected: Any) -> None:
    def post(inputs: list[Any], raw: bytes, name: str) -> Any:
        header = json.dumps({"inputs": inputs}).encode()
        length = {"Inference-Header-Content-Length": str(len(header))}
        return server.post(f"/v2/models/{name}/infer", content=header + raw, headers=length)

    raw = np.array(ROWS, dtype="<f8").tobytes()
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    found = outputs(post([tensor], raw, "two"))
    assert found["predict_proba"]["data"][1::2] == [row["probability"] for row in expected]
    text = struct.pack("<I", 3) + b"pro"
    mixed = [
        {"name": "orders", "shape": [1], "datatype": "INT64", "data": [2]},
        {"name": "plan", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(text)}},
        {"name": "active", "shape": [1], "datatype": "BOOL", "data": [True]},
    ]
    assert post(mixed, text, "mixed").status_code == 200
    assert post([tensor], raw[:-1], "two").status_code == 400
    assert post([tensor], raw + b"x", "two").status_code == 400
    assert post(mixed, struct.pack("<I", 99) + b"pro", "mixed").status_code == 400


def test_the_bytes_of_a_stock_client_are_understood_and_answered_in_kind(server: Any, expected: Any) -> None:
    """What tritonclient 2.73 sends for `infer("two", [InferInput("x", [2, 4], "FP64")])`, and reads back."""
    raw = np.array(ROWS, dtype="<f8").tobytes()
    header = (
        b'{"inputs":[{"name":"x","shape":[2,4],"datatype":"FP64","parameters":{"binary_data_size":64}}],'
        b'"parameters":{"binary_data_output":true}}'
    )
    answer = server.post(
        "/v2/models/two/infer",
        content=header + raw,
        headers={
            "Inference-Header-Content-Length": str(len(header)),
            "Content-Type": "application/octet-stream",
        },
    )
    length = int(answer.headers["inference-header-content-length"])
    described, rest = json.loads(answer.content[:length]), answer.content[length:]
    tensors = {}
    for output in described["outputs"]:
        size = output["parameters"]["binary_data_size"]
        tensors[output["name"]], rest = rest[:size], rest[size:]
    assert rest == b""
    assert np.frombuffer(tensors["predict"], "<i8").tolist() == [row["prediction"] for row in expected]
    probabilities = np.frombuffer(tensors["predict_proba"], "<f8").reshape(2, 2)
    assert probabilities[:, 1].tolist() == [row["probability"] for row in expected]
    (first,) = struct.unpack_from("<I", tensors["prediction_id"])
    assert first == len(expected[0]["prediction_id"])


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_client_may_compress(server: Any, expected: Any, encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    answer = server.post(
        "/v2/models/two/infer",
        content=pack(json.dumps(matrix()).encode()),
        headers={"Content-Encoding": encoding, "Content-Type": "application/json"},
    )
    assert outputs(answer)["predict"]["data"] == [row["prediction"] for row in expected]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "empty"),
        ({"inputs": [1]}, "no object"),
        (matrix(shape=[2, 3]), "means 6 values"),
        (matrix(shape=[8]), "[n, 4]"),
        (matrix(shape="2"), "a shape"),
        (matrix(datatype="FP128"), "FP128"),
        (matrix(datatype="INT64"), "is no INT64"),
        (matrix(data=[["x"] * 4] * 2), "is no FP64"),
        (matrix(data=[[1, 2, 3, 4], 5]), "unevenly"),
        (matrix(data=None), "a list of data"),
        (matrix(shape=[0, 4], data=[]), "no row"),
        ({"inputs": by_column()["inputs"][:3]}, "é: missing"),
        ({"inputs": [*by_column()["inputs"], by_column()["inputs"][0]]}, "same name"),
        ({"inputs": [*by_column()["inputs"][:3], {**matrix()["inputs"][0], "name": "é"}]}, "[n, 1]"),
        (by_column(id=7), "id"),
        (by_column(parameters=[]), "parameters"),
        (by_column(outputs=[{"name": "nothing"}]), "predict"),
    ],
)
def test_what_does_not_fit_is_a_400_with_an_error(server: Any, body: Any, said: str) -> None:
    answer = server.post("/v2/models/two/infer", body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_unknown_models_and_versions_are_404_with_an_error(server: Any) -> None:
    for path in ("/v2/models/nobody", "/v2/models/two/versions/9", "/v2/nothing"):
        answer = server.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]
    assert server.post("/v2/models/nobody/infer", matrix()).json()["error"]

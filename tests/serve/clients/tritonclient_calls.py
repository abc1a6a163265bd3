"""Run by `open_inference.py` in an environment of tritonclient's own: what its users call."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from checking import ROWS, URL, check, end, natively
from tritonclient.utils import InferenceServerException


def tensor(name: str, values: np.ndarray, datatype: str, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def main() -> None:
    client = triton.InferenceServerClient(URL.removeprefix("http://"))
    check("is_server_live, is_server_ready", client.is_server_live() and client.is_server_ready())
    check("is_model_ready", client.is_model_ready("two") and client.is_model_ready("two", "1"))
    check("is_model_ready of none", not client.is_model_ready("none"))
    server = client.get_server_metadata()
    check("get_server_metadata", server["name"] == "workbench" and bool(server["version"]), server)
    metadata = client.get_model_metadata("mixed")
    kinds = {one["name"]: one["datatype"] for one in metadata["inputs"]}
    wanted = {"age": "FP64", "orders": "INT64", "plan": "BYTES", "active": "BOOL"}
    check("get_model_metadata", kinds == wanted, kinds)

    expected = natively("two", ROWS.tolist())
    labels = [row["prediction"] for row in expected]
    scores = np.array([row["probability"] for row in expected])
    for binary in (True, False):
        for datatype in ("FP64", "FP32"):
            rows = ROWS.astype("float64" if datatype == "FP64" else "float32")
            result = client.infer("two", [tensor("x", rows, datatype, binary=binary)], request_id="r-1")
            how = f"a matrix of {datatype}, {'binary' if binary else 'JSON'}"
            check(f"{how}: labels", result.as_numpy("predict").tolist() == labels, result.get_response())
            probabilities = result.as_numpy("predict_proba")
            check(f"{how}: probabilities", np.array_equal(probabilities[:, 1], scores), probabilities)
            check(f"{how}: id", result.get_response()["id"] == "r-1")
            names = (result.get_response()["model_name"], result.get_response()["model_version"])
            check(f"{how}: model and version", names == ("two", "1"), names)

    columns = [tensor(name, ROWS[:, [i]], "FP64") for i, name in enumerate("abcd")]
    check("a tensor for each column", client.infer("two", columns).as_numpy("predict").tolist() == labels)
    flat = [tensor(name, ROWS[:, i].copy(), "FP64") for i, name in enumerate("abcd")]
    check("columns of one dimension", client.infer("two", flat).as_numpy("predict").tolist() == labels)
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("predict_proba", binary_data=binary)]
        result = client.infer("two", columns, outputs=outputs, model_version="1")
        only = result.as_numpy("predict") is None and result.as_numpy("predict_proba").shape == (3, 2)
        check(f"the output that is asked for, {'binary' if binary else 'JSON'}", only, result.get_response())
    for algorithm in ("gzip", "deflate"):
        result = client.infer(
            "two",
            columns,
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        check(f"a request in {algorithm}", result.as_numpy("predict").tolist() == labels)

    plans = np.array([["pro"], ["free"], ["new"]], dtype=object)
    mixed = [
        tensor("age", np.array([[30.0], [41.0], [55.0]]), "FP64"),
        tensor("orders", np.array([[2], [0], [6]], dtype=np.int64), "INT64"),
        tensor("plan", plans, "BYTES"),
        tensor("active", np.array([[True], [False], [True]]), "BOOL"),
    ]
    rows = [
        {"age": 30.0, "orders": 2, "plan": "pro", "active": True},
        {"age": 41.0, "orders": 0, "plan": "free", "active": False},
        {"age": 55.0, "orders": 6, "plan": "new", "active": True},
    ]
    wanted = [row["prediction"] for row in natively("mixed", rows)]
    check("numbers, BYTES and BOOL", client.infer("mixed", mixed).as_numpy("predict").tolist() == wanted)
    result = client.infer("three", [tensor("x", ROWS, "FP64")])
    colours = [row["prediction"] for row in natively("three", ROWS.tolist())]
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("predict", binary_data=binary)]
        found = client.infer("three", [tensor("x", ROWS, "FP64")], outputs=outputs).as_numpy("predict")
        texts = [one.decode() if isinstance(one, bytes) else str(one) for one in found]
        check(f"labels of text, {'binary' if binary else 'JSON'}", texts == colours, texts)
    result = client.infer("two", columns, parameters={"trace": "yes"}, headers={"X-Request-ID": "abc"})
    check("parameters and headers", result.as_numpy("predict").tolist() == labels)
    asked = [client.async_infer("two", columns) for _ in range(8)]
    check("async_infer", all(one.get_result().as_numpy("predict").tolist() == labels for one in asked))

    for words, call in {
        "a model that is not there": lambda: client.infer("none", columns),
        "a version that is not there": lambda: client.infer("two", columns, model_version="9"),
        "a column that is missing": lambda: client.infer("two", columns[:3]),
        "a matrix too narrow": lambda: client.infer("two", [tensor("x", ROWS[:, :3].copy(), "FP64")]),
    }.items():
        try:
            call()
        except InferenceServerException as error:
            print(f"✓ {words} raises: {error}")
        else:
            check(f"{words} raises", False, "nothing")
    client.close()
    asyncio.run(asynchronously(labels))


async def asynchronously(labels: list[int]) -> None:
    async with triton_aio.InferenceServerClient(URL.removeprefix("http://")) as client:
        inputs = [triton_aio.InferInput("x", [3, 4], "FP64")]
        inputs[0].set_data_from_numpy(ROWS)
        result = await client.infer("two", inputs)
        check("the client for asyncio", result.as_numpy("predict").tolist() == labels)


if __name__ == "__main__":
    print(f"tritonclient {version('tritonclient')}")
    main()
    end()

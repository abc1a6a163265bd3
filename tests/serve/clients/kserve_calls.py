"""Run by `open_inference.py` in an environment of KServe's own: what users of its client call."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from checking import ROWS, URL, check, end, natively
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


def matrix(*, binary: bool) -> InferInput:
    made = InferInput("x", list(ROWS.shape), "FP64")
    made.set_data_from_numpy(ROWS, binary_data=binary)
    return made


async def main() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    check("is_server_live", await client.is_server_live(URL))
    check("is_server_ready", await client.is_server_ready(URL))
    check("is_model_ready", await client.is_model_ready(URL, "two"))
    expected = natively("two", ROWS.tolist())
    for binary in (False, True):
        request = InferRequest("two", [matrix(binary=binary)], request_id="r-1")
        answer = await client.infer(URL, request, model_name="two")
        how = "binary" if binary else "JSON"
        outputs = {output.name: output.as_numpy() for output in answer.outputs}
        labels = [row["prediction"] for row in expected]
        check(f"a matrix, {how}: labels", outputs["predict"].tolist() == labels, outputs)
        scores = [row["probability"] for row in expected]
        check(f"a matrix, {how}: probabilities", outputs["predict_proba"][:, 1].tolist() == scores, outputs)
        named = (answer.id, answer.model_name)  # this client drops the version
        check(f"a matrix, {how}: id and model", named == ("r-1", "two"), named)
    inputs = [
        InferInput("age", [2, 1], "FP64", [30.0, 41.0]),
        InferInput("orders", [2, 1], "INT64", [2, 0]),
        InferInput("plan", [2, 1], "BYTES", ["pro", "free"]),
        InferInput("active", [2, 1], "BOOL", [True, False]),
    ]
    answer = await client.infer(URL, InferRequest("mixed", inputs), model_name="mixed")
    rows = [
        {"age": 30.0, "orders": 2, "plan": "pro", "active": True},
        {"age": 41.0, "orders": 0, "plan": "free", "active": False},
    ]
    wanted = [row["prediction"] for row in natively("mixed", rows)]
    check("a tensor for each column, text among them", answer.outputs[0].as_numpy().tolist() == wanted)
    answer = await client.infer(URL, InferRequest("three", [matrix(binary=False)]), model_name="three")
    colours = [row["prediction"] for row in natively("three", ROWS.tolist())]
    found = [one.decode() if isinstance(one, bytes) else one for one in answer.outputs[0].as_numpy().tolist()]
    check("labels of text", found == colours, found)
    try:
        await client.infer(URL, InferRequest("none", [matrix(binary=False)]), model_name="none")
    except Exception as error:
        print(f"✓ a model that is not there raises: {type(error).__name__}: {str(error)[:100]}")
    else:
        check("a model that is not there raises", False, "nothing")
    await client.close()


if __name__ == "__main__":
    print(f"kserve {version('kserve')}")
    asyncio.run(main())
    end()

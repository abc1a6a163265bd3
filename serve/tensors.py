"""Tensors of the Open Inference Protocol: read into rows of a model's features, in JSON or as raw bytes."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serve.bodies import parse_json
from serve.problems import Problem, shown

if TYPE_CHECKING:
    from serve.input_schema import InputSchema

_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_DTYPES = {
    "BOOL": np.dtype("?"),
    **{name: np.dtype(name.lower()) for name in _WHOLE},
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DATATYPES = (*_DTYPES, "BYTES")
_JSON_TYPES: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str, type(None)}),
    **{name: frozenset({int}) for name in _WHOLE},
    **{name: frozenset({int, float, type(None)}) for name in ("FP16", "FP32", "FP64")},
}


@dataclass(frozen=True)
class Tensor:
    """One input: `values` is flat, in row-major order; None is a missing value."""

    name: str
    shape: tuple[int, ...]
    values: list[Any]


def read_document(body: bytes, header_length: str | None) -> tuple[dict[str, Any], bytes]:
    """The JSON object of a request, and the raw tensors after it where a header says how long the JSON is."""
    raw = b""
    if header_length is not None:
        if not header_length.isdigit() or len(header_length) > 18 or int(header_length) > len(body):
            raise Problem(400, "Inference-Header-Content-Length is not the length of the JSON in the body")
        body, raw = body[: int(header_length)], body[int(header_length) :]
    document = parse_json(body)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise Problem(400, 'expected {"inputs": [{"name", "shape", "datatype", "data"}, …]}')
    return document, raw


def read_tensors(document: Mapping[str, Any], raw: bytes) -> list[Tensor]:
    """All inputs; raises Problem 400 naming the tensor that is wrong."""
    tensors = []
    for entry in document["inputs"]:
        tensor, raw = _read_tensor(entry, raw)
        tensors.append(tensor)
    if raw:
        raise Problem(400, f"{len(raw)} bytes follow the last tensor")
    if not tensors:
        raise Problem(400, "inputs is empty; expected a tensor for each feature, or one matrix")
    return tensors


def rows_of(tensors: Sequence[Tensor], schema: InputSchema) -> list[Any]:
    """Rows from one tensor for each feature, of shape [n] or [n, 1], or from one matrix of all features."""
    names = [field.name for field in schema.fields]
    if len(tensors) == 1 and (tensors[0].name not in names or len(names) == 1):
        return _matrix_rows(tensors[0], schema.width)
    lengths = set()
    for tensor in tensors:
        if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ((), (1,)):
            raise _wrong(tensor.name, f"expected shape [n] or [n, 1] for a feature, got {list(tensor.shape)}")
        lengths.add(tensor.shape[0])
    if len(lengths) != 1:
        found = ", ".join(map(str, sorted(lengths)))
        raise Problem(400, f"the inputs have different numbers of rows: {found}")
    given = [tensor.name for tensor in tensors]
    if len(set(given)) != len(given):
        raise Problem(400, "two inputs have the same name")
    if given == names:
        return [list(row) for row in zip(*(tensor.values for tensor in tensors), strict=True)]
    columns = [tensor.values for tensor in tensors]
    return [dict(zip(given, row, strict=True)) for row in zip(*columns, strict=True)]


def _matrix_rows(tensor: Tensor, width: int) -> list[Any]:
    shape = tensor.shape
    if shape[1:] != (width,) and not (width == 1 and len(shape) == 1):
        raise _wrong(tensor.name, f"expected shape [n, {width}] for all features, got {list(shape)}")
    return [tensor.values[start : start + width] for start in range(0, len(tensor.values), width)]


def _read_tensor(entry: Any, raw: bytes) -> tuple[Tensor, bytes]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise Problem(400, 'an input is no object with "name", "shape", "datatype" and "data"')
    name, shape, datatype = entry["name"], entry.get("shape"), entry.get("datatype")
    if (
        not isinstance(shape, list)
        or not shape
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise _wrong(name, f"expected a shape such as [1, 4], got {shown(shape)}")
    if datatype not in DATATYPES:
        raise _wrong(name, f"expected a datatype of {', '.join(DATATYPES)}; got {shown(datatype)}")
    parameters = entry.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise _wrong(name, f"expected parameters by name, got {shown(parameters)}")
    size = parameters.get("binary_data_size")
    if size is None:
        values = _json_values(name, datatype, entry.get("data"), is_base64=_is_base64(parameters))
    else:
        if type(size) is not int or not 0 <= size <= len(raw):
            raise _wrong(name, "binary_data_size is not the number of its bytes in the body")
        values, raw = _raw_values(name, datatype, raw[:size]), raw[size:]
    if len(values) != math.prod(shape):
        raise _wrong(name, f"shape {shape} means {math.prod(shape)} values, got {len(values)}")
    return Tensor(name, tuple(shape), values), raw


def _is_base64(parameters: Mapping[str, Any]) -> bool:
    return parameters.get("content_type") == "base64"


def _json_values(name: str, datatype: str, data: Any, *, is_base64: bool) -> list[Any]:
    if not isinstance(data, list):
        raise _wrong(name, f"expected a list of data, got {shown(data)}")
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise _wrong(name, "its data are nested unevenly")
        data = [value for part in data for value in part]
    allowed = _JSON_TYPES[datatype]
    for value in data:
        if type(value) not in allowed:
            raise _wrong(name, f"{shown(value)} is no {datatype}")
    if datatype in ("FP16", "FP32"):
        # 0.1 of a client's float32 is another number than 0.1 of a double.
        with np.errstate(over="ignore"):
            try:
                rounded = np.array([0 if v is None else v for v in data], dtype=_DTYPES[datatype]).tolist()
            except OverflowError:
                raise _wrong(name, f"a number is too large for {datatype}") from None
        return [None if value is None else number for value, number in zip(data, rounded, strict=True)]
    return [_decoded(name, value) for value in data] if is_base64 and datatype == "BYTES" else data


def _decoded(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _wrong(name, f"{shown(value)} is no base64 of UTF-8 text") from None


def _raw_values(name: str, datatype: str, raw: bytes) -> list[Any]:
    """Values as the binary extension lays them out: little-endian, texts with their length before them."""
    if datatype != "BYTES":
        dtype = _DTYPES[datatype].newbyteorder("<")
        if len(raw) % dtype.itemsize:
            raise _wrong(name, f"{len(raw)} bytes are no whole number of {datatype} values")
        values: list[Any] = np.frombuffer(raw, dtype).tolist()
        return [None if value != value else value for value in values]
    texts: list[Any] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise _wrong(name, "its bytes end within a text")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            raise _wrong(name, "its bytes end within a text")
        try:
            texts.append(raw[at : at + length].decode("utf-8"))
        except UnicodeDecodeError:
            raise _wrong(name, "a text is not UTF-8") from None
        at += length
    return texts


def raw_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    """A tensor's values as the binary extension lays them out."""
    if datatype != "BYTES":
        return np.asarray(values, _DTYPES[datatype].newbyteorder("<")).tobytes()
    texts = [text.encode("utf-8") for text in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _wrong(name: str, message: str) -> Problem:
    safe = name[:100].encode("utf-8", "replace").decode("utf-8")
    return Problem(400, f"input {safe}: {message}", errors=[{"field": safe, "message": message}])

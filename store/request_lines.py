"""Lines of requests of one row, written without a detour where all is as usual.

The log's own encoder takes any model's rows; half of its time goes into finding out what they are. Here one
look at the arrays says whether they are what a quick model's nearly always are, and the line is made at once,
with the same content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from zlib_ng.zlib_ng import crc32

from store.records import BLOCK, IS_LITTLE, MAX_ROWS, OWN_ID


class RequestLines:
    """Makes the lines of a model version whose features are all numbers, none of them redacted."""

    def __init__(self, origin: bytes, n_features: int) -> None:
        import numpy as np

        self._origin = origin
        self._n_features = n_features
        self._array = np.ndarray
        self._double = np.dtype(np.float64) if IS_LITTLE else None
        self._ends: dict[tuple[bool, bool, int], bytes] = {}

    def line(
        self,
        prediction_ids: Sequence[str],
        predicted_us: int,
        predictions: Any,
        probability: Any,
        probabilities: Any,
        numeric: Any,
        latencies_ms: list[float],
        request_ids: list[str] | None,
    ) -> bytes | None:
        """The framed line of the requests, whose ids are their predictions' where none are given.

        None where anything about them is out of the ordinary.
        """
        n_rows, width, n_classes = len(prediction_ids), self._n_features, 0
        double = self._double
        try:
            if (
                type(numeric) is not self._array
                or numeric.dtype is not double
                or numeric.shape != (n_rows, width)
                or n_rows > MAX_ROWS
            ):
                return None
            record = {"t": predicted_us, "l": latencies_ms, "i": prediction_ids, "q": request_ids or OWN_ID}
            block: list[Any] = [numeric if numeric.flags.c_contiguous else numeric.copy()]
            has_list = type(predictions) is list
            if has_list:
                if len(predictions) != n_rows:
                    return None
                record["y"] = predictions
            else:
                if predictions.dtype is not double or predictions.shape != (n_rows,):
                    return None
                block.append(predictions.tobytes())
                width += 1
            if probability is not None:
                if probability.dtype is not double or probability.shape != (n_rows,):
                    return None
                block.append(probability.tobytes())
                width += 1
            if probabilities is not None:
                n_classes = probabilities.shape[1]
                if probabilities.dtype is not double or len(probabilities) != n_rows or not n_classes:
                    return None
                block.append(probabilities.tobytes())
                width += n_classes
            text = orjson.dumps(record)
        except (AttributeError, IndexError, TypeError):  # lists, or values that JSON has not
            return None
        if b"null" in text:
            return None
        kind = has_list, probability is not None, n_classes
        head = b"".join((self._origin, text[1:-1], self._ends.get(kind) or self._end(kind)))
        checksum = crc32(head)
        for part in block:
            checksum = crc32(part, checksum)
        return b"".join((b"%08x+%x " % (checksum, 8 * width * n_rows), head, *block, b"\n"))

    def _end(self, kind: tuple[bool, bool, int]) -> bytes:
        """The end of a head, which names what is in the block."""
        has_list, has_probability, n_classes = kind
        columns: list[tuple[str, int]] = [("x", self._n_features)]
        if not has_list:
            columns.append(("y", 0))
        if has_probability:
            columns.append(("p", 0))
        if n_classes:
            columns.append(("ps", n_classes))
        end = self._ends[kind] = b",%b:%b}\n" % (orjson.dumps(BLOCK), orjson.dumps(columns))
        return end

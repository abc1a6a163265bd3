"""Batch scoring: a file in, the same rows with predictions out, a bounded number of rows at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from pipelines.columns import to_dates, to_numbers
from pipelines.data import file_format, read_chunks
from store.errors import DataError, ModelLoadError, StorageError
from store.log import FeatureSchema, PredictionLog, new_prediction_ids

if TYPE_CHECKING:
    import pandas as pd

    from store.loaded_model import LoadedModel, Predictions
    from store.model_files import ColumnSpec

CHUNK_ROWS = 20_000
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}


@dataclass(frozen=True)
class Scored:
    """How many rows were scored, and how many of them could not be logged."""

    rows: int
    not_logged: int


def score(
    model: LoadedModel,
    input: Path,  # noqa: A002
    output: Path | None = None,
    *,
    log: PredictionLog | None = None,
    on_progress: Callable[[int], None] | None = None,
    name: str | None = None,
    version: int = 0,
) -> Scored:
    """Predict every row of `input`; its rows with `prediction`, `probability` (or one a class) and, when
    logged, `prediction_id` go to `output` in the format of its ending, or as CSV to standard output.

    `name` and `version` are those the predictions are logged under. A failure leaves no output behind.
    Raises DataError for columns that are missing or mistyped, StorageError when the output can't be written.
    """
    done = lost = 0
    temporary = None if output is None else output.with_name(f".{output.name}.part")
    try:
        with ExitStack() as stack:
            sink = _open_sink(temporary, output, stack)
            for frame in read_chunks(input, CHUNK_ROWS):
                X = features_of(model, frame, input)
                started = time.perf_counter()
                answer = _predict(model, X, input)
                latency_ms = (time.perf_counter() - started) * 1000
                ids = new_prediction_ids(len(frame)) if log is not None else None
                if log is not None and ids is not None:
                    known_as = name or str(model.file.metadata.get("pipeline", "model"))
                    if not _log(log, model, X, answer, ids, known_as, version, latency_ms):
                        lost += len(ids)
                sink(_with_answers(frame, model, answer, ids))
                done += len(frame)
                if on_progress is not None:
                    on_progress(done)
        if temporary is not None and output is not None:
            temporary.replace(output)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(
            f"cannot write {output or 'the output'}: {error.strerror or error}",
            "Free the disk or choose another.",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return Scored(done, lost)


def features_of(model: LoadedModel, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The model's columns in its order and types; other columns are ignored.

    Raises DataError for a missing or mistyped column, and for gaps where training had none.
    """
    import pandas as pd

    rules = model.file.metadata.get("columns")

    def is_truth(name: str) -> bool:
        rule = rules.get(name) if isinstance(rules, Mapping) else None
        return isinstance(rule, Mapping) and rule.get("kind") == "boolean"

    columns = {}
    for column in model.columns:
        if column.name not in frame.columns:
            if column.required:
                raise DataError(
                    f"{path} lacks column {column.name!r}, which the model needs", "Add the column."
                )
            columns[column.name] = pd.Series(np.nan, index=frame.index, dtype=_dtype(column))
            continue
        series = frame[column.name]
        if column.required and series.isna().any():
            row = int(np.flatnonzero(series.isna().to_numpy())[0]) + 1
            raise DataError(
                f"column {column.name!r} of {path} is missing in row {row}; "
                "the model was trained without gaps in it",
                "Fill it in, or train on data that has gaps.",
            )
        if column.is_numeric and is_truth(column.name):
            series = _truth_as_numbers(series)
        columns[column.name] = _converted(column, series, path)
    return pd.DataFrame(columns, index=frame.index)


def _dtype(column: ColumnSpec) -> str:
    return "float64" if column.is_numeric or column.type == "boolean" else "object"


def _converted(column: ColumnSpec, series: pd.Series[Any], path: Path) -> pd.Series[Any]:
    import pandas as pd

    converted: pd.Series[Any] | None = series
    if column.is_numeric:
        if not pd.api.types.is_numeric_dtype(series.dtype):
            converted = to_numbers(series) if series.notna().any() else series.astype("float64")
        if converted is not None:
            converted = converted.astype("float64")
    elif column.type == "boolean" and not pd.api.types.is_bool_dtype(series.dtype):
        truth = series.astype(str).str.strip().str.lower().map(_TRUTH)
        converted = None if truth.isna().any() else truth.astype(bool)
    elif column.type == "datetime" and not pd.api.types.is_datetime64_any_dtype(series.dtype):
        converted = to_dates(series) if series.notna().any() else pd.to_datetime(series)
    elif column.type == "string" and not pd.api.types.is_string_dtype(series.dtype):
        converted = series.where(series.isna(), _as_text(series)).astype(object)
    if converted is None:
        example = series.dropna().iloc[0]
        raise DataError(
            f"column {column.name!r} of {path} should be {column.type}, and holds {example!r}",
            "Mend the column.",
        )
    return converted


def _truth_as_numbers(series: pd.Series[Any]) -> pd.Series[Any]:
    """True and false as 1 and 0, missing as NaN, as a column with gaps was trained on; else as it was."""
    truth = series.astype(str).str.strip().str.lower().map(_TRUTH)
    return truth.astype("float64") if bool((truth.notna() | series.isna()).all()) else series


def _as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers that are whole without the `.0` that a gap in the column gives them."""
    import pandas as pd

    if pd.api.types.is_float_dtype(series.dtype) and bool((series.dropna() % 1 == 0).all()):
        return series.astype("Int64").astype(str)
    return series.astype(str)


def _predict(model: LoadedModel, X: pd.DataFrame, path: Path) -> Predictions:
    try:
        return model.predict(X)
    except Exception as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(
            f"the model failed on rows of {path}: {type(error).__name__}: {text}", "Compare its columns."
        ) from error


def _with_answers(
    frame: pd.DataFrame, model: LoadedModel, answer: Predictions, ids: list[str] | None
) -> pd.DataFrame:
    result = frame.copy(deep=False)
    result["prediction"] = answer.prediction
    if answer.probability is not None:
        result["probability"] = answer.probability
    elif answer.probabilities is not None and model.classes is not None:
        for position, label in enumerate(model.classes):
            result[f"probability_{label}"] = answer.probabilities[:, position]
    if ids is not None:
        result["prediction_id"] = ids
    return result


def _log(
    log: PredictionLog,
    model: LoadedModel,
    X: pd.DataFrame,
    answer: Predictions,
    ids: list[str],
    name: str,
    version: int,
    latency_ms: float,
) -> bool:
    texts = [column.name for column in model.columns if column.type in ("string", "binary", "any")]
    schema = FeatureSchema(
        names=model.names,
        kinds=tuple("categorical" if column in texts else "numeric" for column in model.names),
    )
    return log.append(
        model=name,
        version=version,
        schema=schema,
        prediction_ids=ids,
        predicted_at=datetime.now(UTC),
        predictions=answer.prediction,
        probability=None if answer.probability is None else answer.probability.tolist(),
        probabilities=None
        if answer.probabilities is None or answer.probability is not None
        else answer.probabilities.tolist(),
        classes=model.classes,
        numeric=_numbers(X.drop(columns=texts)),
        categorical=[
            [None if value != value else str(value) for value in row] for row in X[texts].to_numpy().tolist()
        ],
        latency_ms=latency_ms,
        role="batch",
    )


def _numbers(frame: pd.DataFrame) -> list[list[float | None]]:
    """Numbers by row; dates as seconds since 1970, missing as None."""
    import pandas as pd

    columns = []
    for name in frame.columns:
        series = frame[name]
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            series = (series - pd.Timestamp(1970, 1, 1)).dt.total_seconds()
        columns.append(series.to_numpy(dtype="float64", na_value=np.nan))
    rows = np.column_stack(columns).tolist() if columns else []
    return [[None if value != value else value for value in row] for row in rows]


def _open_sink(
    temporary: Path | None, output: Path | None, stack: ExitStack
) -> Callable[[pd.DataFrame], None]:
    """A function that writes frames one after another in the output's format."""
    kind = "csv" if output is None else file_format(output)
    if kind in ("parquet", "pq"):
        assert temporary is not None
        return _parquet_sink(temporary, stack)
    stream: Any
    if temporary is None or output is None:
        stream = sys.stdout.buffer
    elif output.name.lower().endswith(".gz"):
        import gzip

        stream = stack.enter_context(gzip.GzipFile(temporary, "wb"))
    else:
        stream = stack.enter_context(temporary.open("wb"))
    if kind in ("jsonl", "ndjson", "json"):
        return lambda frame: _write_json(frame, stream)
    separator = "\t" if kind == "tsv" else ","
    heads: Iterator[bool] = iter([True])
    return lambda frame: frame.to_csv(stream, sep=separator, index=False, header=next(heads, False))


def _write_json(frame: pd.DataFrame, stream: BinaryIO) -> None:
    text = frame.to_json(orient="records", lines=True, date_format="iso", force_ascii=False)
    stream.write(text.encode() if text.endswith("\n") else f"{text}\n".encode())


def _parquet_sink(path: Path, stack: ExitStack) -> Callable[[pd.DataFrame], None]:
    import pyarrow as pa
    from pyarrow import parquet

    writers: list[Any] = []

    def write(frame: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if not writers:
            writers.append(stack.enter_context(parquet.ParquetWriter(path, table.schema)))
        try:
            writers[0].write_table(table.cast(writers[0].schema))
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise DataError(
                f"a column changes its type midway: {error}", "Write CSV or JSON lines, or mend the column."
            ) from error

    return write


__all__ = ["CHUNK_ROWS", "Scored", "features_of", "score"]

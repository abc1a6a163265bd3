"""Writes a training to MLflow. Its import takes a while, so it happens in a thread while data loads."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import StorageError, TrainingError, WorkbenchError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.learning_curve import Curve

_BATCH = 100
"""Parameters and tags that one call of MLflow's API takes."""
_MAX_PARAM = 6000


@dataclass(frozen=True)
class LoggedModel:
    model_id: str
    uri: str
    size_mb: float


class RunRecorder:
    """One MLflow run, from its start to its final status."""

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri = uri
        self._experiment = experiment
        self._error: BaseException | None = None
        self._client: Any = None
        self._mlflow: Any = None
        self._wanted: tuple[str | None, Mapping[str, str], Callable[[str, str], None]] | None = None
        self._is_wanted = threading.Event()
        self._thread = threading.Thread(target=self._open, name="mlflow", daemon=True)
        self.run_id: str | None = None
        self.run_name = ""

    def warm_up(self) -> None:
        """Begin to import MLflow in the background."""
        self._thread.start()

    def begin(self, name: str | None, tags: Mapping[str, str], on_run: Callable[[str, str], None]) -> None:
        """Start the run as soon as MLflow is there; `on_run` hears its id and name, in the thread."""
        self._wanted = (name, tags, on_run)
        self._is_wanted.set()

    def ready(self) -> None:
        """Wait until the run has started; raises what prevented it."""
        self._thread.join()
        if self._error is not None:
            raise storage_error(self._error, self._uri) from self._error

    def log(
        self,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        curves: Mapping[str, Curve],
    ) -> None:
        """Log everything in as few calls as the API allows; `curves` are metrics over steps."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        all_params = [Param(key, _shown(value)[:_MAX_PARAM]) for key, value in params.items()]
        all_metrics = [Metric(key, float(value), now, 0) for key, value in metrics.items()]
        all_metrics += [
            Metric(key, value, now, step) for key, curve in curves.items() for step, value in curve
        ]
        all_tags = [RunTag(key, value) for key, value in tags.items() if value]
        self._guard(self._client.log_batch, self.run_id, all_metrics[:1000], all_params[:_BATCH], all_tags)
        for start in range(_BATCH, len(all_params), _BATCH):
            self._guard(self._client.log_batch, self.run_id, (), all_params[start : start + _BATCH], ())

    def log_dataset(self, name: str, manifest: Mapping[str, Any], context: str = "training") -> None:
        """Name the data the run saw, by the hash of its content."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=str(manifest["digest"])[:36],
            source_type="local",
            source=json.dumps({"files": [file["path"] for file in manifest["files"]]}),
            schema=json.dumps({"columns": manifest["schema"]})[:65_000],
            profile=json.dumps({"num_rows": manifest["rows"]}),
        )
        tag = InputTag("mlflow.data.context", context)
        self._guard(self._client.log_inputs, self.run_id, [DatasetInput(dataset, [tag])])

    def log_files(self, contents: Mapping[str, Any]) -> None:
        """Log artifacts by path: bytes and text as they are, any other value as JSON."""
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
            for path, content in contents.items():
                target = Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    target.write_bytes(content)
                    continue
                text = content if isinstance(content, str) else json.dumps(content, indent=1, default=str)
                target.write_text(text, "utf-8")
            self._guard(self._client.log_artifacts, self.run_id, folder)

    def log_model(
        self,
        estimator: Any,
        signature: Any,
        example: pd.DataFrame,
        *,
        metadata: Mapping[str, Any],
        trusted_types: Sequence[str],
        requirements: Sequence[str],
        code_paths: Sequence[Path],
    ) -> LoggedModel:
        """Save the fitted pipeline as skops within the run; TrainingError when it can't be saved so."""
        mlflow = self._mlflow
        mlflow.start_run(run_id=self.run_id)
        try:
            info = self._guard(
                mlflow.sklearn.log_model,
                estimator,
                name="model",
                signature=signature,
                input_example=example,
                metadata=dict(metadata),
                serialization_format="skops",
                skops_trusted_types=list(trusted_types),
                pip_requirements=list(requirements),
                code_paths=[str(path) for path in code_paths] or None,
            )
        finally:
            # The run goes on: only the thread's notion of an active run ends here.
            mlflow.end_run("RUNNING")
        # What log_model returns lacks the size; the file that it wrote has it.
        written = self._guard(mlflow.models.Model.load, info.model_uri)
        return LoggedModel(str(info.model_id), str(info.model_uri), (written.model_size_bytes or 0) / 1e6)

    def log_child(
        self,
        name: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        *,
        status: str = "FINISHED",
        error: str | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
    ) -> None:
        """A finished run below this one, as MLflow nests them."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        started, ended = (now if at is None else int(at.timestamp() * 1000) for at in (started_at, ended_at))
        tags = {**_origin(), "mlflow.parentRunId": str(self.run_id)}
        if error:
            tags["workbench.error"] = error[:5000]
        experiment_id = _experiment_id(self._client, self._experiment)
        run = self._guard(
            self._client.create_run, experiment_id, start_time=started, run_name=name, tags=tags
        )
        logged = [Param(key, _shown(value)[:_MAX_PARAM]) for key, value in params.items()]
        measured = [Metric(key, float(value), ended, 0) for key, value in metrics.items()]
        self._guard(self._client.log_batch, run.info.run_id, measured, logged[:_BATCH], ())
        self._guard(self._client.set_terminated, run.info.run_id, status, ended)

    def finish(self, status: str, tags: Mapping[str, str] | None = None) -> None:
        """Give the run its final status; nothing where it never started."""
        if not self._thread.is_alive() and self._client is not None and self.run_id is not None:
            # The status first: on a full disk there may be room for one of them.
            self._guard(self._client.set_terminated, self.run_id, status)
            for key, value in (tags or {}).items():
                self._guard(self._client.set_tag, self.run_id, key, value[:5000])

    def abandon(self, status: str, tags: Mapping[str, str]) -> None:
        """Finish a run that failed; when none has been asked for, there is nothing to wait for."""
        if not self._is_wanted.is_set():
            return
        self._thread.join()
        self.finish(status, tags)

    def _open(self) -> None:
        try:
            import mlflow
            import mlflow.sklearn
            import skops.io  # noqa: F401 - saving a model needs it, and it is slow to import

            mlflow.set_tracking_uri(self._uri)
            self._mlflow = mlflow
            self._client = mlflow.MlflowClient(self._uri)
            self._is_wanted.wait()
            assert self._wanted is not None
            name, tags, on_run = self._wanted
            experiment_id = _experiment_id(self._client, self._experiment)
            run = self._client.create_run(experiment_id, run_name=name, tags={**_origin(), **tags})
            self.run_id, self.run_name = run.info.run_id, run.info.run_name or ""
            on_run(self.run_id, self.run_name)
        except BaseException as error:
            self._error = error

    def _guard(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except WorkbenchError:
            raise
        except Exception as error:
            raise storage_error(error, self._uri) from error


def storage_error(error: BaseException, uri: str) -> WorkbenchError:
    """MLflow's failure in one line: what the disk refused, else what MLflow said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, WorkbenchError):
            return cause
        if isinstance(cause, ConnectionError | TimeoutError) and uri.startswith(("http://", "https://")):
            return StorageError(
                f"cannot reach MLflow at {uri}: {cause.strerror or type(cause).__name__}",
                "Is its server running? Check [tracking] uri.",
            )
        if isinstance(cause, OSError) and cause.errno is not None:
            where = cause.filename or uri
            return StorageError(
                f"cannot write {where}: {cause.strerror}",
                "Free the disk or mend the permissions, then train again.",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, SystemExit | KeyboardInterrupt):
        raise error
    message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if type(error).__module__.startswith("mlflow") and "skops" in message:
        return TrainingError(f"the model cannot be saved: {message}", "Take types that skops can write.")
    return StorageError(f"MLflow at {uri} failed: {message}", "Check [tracking] uri and workbench doctor.")


def _experiment_id(client: Any, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except Exception:  # another process may have made it a moment ago
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _origin() -> dict[str, str]:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {
        "mlflow.user": user,
        "mlflow.source.name": "workbench train",
        "mlflow.source.type": "LOCAL",
        "workbench.python": sys.version.split()[0],
    }


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value) if not callable(value) else str(value)

"""Fits of a search on the workers of a Dask cluster that runs already.

The workers need scikit-learn, numpy and pandas; the code of the user's module and ours travels by value.
What could hang is asked first: whether a scheduler answers, has workers, runs the same versions, and can
load the pipeline.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines.fold_task import fit_fold, versions_here
from pipelines.search import FoldTask
from store.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_CONNECT_S = 10
_PREFLIGHT_S = 60
_LOOK_S = 2.0
_ALONE_S = 30.0
"""How long a cluster may be without workers before it counts as gone."""
_SAME = ("python", "scikit-learn", "numpy", "pandas")


class DaskWorkers:
    """A connection to a cluster that holds the training rows; a context manager.

    Entering raises TrainingError where the cluster can't be used, saying why and what to do.
    """

    def __init__(
        self,
        address: str,
        pipeline: Any,
        X: pd.DataFrame,
        labels: NDArray[Any],
        names: Mapping[str, str],
        *,
        modules: Sequence[ModuleType] = (),
        timeout_s: float = 3600.0,
    ) -> None:
        self._address, self._pipeline, self._names = address, pipeline, names
        self._X, self._labels = X, labels
        self._modules, self._timeout_s = modules, timeout_s
        self._stack = contextlib.ExitStack()
        self._client: Any = None
        self._rows: Any = None

    def __enter__(self) -> DaskWorkers:
        try:
            from distributed import Client
        except ImportError as error:
            raise TrainingError(
                "backend dask needs Dask", "Install it: pip install 'workbench[dask]'"
            ) from error
        try:
            self._client = self._stack.enter_context(
                Client(self._address, timeout=_CONNECT_S, set_as_default=False)
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise TrainingError(
                f"no Dask scheduler answers at {self._address}", "Start one, or mend [search] address."
            ) from error
        try:
            self._register_modules()
            self._preflight()
            self._rows = self._client.scatter([self._X, self._labels], broadcast=True)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answers(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, dict[str, Any]]]:
        """As `search.Workers`. A worker that dies has its fits done again by another, up to three times."""
        from distributed.scheduler import KilledWorker

        assert self._client is not None
        X, labels = self._rows
        fit, pipeline = _Shipped(fit_fold), _Shipped(self._pipeline)
        pending: dict[str, tuple[FoldTask, Any]] = {}
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            for task in tasks:
                params = {self._names[name]: value for name, value in task.candidate.params.items()}
                arguments = (pipeline, params, X, labels, task.train, task.test, dict(task.fit_options))
                future = self._client.submit(fit, *arguments, pure=False)
                pending[future.key] = task, future
                future.add_done_callback(ended.put)
            while pending:
                future = self._next(ended)
                task, _ = pending.pop(future.key)
                try:
                    yield task, future.result()
                except KilledWorker as error:
                    raise TrainingError(
                        "workers of the Dask cluster die over a fit (out of memory?)",
                        "Give them more memory, or make the fits smaller.",
                    ) from error
        finally:
            if pending:
                with contextlib.suppress(Exception):
                    self._client.cancel([future for _, future in pending.values()], force=True)

    def _next(self, ended: queue.SimpleQueue[Any]) -> Any:
        """The next fit that ended; TrainingError when none does in time, or the cluster is gone."""
        started = last_worker_seen = time.monotonic()
        while True:
            try:
                return ended.get(timeout=min(_LOOK_S, self._timeout_s))
            except queue.Empty:
                now = time.monotonic()
            if self._client.status == "running" and self._client.scheduler_info()["workers"]:
                last_worker_seen = now
            if now - last_worker_seen > _ALONE_S:
                raise TrainingError(
                    f"the Dask cluster at {self._address} has no workers any more",
                    "Start some, and train again.",
                )
            if now - started > self._timeout_s:
                raise TrainingError(
                    f"no fit of the search ended within {self._timeout_s:g} s",
                    "Look at the workers' logs, or set [search] timeout higher.",
                )

    def _register_modules(self) -> None:
        """Have the code of what the workers can't import travel along with what needs it."""
        import cloudpickle

        from pipelines import fold_task, transforms

        for module in (fold_task, transforms, *self._modules):
            cloudpickle.register_pickle_by_value(module)
            self._stack.callback(cloudpickle.unregister_pickle_by_value, module)

    def _preflight(self) -> None:
        """Ask for workers and their versions, and let one fit on a few rows what the others will."""
        workers = self._client.scheduler_info()["workers"]
        if not workers:
            raise TrainingError(
                f"the Dask scheduler at {self._address} has no workers", "Start some: dask worker ADDRESS"
            )
        try:
            theirs = self._client.run(_Shipped(versions_here))
        except Exception as error:
            raise TrainingError(f"the Dask workers can't be asked: {error}", "Look at their logs.") from error
        ours = versions_here()
        for worker, versions in sorted(theirs.items()):
            for name in _SAME:
                if versions.get(name) != ours[name]:
                    raise TrainingError(
                        f"Dask worker {worker} has {name} {versions.get(name) or 'not installed'},"
                        f" here it is {ours[name]}",
                        "Install the same versions: the results would differ.",
                    )
        try:
            future = self._client.submit(repr, _Shipped(self._pipeline), pure=False)
            future.result(timeout=_PREFLIGHT_S)
        except Exception as error:
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TrainingError(
                f"the Dask workers can't load the pipeline: {text}",
                "Install what it is made of on the workers.",
            ) from error


class _Shipped:
    """Arrives on a worker as the object itself, with its code by value.

    Dask tries plain pickle first, which names the modules of what it packs; cloudpickle alone heeds those
    that were registered to travel by value.
    """

    def __init__(self, thing: Any) -> None:
        import cloudpickle

        self._packed: bytes = cloudpickle.dumps(thing)

    def __call__(self) -> None:
        """Dask takes nothing for a task that can't be called."""

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return pickle.loads, (self._packed,)

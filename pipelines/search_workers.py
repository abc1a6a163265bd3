"""Where the fits of a search run: in this process, in processes beside it, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.fold_task import fit_fold
from pipelines.search import FoldTask
from store.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class LocalWorkers:
    """`n_jobs` processes of this machine; one means this process itself."""

    def __init__(
        self,
        pipeline: Any,
        X: pd.DataFrame,
        labels: NDArray[Any],
        names: Mapping[str, str],
        *,
        n_jobs: int = 1,
        timeout_s: float = 3600.0,
    ) -> None:
        self._pipeline, self._X, self._labels, self._names = pipeline, X, labels, names
        self._n_jobs, self._timeout_s = n_jobs, timeout_s

    def answers(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, dict[str, Any]]]:
        """As `search.Workers`; in order with one process. TrainingError when a process dies."""
        if self._n_jobs == 1:
            for task in tasks:
                yield task, fit_fold(self._pipeline, *self._arguments(task))
            return
        import joblib
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        # Each fit by itself would be threads upon processes.
        jobs = (
            joblib.delayed(_numbered)(i, self._pipeline, *self._arguments(t)) for i, t in enumerate(tasks)
        )
        parallel = joblib.Parallel(
            n_jobs=self._n_jobs, return_as="generator_unordered", timeout=self._timeout_s
        )
        try:
            for position, answers in parallel(jobs):
                yield tasks[position], answers
        except TerminatedWorkerError as error:
            raise TrainingError(
                "a process of the search was killed (out of memory?)", "Set [search] n_jobs lower."
            ) from error
        except TimeoutError as error:
            raise TrainingError(
                f"no fit of the search ended within {self._timeout_s:g} s", "Set [search] timeout higher."
            ) from error

    def _arguments(self, task: FoldTask) -> tuple[Any, ...]:
        params = {self._names[name]: value for name, value in task.candidate.params.items()}
        return params, self._X, self._labels, task.train, task.test, dict(task.fit_options)


def _numbered(position: int, *arguments: Any) -> tuple[int, dict[str, Any]]:
    return position, fit_fold(*arguments)

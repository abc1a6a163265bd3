"""The `[pipelines.NAME.search]` section of workbench.toml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from store.settings_base import Settings


class Distribution(Settings):
    """Where a parameter's values are drawn from."""

    low: float
    """Smallest value."""

    high: float
    """Largest value."""

    log: bool = False
    """Draw by order of magnitude."""

    type: Literal["float", "int"] = "float"
    """Whole numbers or not."""

    @model_validator(mode="after")
    def _ordered(self) -> Distribution:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 where log is true")
        return self


class SearchSettings(Settings):
    """A search for the best parameters by cross-validation on the training rows."""

    method: Literal["grid", "random", "halving"] = "grid"
    """`grid`: every combination; `random`: n_iter of them; `halving`: many on few rows, the best on more."""

    params: dict[str, tuple[Any, ...] | Distribution] = Field(min_length=1)
    """Parameter to the values to try, or to `{low, high, log, type}`."""

    n_iter: int = Field(20, ge=1)
    """Candidates drawn for `random`, and for `halving` where a distribution is given."""

    cv: int = Field(5, ge=2)
    """Folds each candidate is judged on."""

    scoring: str | None = None
    """Metric that decides; that of the gate unless named."""

    factor: int = Field(3, ge=2)
    """Each round of `halving` keeps one in so many, on so many times the rows."""

    n_jobs: int = 1
    """Processes that fit at once on this machine; -1 is one for each core."""

    backend: Literal["local", "dask"] = "local"
    """`dask` fits on the workers of a Dask cluster that runs already."""

    address: str | None = None
    """The Dask scheduler, as in tcp://10.0.0.5:8786."""

    timeout: float = Field(3600.0, gt=0)
    """Seconds without any fit ending after which the search gives up."""

    @field_validator("params")
    @classmethod
    def _not_empty(cls, params: dict[str, tuple[Any, ...] | Distribution]) -> dict[str, Any]:
        for name, values in params.items():
            if isinstance(values, tuple) and not values:
                raise ValueError(f"{name} has no values to try")
        return params

    @field_validator("n_jobs")
    @classmethod
    def _some(cls, n_jobs: int) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs is a number of processes, or -1")
        return n_jobs

    @model_validator(mode="after")
    def _consistent(self) -> SearchSettings:
        if self.method == "grid":
            for name, values in self.params.items():
                if isinstance(values, Distribution):
                    raise ValueError(f"a grid needs a list of values for {name}, or take method random")
        if self.backend == "dask" and self.address is None:
            raise ValueError("backend dask needs address")
        return self

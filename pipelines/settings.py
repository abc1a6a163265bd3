"""The `[pipelines.NAME]` sections of workbench.toml."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from pipelines.estimators import check_name
from pipelines.monitor_settings import MonitorSettings
from pipelines.schedules import check_cron, check_timezone
from pipelines.score_settings import ScoreSettings
from pipelines.search_settings import SearchSettings
from store.errors import SettingsError
from store.settings_base import Settings

PipelineName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+$")]
Task = Literal["binary", "multiclass", "regression"]


class SplitSettings(Settings):
    """How rows are held out for the evaluation."""

    test_size: float = Field(0.2, gt=0, lt=1)
    """Share of rows held out."""

    seed: int = Field(42, ge=0)
    """Seed of the split, the folds and the estimator."""

    strategy: Literal["random", "time", "group"] = "random"
    """`random` (stratified for classes), `time` (the last rows by time_column) or `group` (whole groups)."""

    group_column: str | None = None
    """Column whose values stay together when strategy is `group`."""

    cv_folds: int = Field(5, ge=0)
    """Folds of cross-validation on the training rows; 0 or 1 leaves it out."""


class ColumnRule(Settings):
    """What values of one column are allowed; checked before training and by the server."""

    min: float | None = None
    """Smallest value allowed."""

    max: float | None = None
    """Largest value allowed."""

    values: tuple[str | int | float | bool, ...] | None = None
    """The only values allowed."""

    null: bool | None = None
    """Whether a value may be missing; decided by the training data unless given."""

    description: str | None = None
    """Shown in the server's documentation."""

    @property
    def means_numbers(self) -> bool:
        """Whether only a column of numbers can follow the rule: its leading zeros are no part of a code."""
        if self.min is not None or self.max is not None:
            return True
        return self.values is not None and all(type(value) in (int, float) for value in self.values)

    @model_validator(mode="after")
    def _ordered(self) -> ColumnRule:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class CostsSettings(Settings):
    """What mistakes cost; the threshold that costs least is chosen by cross-validation."""

    false_positive: float = Field(1.0, ge=0)
    """Cost of predicting the positive class wrongly."""

    false_negative: float = Field(1.0, ge=0)
    """Cost of missing the positive class."""


class EvaluateSettings(Settings):
    """What is measured on the held-out rows."""

    metrics: tuple[str, ...] = ()
    """Metrics to log; the usual ones of the task unless named."""


class GateSettings(Settings):
    """When a challenger may become champion."""

    metric: str | None = None
    """Metric that decides: roc_auc for two classes, accuracy for more, rmse for regression unless named."""

    min: float | dict[str, float] | None = None
    """Worst value accepted (of `metric`, or by metric): at least this for scores, at most this for errors."""

    min_delta: float = Field(0.005, ge=0)
    """How much better than the champion, in the metric's own unit."""

    rule: Literal["threshold", "paired"] = "threshold"
    """`threshold`: better by min_delta; `paired`: surely better (`confidence`) by a paired test."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    """How sure the paired rule must be."""

    max_regression: dict[str, float] = Field({})
    """How much worse other metrics may get, by metric."""

    segments: tuple[str, ...] = ()
    """Columns within whose values the metric may not get worse by more than max_segment_regression."""

    max_segment_regression: float = Field(0.05, ge=0)
    """How much worse the metric may get in one segment of at least 30 rows."""

    max_latency_ms: float | None = Field(None, gt=0)
    """Longest time to predict one row, median, milliseconds."""

    max_size_mb: float | None = Field(None, gt=0)
    """Largest size of the model on disk, megabytes."""

    auto_promote: bool = False
    """Promote what passes at once; otherwise it becomes challenger."""

    auto_rollback: bool = False
    """Roll a new champion back by itself when, on labelled predictions, it does worse than the last one."""

    rollback_days: float = Field(7, gt=0)
    """How long after its promotion a champion is watched for that."""


class ValidateSettings(Settings):
    """What a data file must be like before a training may read it."""

    max_null_share: float | None = Field(None, ge=0, le=1)
    """Largest share of missing values in a column of a file; any unless given."""

    rules: tuple[str, ...] = ()
    """Conditions on the columns, in SQL, that every row must fulfil, as in `"low" <= "high"`."""

    on_failure: Literal["quarantine", "warn"] = "quarantine"
    """What a file that breaks a rule or the schema so far gets: kept out of training, or a warning."""


class DriftTrigger(Settings):
    """Which drift alarms ask for a training."""

    columns: tuple[str, ...] = ()
    """Columns whose drift counts; any unless named."""

    severity: Literal["watch", "warning", "critical"] = "warning"
    """From which severity on."""


class RetrainSettings(Settings):
    """When the watcher trains by itself."""

    on_new_data: bool = True
    """Train when new files have come and are valid."""

    cooldown: float = Field(0, ge=0)
    """Seconds between the end of a training and the next one that the watcher starts."""

    min_new_rows: int = Field(1, ge=1)
    """Rows that new files must bring together."""

    max_per_day: int = Field(24, ge=0)
    """Most trainings that the watcher starts within 24 hours."""

    schedule: str | None = None
    """When to train by the clock: a cron expression, as in `0 3 * * 1`; one that was missed comes once."""

    timezone: str = "UTC"
    """Time zone of `schedule`, as in `Europe/Berlin`."""

    on_drift: DriftTrigger | None = None
    """Train when an alarm about the drift of a feature is raised; `true` for any of them."""

    on_prediction_drift: Literal["watch", "warning", "critical"] | None = None
    """Train when an alarm about the drift of predictions is this severe; `true` for `warning`."""

    on_metric_below: dict[str, float] = Field({})
    """Train when a metric on labelled predictions is worse than this, by metric."""

    on_metric_drop: dict[str, float] = Field({})
    """Train when a metric on labelled predictions has become worse by more than this, by metric."""

    @property
    def has_triggers(self) -> bool:
        """Whether anything besides new data asks for a training."""
        return bool(
            self.schedule
            or self.on_drift
            or self.on_prediction_drift
            or self.on_metric_below
            or self.on_metric_drop
        )

    @field_validator("schedule")
    @classmethod
    def _cron(cls, schedule: str | None) -> str | None:
        return None if schedule is None else check_cron(schedule)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, timezone: str) -> str:
        return check_timezone(timezone)

    @field_validator("on_drift", mode="before")
    @classmethod
    def _any_drift(cls, value: object) -> object:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    @field_validator("on_prediction_drift", mode="before")
    @classmethod
    def _any_prediction_drift(cls, value: object) -> object:
        return {True: "warning", False: None}[value] if isinstance(value, bool) else value


class LimitSettings(Settings):
    """What a training or a scoring may take of the machine; one that takes more is ended and fails."""

    time: float | None = Field(None, gt=0)
    """Longest time of a training or a scoring, seconds; any unless given."""

    memory_mb: float | None = Field(None, gt=0)
    """Most memory of a training or a scoring with all its processes, megabytes; any unless given."""

    nice: int = Field(0, ge=0, le=19)
    """How far a training or a scoring steps back for other processes, 0 to 19."""


with warnings.catch_warnings():
    # pydantic's deprecated BaseModel.validate has the name of this section; nothing here calls it.
    warnings.filterwarnings("ignore", message='Field name "validate"')

    class _Validated(Settings):
        validate: ValidateSettings = ValidateSettings()  # type: ignore[assignment]


class PipelineSettings(_Validated):
    """A recipe from data to a registered model."""

    data: str
    """A file, a folder or a glob, relative to the project."""

    target: str
    """Column to predict."""

    task: Literal["auto"] | Task = "auto"
    """`binary`, `multiclass`, `regression`, or decided from the target."""

    features: tuple[str, ...] | None = None
    """Columns to learn from; all but target, id, time column and `ignore` unless named."""

    ignore: tuple[str, ...] = ()
    """Columns to leave out."""

    time_column: str | None = None
    """Column that orders the rows in time; needed by split strategy `time`."""

    id_column: str | None = None
    """Column that identifies a row; never a feature."""

    model: str | None = None
    """Name in the model registry; the pipeline's name unless given."""

    experiment: str | None = None
    """MLflow experiment; the pipeline's name unless given."""

    module: str | None = None
    """Your own Python file: `features(frame)` and/or `build(params)`."""

    estimator: str | None = None
    """Short name (random_forest) or dotted path of a scikit-learn estimator."""

    params: dict[str, Any] = Field({})
    """Parameters of the estimator, or of `build`."""

    class_weight: Literal["balanced"] | dict[str, float] | None = None
    """`balanced` or a weight by class."""

    threshold: float | Literal["f1"] | CostsSettings = 0.5
    """Probability from which the positive class is predicted: a number, `f1`, or costs."""

    search: SearchSettings | None = None
    """A search for the best parameters before the final fit."""

    split: SplitSettings = SplitSettings()
    columns: dict[str, ColumnRule] = Field({})
    evaluate: EvaluateSettings = EvaluateSettings()
    gate: GateSettings = GateSettings()
    monitor: MonitorSettings = MonitorSettings()
    retrain: RetrainSettings = RetrainSettings()
    limits: LimitSettings = LimitSettings()
    score: ScoreSettings | None = None
    """Files that the watcher scores by the clock."""

    @field_validator("estimator")
    @classmethod
    def _exists(cls, estimator: str | None) -> str | None:
        if estimator is not None:
            try:
                check_name(estimator)
            except SettingsError as error:
                raise ValueError(str(error)) from error
        return estimator

    @field_validator("threshold")
    @classmethod
    def _share(cls, threshold: float | str | CostsSettings) -> float | str | CostsSettings:
        if isinstance(threshold, float) and not 0 < threshold < 1:
            raise ValueError("a threshold lies between 0 and 1")
        return threshold

    @model_validator(mode="after")
    def _split_columns(self) -> PipelineSettings:
        if self.split.strategy == "time" and self.time_column is None:
            raise ValueError('split strategy "time" needs time_column')
        if self.split.strategy == "group" and self.split.group_column is None:
            raise ValueError('split strategy "group" needs split.group_column')
        return self

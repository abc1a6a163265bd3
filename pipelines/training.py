"""One training from data to verdict, within the job's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipelines import crossval, metrics
from pipelines.admission import admit, check_named, examine_named
from pipelines.answers import ask
from pipelines.build import build_pipeline
from pipelines.data import LoadedData, find_files, load_data
from pipelines.estimators import algorithm
from pipelines.fitting import Fitter, explained, freeze_with_threshold, make_fitter, with_threshold
from pipelines.gate import Candidate, judge
from pipelines.learnt_rows import LEARNT_ROWS_FILE, row_marks, to_bytes
from pipelines.metrics import Scores
from pipelines.packaging import settings_document
from pipelines.prepare import Prepared, prepare
from pipelines.provenance import CodeState, code_state, installed_packages
from pipelines.publish import load_champion, publish
from pipelines.recorder import RunRecorder
from pipelines.request import SEARCHING, STAGES, TrainEvent, TrainRequest, TrainResult
from pipelines.run_contents import Fitted, evaluation_files, log_model, log_run, note_curves
from pipelines.search import SearchResult
from pipelines.searching import SEARCH_FILE, find_parameters
from pipelines.settings import CostsSettings, PipelineSettings
from pipelines.split import make_folds
from pipelines.threshold import choose_threshold
from pipelines.user_module import UserModule, load_user_module
from store.data_versions import keep_version, record_version
from store.errors import SettingsError, TrainingError, WorkbenchError
from store.ledger import note_trained
from store.profile import PROFILE_FILE
from store.tracking import open_registry, resolve_uri

_LATENCY_CALLS = 5


class Training:
    """Runs the stages in order, keeping time; `emit` hears of each."""

    def __init__(
        self, request: TrainRequest, recorder: RunRecorder, emit: Callable[[TrainEvent], None]
    ) -> None:
        self._request = request
        self._settings: PipelineSettings = request.settings
        self._recorder = recorder
        self._emit = emit
        self._step = 0
        self._stages = STAGES if self._settings.search is None else (*STAGES[:2], SEARCHING, *STAGES[2:])
        self._timings: dict[str, float] = {}
        self._notes: list[str] = []
        self._code = CodeState(None, False, "")
        self._git = threading.Thread(target=self._look_at_code, daemon=True)

    def run(self, warnings: Callable[[], list[str]]) -> TrainResult:
        """Train, log, judge and register; `warnings` are scikit-learn's, asked for at the end."""
        started = time.perf_counter()
        self._git.start()
        request, settings = self._request, self._settings
        with self._stage("Loading data"):
            user = self._user_module()
            data, is_lenient = self._load()
            keeping = self._keep(data)
        with self._stage(
            "Preparing",
            f"{len(data.frame):,} rows from {len(data.files)} file{'s' if len(data.files) != 1 else ''}",
        ):
            self._check_settings()
            prepared = prepare(
                settings,
                data.frame,
                has_features_function=user is not None and user.features is not None,
                is_lenient=is_lenient,
            )
            self._notes += prepared.notes
            names = self._metric_names(prepared)
            pipeline, estimator, left_out = build_pipeline(
                settings, prepared.task, prepared.X_train, prepared.kinds, user
            )
            self._notes += left_out
            fitter = make_fitter(settings, estimator, prepared.classes, user)
            self._begin_run(data)
        found = self._search(prepared, pipeline, fitter, user)
        fitted = self._fit(prepared, pipeline, fitter, names, user)
        fitted.search = found
        with self._stage("Evaluating"), explained(fitted.estimator, user):
            scores = ask(fitted.model, prepared.X_test, prepared.task, prepared.classes, fitted.threshold)
            y_test = prepared.y[prepared.split.test]
            measured = metrics.compute(names, prepared.task, y_test, scores)
            latency_ms = self._latency(fitted.model, prepared)
            self._notes += note_curves(request, fitted, prepared)
            artifacts = evaluation_files(request, fitted, prepared, scores)
            if found is not None:
                artifacts[SEARCH_FILE] = found.as_json()
        with self._stage("Logging"):
            self._recorder.ready()
            logged = {
                **measured,
                **fitted.cross_validation,
                "train_samples": float(len(prepared.split.train)),
                "test_samples": float(len(prepared.split.test)),
                "n_features": float(len(prepared.features)),
                "latency_ms": latency_ms,
                **{f"seconds_{key}": value for key, value in self._timings.items()},
            }
            if fitted.threshold is not None:
                logged["threshold"] = fitted.threshold
            self._git.join()
            log_run(self._recorder, request, data, self._code, prepared, fitted, logged)
            model = log_model(self._recorder, request, fitted, prepared, user)
            artifacts |= self._documents(data, measured | fitted.cross_validation)
        with self._stage("Comparing"):
            registry = open_registry(
                resolve_uri(request.tracking_uri, request.layout.root), request.layout, in_process=True
            )
            champion = load_champion(registry, request, prepared)
            verdict = judge(
                settings.gate,
                prepared.task,
                y_test,
                prepared.rows_test,
                Candidate(scores, latency_ms, model.size_mb),
                champion,
                seed=settings.split.seed,
            )
            self._notes += warnings()
            artifacts |= {"gate.json": verdict.as_json(), "timing.json": self._timings}
            marks = row_marks(prepared.frame, prepared.features, prepared.labels)
            artifacts[LEARNT_ROWS_FILE] = to_bytes(prepared.features, marks[prepared.split.train])
            self._recorder.log_files(artifacts)
            self._recorder.finish("FINISHED")
            version, promoted = publish(
                registry,
                request,
                verdict,
                run_id=str(self._recorder.run_id),
                metrics=measured,
                user=user,
                profile=artifacts[PROFILE_FILE],
            )
            keeping.join()
            self._enter_into_ledger(data)
        return TrainResult(
            run_id=str(self._recorder.run_id),
            run_name=self._recorder.run_name,
            model=request.model,
            version=version,
            metrics={key: value for key, value in logged.items() if not key.startswith("seconds_")},
            gate=verdict,
            promoted=promoted,
            seconds=round(time.perf_counter() - started, 3),
            notes=tuple(dict.fromkeys(self._notes)),
            timings=self._timings,
        )

    def _search(
        self, prepared: Prepared, pipeline: Any, fitter: Fitter, user: UserModule | None
    ) -> SearchResult | None:
        """Look for the best parameters, where the settings want that, and set them on the pipeline."""
        if self._settings.search is None:
            return None
        with self._stage(SEARCHING, f"{self._settings.search.method}, {self._settings.search.cv} folds"):
            return find_parameters(
                self._settings,
                prepared,
                pipeline,
                fitter,
                self._recorder,
                modules=() if user is None else user.modules,
                on_progress=self._progress,
            )

    def _fit(
        self, prepared: Prepared, pipeline: Any, fitter: Fitter, names: list[str], user: UserModule | None
    ) -> Fitted:
        """Cross-validate, settle the threshold, fit on all training rows."""
        settings, task = self._settings, prepared.task
        X_train, train = prepared.X_train, prepared.split.train
        labels, y = prepared.labels[train], prepared.y[train]
        estimator = pipeline.steps[-1][1]
        answers: list[crossval.FoldAnswer] = []
        wanted = settings.split.cv_folds
        if task == "binary" and not isinstance(settings.threshold, float):
            wanted = max(wanted, 3)  # the threshold is chosen on rows the models have not seen
        with self._stage("Cross-validating", f"{algorithm(estimator)}, {wanted} folds" if wanted > 1 else ""):
            if wanted > 1:
                folds, note = make_folds(settings.split, task, prepared.y, prepared.split, wanted)
                self._notes += [note] if note else []
                with explained(estimator, user):
                    answers = crossval.cross_validate(
                        pipeline,
                        X_train,
                        labels,
                        folds,
                        task,
                        prepared.classes,
                        fitter,
                        lambda number: self._progress(
                            f"fold {number + 1} of {len(folds)}", number / len(folds)
                        ),
                    )
            threshold = self._threshold(estimator, answers, y, task)
            summary = crossval.summarise(answers, y, task, names, threshold)
        with self._stage("Fitting", f"{len(train):,} rows, {len(prepared.features)} columns"):
            if threshold is not None and not fitter.weighs_rows:
                model = fitter(with_threshold(pipeline, threshold), X_train, labels)
            else:
                model = fitter(pipeline, X_train, labels)
                if threshold is not None:
                    model = freeze_with_threshold(model, threshold, X_train, labels)
            with explained(estimator, user):
                reference = self._reference(model, prepared, answers, threshold)
        unseen = np.zeros(len(train), dtype=bool)
        for answer in answers:
            unseen[answer.rows] = True
        return Fitted(model, estimator, threshold, summary, reference, unseen)

    def _threshold(
        self, estimator: Any, answers: list[crossval.FoldAnswer], y: Any, task: str
    ) -> float | None:
        """The decision threshold, or None for the usual half."""
        wanted = self._settings.threshold
        if wanted == 0.5:
            return None
        if task != "binary":
            raise SettingsError(f"threshold is for two classes, and the task is {task}", "Remove threshold.")
        if not hasattr(estimator, "predict_proba"):
            raise TrainingError(
                f"{algorithm(estimator)} has no probabilities to put a threshold on",
                "Take an estimator with predict_proba, or remove threshold.",
            )
        if isinstance(wanted, float):
            return wanted
        if not answers:
            raise TrainingError("too few rows to choose a threshold by cross-validation", "Give a number.")
        rows, probability = crossval.out_of_fold(answers)
        aim = wanted if isinstance(wanted, CostsSettings) else "f1"
        threshold = choose_threshold(y[rows] == 1, probability, aim)
        self._notes.append(f"threshold {threshold:.4g} chosen by cross-validation")
        return threshold

    def _reference(
        self, model: Any, prepared: Prepared, answers: list[crossval.FoldAnswer], threshold: float | None
    ) -> Scores:
        rows = prepared.X_train
        seen = np.ones(len(rows), dtype=bool)
        parts = [(answer.rows, answer.scores) for answer in answers]
        for held_out, _ in parts:
            seen[held_out] = False
        if seen.any():
            own = np.flatnonzero(seen)
            parts.append((own, ask(model, rows.iloc[own], prepared.task, prepared.classes, threshold)))
        order = np.argsort(np.concatenate([part for part, _ in parts]), kind="stable")
        predicted = np.concatenate([scores.predicted for _, scores in parts])[order]
        if any(scores.probabilities is None for _, scores in parts):
            return Scores(predicted)
        probabilities = np.concatenate([np.asarray(scores.probabilities) for _, scores in parts])[order]
        if threshold is not None:
            predicted = (probabilities[:, 1] >= threshold).astype(int)
        return Scores(predicted, probabilities)

    def _documents(self, data: LoadedData, measured: Mapping[str, float]) -> dict[str, Any]:
        request = self._request
        extra = {"pipeline": request.pipeline, "data_read": request.data or self._settings.data}
        documents: dict[str, Any] = {
            "metrics/eval.json": dict(measured),
            "settings.json": settings_document(self._settings, extra),
            "dataset.json": data.manifest(),
            "environment.json": installed_packages(),
        }
        if self._code.diff:
            documents["uncommitted.diff"] = self._code.diff
        return documents

    def _begin_run(self, data: LoadedData) -> None:
        request = self._request
        tags = {
            "workbench.pipeline": request.pipeline,
            "workbench.dataset": data.digest,
            "workbench.trigger": request.trigger,
            "workbench.reason": request.reason or "",
        }
        self._recorder.begin(
            request.run_name, {key: value for key, value in tags.items() if value}, self._run_started
        )

    def _run_started(self, run_id: str, name: str) -> None:
        self._progress(f"run {name}")

    def _load(self) -> tuple[LoadedData, bool]:
        """The rows to learn from, and whether rules were waived for any of them.

        Files of the settings' data pass through the ledger; what `--data` names is looked up in it.
        """
        request, settings = self._request, self._settings
        layout, pipeline = request.layout, request.pipeline
        files = find_files(request.data or settings.data, layout.root)
        if request.data is None:
            files, notes, is_lenient = admit(layout, pipeline, settings, files)
            self._notes += notes
            return load_data(files, layout.root), is_lenient
        if request.is_repeated:
            return load_data(files, layout.root), True
        examine_named(layout, pipeline, settings, files)
        data = load_data(files, layout.root)
        return data, check_named(layout, pipeline, {file.path: file.sha256 for file in data.files})

    def _keep(self, data: LoadedData) -> threading.Thread:
        """Keep the content of what was read, while the fit goes on; what prevents it is a note."""
        request = self._request

        def keep() -> None:
            if request.store.keep_data:
                problems = keep_version(request.layout, data.manifest(), limit_mb=request.store.keep_data_mb)
                self._notes += problems

        thread = threading.Thread(target=keep, name="data", daemon=True)
        thread.start()
        return thread

    def _enter_into_ledger(self, data: LoadedData) -> None:
        """Record which data the run saw; the run itself is whole without it."""
        request, run_id = self._request, str(self._recorder.run_id)
        try:
            record_version(request.layout, request.pipeline, data.manifest(), run_id=run_id)
            if request.data is None:
                seen = [(file.path, file.sha256) for file in data.files]
                note_trained(request.layout, request.pipeline, seen, run_id)
        except WorkbenchError as error:
            self._notes.append(f"the data of this run is not in the ledger: {error.message}")

    def _user_module(self) -> UserModule | None:
        if self._settings.module is None:
            return None
        return load_user_module(self._request.layout.root / self._settings.module, self._request.pipeline)

    def _check_settings(self) -> None:
        """Metric names that no task has are refused before anything is computed."""
        for name in (*self._settings.evaluate.metrics, *self._settings.gate.max_regression):
            if metrics.canonical(name) not in metrics.METRICS:
                metrics.find(name, "binary")

    def _metric_names(self, prepared: Prepared) -> list[str]:
        task, gate = prepared.task, self._settings.gate
        wanted = [*(self._settings.evaluate.metrics or metrics.DEFAULTS[task])]
        wanted += [gate.metric or metrics.DECIDING[task], *gate.max_regression]
        wanted += list(gate.min) if isinstance(gate.min, Mapping) else []
        return list(dict.fromkeys(metrics.find(name, task).name for name in wanted))

    def _latency(self, model: Any, prepared: Prepared) -> float:
        """Median time to predict one row, milliseconds."""
        row = prepared.X_test.head(1)
        calls = _LATENCY_CALLS * (4 if self._settings.gate.max_latency_ms is not None else 1)
        times = []
        for _ in range(calls):
            begun = time.perf_counter()
            model.predict(row.copy(deep=False))
            times.append(time.perf_counter() - begun)
        return round(float(np.median(times)) * 1000, 4)

    def _look_at_code(self) -> None:
        self._code = code_state(self._request.layout.root)

    @contextmanager
    def _stage(self, name: str, text: str = "") -> Iterator[None]:
        self._step = self._stages.index(name) + 1
        self._progress(text)
        begun = time.perf_counter()
        yield
        key = name.lower().replace(" ", "_").replace("-", "_")
        self._timings[key] = round(time.perf_counter() - begun, 4)

    def _progress(self, text: str, share: float | None = None) -> None:
        self._emit(
            TrainEvent(
                self._step,
                len(self._stages),
                self._stages[max(self._step, 1) - 1],
                text,
                share,
                self._recorder.run_id,
            )
        )

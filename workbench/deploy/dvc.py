"""`dvc.yaml` and `params.yaml`: a stage for each pipeline, so that `dvc repro` trains what has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.deploy.quoting import shell_word

if TYPE_CHECKING:
    from pipelines.settings import PipelineSettings
    from workbench.settings import Project

_REFUSED = 3
"""What `workbench train` ends with when the gate keeps the champion: a result, no failure."""


def stages(project: Project) -> str:
    """The document of dvc.yaml. A stage depends on its data, its module and its section of the settings; the
    values in params.yaml are laid over that."""
    import yaml

    document = {
        "stages": {name: _stage(project, name, one) for name, one in project.settings.pipelines.items()}
    }
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000))


def parameters(project: Project) -> str:
    """The document of params.yaml: the plain values of each pipeline that one varies."""
    import yaml

    values = {name: _values(settings) for name, settings in project.settings.pipelines.items()}
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _stage(project: Project, name: str, settings: PipelineSettings) -> dict[str, Any]:
    from pipelines.data_files import watch_base

    base, _ = watch_base(settings.data, project.root)
    own = project.root / settings.data
    data = own if own.exists() or base == project.root else base
    sets = [
        f"--set '{key}=${{{name}.{key}}}'" for key, _ in _leaves(_values(settings))
    ]  # single quotes: DVC puts the value in, the shell leaves it alone
    metrics = f"metrics/{name}.json"
    train = " ".join(["workbench train", shell_word(name), "--json", *sets])
    dependencies = [_shown(data, project.root)]
    if settings.module is not None:
        dependencies.append(settings.module)
    return {
        "cmd": f"mkdir -p metrics && {{ {train} > {metrics} || test $? -eq {_REFUSED}; }}",
        "deps": dependencies,
        "params": [name, {"workbench.toml": [f"pipelines.{name}"]}],
        "metrics": [{metrics: {"cache": False}}],
    }


def _values(settings: PipelineSettings) -> dict[str, Any]:
    """Scalars only: DVC has no way to write others into a command."""
    values: dict[str, Any] = {}
    if settings.estimator is not None:
        values["estimator"] = settings.estimator
    params = {key: value for key, value in settings.params.items() if _is_plain(key, value)}
    if params:
        values["params"] = params
    split = settings.split
    values["split"] = {"test_size": split.test_size, "seed": split.seed, "cv_folds": split.cv_folds}
    return values


def _is_plain(key: str, value: Any) -> bool:
    if not key.isidentifier():
        return False
    return isinstance(value, bool | int | float) or (
        isinstance(value, str) and not set(value) & set("'\"\\${}\n")
    )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

"""The fields and defaults of a configuration dataclass, read from its source without running it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import DataError

_CONFIG_NAMES = ("TrainConfig", "TrainingConfig", "Config", "PipelineConfig")


@dataclass(frozen=True)
class DataclassConfig:
    """Values by field (by class and field where there are several classes), and what has none."""

    values: Mapping[str, Any]
    left: tuple[tuple[str, str], ...]
    estimator: str | None
    """Dotted path of the one scikit-learn estimator that the file builds."""


def read_dataclass(path: Path, text: str) -> DataclassConfig:
    """The dataclass called TrainConfig or Config, else all that there are. Raises DataError without one."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise DataError(f"{path} is not valid Python{line}", "Mend the file and try again.") from error
    classes = {
        node.name: node for node in tree.body if isinstance(node, ast.ClassDef) and _holds_settings(node)
    }
    main = next((classes[name] for name in _CONFIG_NAMES if name in classes), None)
    chosen = [main] if main else list(classes.values())
    if not chosen:
        raise DataError(
            f"{path} has no dataclass with settings", "--from looks for one named TrainConfig or Config."
        )
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    values: dict[str, Any] = {}
    left: list[tuple[str, str]] = []
    for node in chosen:
        fields, unknown = _fields(node, constants)
        left += [(f"{node.name}.{name}", why) for name, why in unknown]
        section = node.name.removesuffix("Config").lower()
        values |= fields if main else {section: fields}
    return DataclassConfig(values, tuple(left), _estimator_built(tree))


def _holds_settings(node: ast.ClassDef) -> bool:
    names = [ast.unparse(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list]
    bases = [ast.unparse(base) for base in node.bases]
    is_dataclass = any(name.split(".")[-1] in ("dataclass", "define", "frozen") for name in names)
    is_model = any(base.split(".")[-1] in ("BaseModel", "BaseSettings") for base in bases)
    return is_dataclass or is_model or node.name in _CONFIG_NAMES


def _fields(
    node: ast.ClassDef, constants: Mapping[str, ast.expr]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    values: dict[str, Any] = {}
    unknown: list[tuple[str, str]] = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            name, value = item.target.id, item.value
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            name, value = item.targets[0].id, item.value
        else:
            continue
        if name.startswith("_") or name == "model_config":
            continue
        if value is None:
            unknown.append((name, "it has no default value"))
            continue
        try:
            values[name] = _literal(value, constants)
        except (ValueError, TypeError):
            unknown.append((name, f"its default is computed: {ast.unparse(value)}"))
    return values, unknown


def _literal(node: ast.expr, constants: Mapping[str, ast.expr]) -> Any:
    """The value of a literal, of field(default=…), of Path("…") or of a constant above. Raises ValueError."""
    if isinstance(node, ast.Name) and node.id in constants:
        return _literal(constants[node.id], {})
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).split(".")[-1]
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in ("field", "Field", "attrib"):
            if "default" in given:
                return _literal(given["default"], constants)
            factory = given.get("default_factory")
            if isinstance(factory, ast.Lambda):
                return _literal(factory.body, constants)
            if factory is not None and ast.unparse(factory) in ("list", "dict", "tuple"):
                return {} if ast.unparse(factory) == "dict" else []
            if node.args:
                return _literal(node.args[0], constants)
        if name in ("Path", "PurePath") and node.args:
            return "/".join(str(_literal(arg, constants)) for arg in node.args)
        raise ValueError("computed")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):  # Path("data") / "customers.csv"
        left, right = _literal(node.left, constants), _literal(node.right, constants)
        if isinstance(left, str) and isinstance(right, str):
            return f"{left}/{right}"
    return ast.literal_eval(node)


def _estimator_built(tree: ast.Module) -> str | None:
    """Dotted path of the classifier or regressor the file builds, where it is exactly one."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn.")
        for alias in node.names
    }
    called = {
        imported[node.func.id]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported
    }
    models = {path for path in called if _is_estimator_class(path)}
    return models.pop() if len(models) == 1 else None


def _is_estimator_class(path: str) -> bool:
    name = path.rpartition(".")[2]
    family = path.split(".")[1]
    return name[:1].isupper() and (
        name.endswith(("Classifier", "Regressor", "Regression", "SVC", "SVR", "NB", "Ridge", "Lasso"))
        or family in ("ensemble", "linear_model", "svm", "tree", "neighbors", "naive_bayes", "neural_network")
    )

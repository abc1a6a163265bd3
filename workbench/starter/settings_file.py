"""The text of a new workbench.toml: short, commented, in the order of the settings themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.settings import PipelineSettings
from workbench.starter.literals import one_line, toml_assignment, toml_path

_COMMENT_COLUMN = 44


@dataclass(frozen=True)
class PipelineDraft:
    """A `[pipelines.NAME]` section about to be written.

    Keys of `settings`, `comments` and `suggestions` are dotted as they are below the section
    (`split.test_size`); a suggestion is a setting written as a comment.
    """

    name: str
    settings: Mapping[str, Any]
    comments: Mapping[str, str] = field(default_factory=dict)
    suggestions: Mapping[str, Any] = field(default_factory=dict)


def settings_text(
    project_name: str, draft: PipelineDraft | None, sections: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """All of workbench.toml; `sections` are further top-level sections such as `serve`."""
    parts = [
        _HEAD,
        "\n".join(["[project]", *toml_assignment("name", project_name)]),
    ]
    for section, values in (sections or {}).items():
        lines = [line for key, value in values.items() for line in toml_assignment(key, value)]
        parts.append("\n".join([f"[{toml_path(section)}]", *lines]))
    parts.append(pipeline_text(draft) if draft else _NO_PIPELINE)
    return "\n\n".join(parts) + "\n"


def pipeline_text(draft: PipelineDraft) -> str:
    """The `[pipelines.NAME]` section and those below it."""
    blocks = [_block(draft, "", f"[{toml_path('pipelines', draft.name)}]")]
    for table in _tables(draft):
        header = f"[{toml_path('pipelines', draft.name, *table.split('.', 1))}]"
        blocks.append(_block(draft, f"{table}.", header))
    return "\n\n".join(blocks)


_HEAD = """\
# Settings of this project. Every other one has a default; see them all, with what they do:
#     workbench config show --help-text"""

_NO_PIPELINE = """\
# A pipeline is a recipe from data to a model. Put data into data/ and fill this in, or let
#     workbench init --data FILE --target COLUMN --print >> workbench.toml
# read the file and write the section.
#
# [pipelines.mine]
# data = "data/mine.csv"    # a file, a folder or a glob
# target = "label"          # the column to predict"""


def _tables(draft: PipelineDraft) -> list[str]:
    keys = [*draft.settings, *draft.suggestions]
    named = {key.split(".", 1)[0] for key in keys if "." in key}
    return [name for name in PipelineSettings.model_fields if name in named]


def _block(draft: PipelineDraft, prefix: str, header: str) -> str:
    own = [
        key.removeprefix(prefix)
        for key in dict.fromkeys([*draft.settings, *draft.suggestions])
        if key.startswith(prefix) and (prefix or "." not in key)
    ]
    if not prefix:
        order = list(PipelineSettings.model_fields)
        own.sort(key=order.index)
    lines: list[str] = []
    is_active = False
    for key in own:
        full = prefix + key
        is_suggestion = full not in draft.settings
        is_active = is_active or not is_suggestion
        value = draft.suggestions[full] if is_suggestion else draft.settings[full]
        written = [("# " if is_suggestion else "") + line for line in toml_assignment(key, value)]
        lines += _commented(written, draft.comments.get(full))
    # A table whose every line is a comment is a comment too.
    return "\n".join([header if is_active or not prefix else f"# {header}", *lines])


def _commented(lines: list[str], comment: str | None) -> list[str]:
    if not comment:
        return lines
    comment = one_line(comment)
    if len(lines) == 1 and len(lines[0]) < _COMMENT_COLUMN:
        return [f"{lines[0]:<{_COMMENT_COLUMN}}# {comment}"]
    return [f"# {comment}", *lines]

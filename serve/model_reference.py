"""Which model a server is told to serve, where it is one alone."""

from __future__ import annotations

from dataclasses import dataclass

from store.errors import UsageError


@dataclass(frozen=True)
class ModelReference:
    """`models:/NAME/STAGE`, `models:/NAME@alias` or `models:/NAME/N`: one model, followed where it moves."""

    name: str
    which: int | str

    @classmethod
    def parse(cls, uri: str) -> ModelReference:
        """Raises UsageError for what is no such URI."""
        rest = uri.removeprefix("models:").strip("/")
        if uri.startswith("models:"):
            name, at, alias = rest.rpartition("@")
            if at and name and alias:
                return cls(name, alias)
            name, slash, which = rest.rpartition("/")
            if slash and name and which:
                return cls(name, int(which) if which.isdigit() else which)
        raise UsageError(
            f"{uri!r} names no registered model",
            "Use models:/NAME/STAGE, models:/NAME@ALIAS or models:/NAME/3.",
        )

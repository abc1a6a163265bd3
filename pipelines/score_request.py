"""What travels between the process that asks for a scoring of files and the one that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.score_settings import ScoreSettings
from pipelines.settings import LimitSettings
from store.layout import Layout
from store.settings import StoreSettings


@dataclass(frozen=True)
class ScoreRequest:
    """One scoring of files that somebody or the clock asked for."""

    pipeline: str
    model: str
    settings: ScoreSettings
    layout: Layout
    store: StoreSettings
    tracking_uri: str
    trusted_types: tuple[str, ...] = ()
    limits: LimitSettings = field(default_factory=LimitSettings)
    occasion: str = ""
    """What asked for it; a file that was scored on this occasion is not scored on it once more."""
    tries_failed: bool = False
    """Whether files that could not be scored get another try although they have not changed."""

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "settings": self.settings.model_dump(mode="json"),
            "store": self.store.model_dump(mode="json"),
            "limits": self.limits.model_dump(mode="json"),
            "layout": [str(self.layout.root), str(self.layout.state)],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScoreRequest:
        root, state = values["layout"]
        return cls(
            **{
                **values,
                "settings": ScoreSettings.model_validate(values["settings"]),
                "store": StoreSettings.model_validate(values["store"]),
                "limits": LimitSettings.model_validate(values["limits"]),
                "layout": Layout(Path(root), Path(state)),
                "trusted_types": tuple(values["trusted_types"]),
            }
        )

"""The drift report as one page of HTML that needs nothing else: for a mail, a browser, a printer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.report_page.gather import project_page as project_page
    from workbench.report_page.page import render_page as render_page

_HOMES = {"project_page": "gather", "render_page": "page"}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

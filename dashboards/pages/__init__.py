"""The registry of pages: every module of this package with a `page` is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from dpprof.dashboards.view.page import Page

__all__ = ["Page", "all_pages"]


@cache
def all_pages() -> tuple[Page, ...]:
    """All pages in the order of the navigation."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    found = [module.page for module in modules if hasattr(module, "page")]
    return tuple(sorted(found, key=lambda page: (page.order, page.key)))

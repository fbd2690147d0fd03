"""What the server answers beside pages: how far work is, and an area of the timeline as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.timeline.area_figures import area_csv, area_figures
from dpprof.dashboards.timeline.area_panel import AREA_CSV
from dpprof.dashboards.timeline.view import scene_of
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Known, parse
from dpprof.dashboards.view.theme import LIGHT

if TYPE_CHECKING:
    from flask import Flask, Response

PROGRESS = "/_progress"


def offer_answers(server: Flask, library: Library, known: Callable[[], Known]) -> None:
    """Serve them; `known` is what an address may name."""

    def progress() -> list[dict[str, Any]]:
        return [one._asdict() for one in library.progress]

    def area() -> Response:
        """The area that the rest of an address of the timeline asks about."""
        from flask import Response, request
        from werkzeug.exceptions import NotFound

        view, _ = parse("timeline", request.query_string.decode("ascii", "replace"), known())
        if view.area is None:
            raise NotFound("The address names no area of the timeline.")
        scene = scene_of(Context(library, view, LIGHT), {})
        head = {"Content-Disposition": "attachment; filename=area.csv"}
        text = area_csv(area_figures(library, scene, view.area))
        return Response(text, mimetype="text/csv", headers=head)

    server.add_url_rule(PROGRESS, "progress", progress)
    server.add_url_rule(AREA_CSV, "area", area)

"""Files that the dashboard makes of its runs: a trace for Perfetto. By id, never by a path."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.parts.perfetto import PERFETTO
from dpprof.export import export

if TYPE_CHECKING:
    from flask import Flask, Response

_MOST_AT_ONCE = 2


def offer_downloads(server: Flask, library: Library) -> None:
    """Serve the traces of the library's runs, few at once: each takes a core for seconds."""
    exporting = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def perfetto(id: str) -> Response:
        from flask import abort

        if id not in library.all_ids:
            abort(404)
        if not exporting.acquire(blocking=False):
            abort(503, "Other exports are being made; try again in a moment.")
        try:
            return made(id)
        finally:
            exporting.release()

    def made(id: str) -> Response:
        from flask import send_file

        folder = tempfile.TemporaryDirectory(prefix="dpprof-")
        path = Path(folder.name) / f"{id}.json.gz"
        export(library.get(id).run, "perfetto", path)
        answer = send_file(path, mimetype="application/gzip", as_attachment=True)
        answer.call_on_close(folder.cleanup)
        return answer

    server.add_url_rule(f"{PERFETTO}<id>.json.gz", "perfetto", perfetto)

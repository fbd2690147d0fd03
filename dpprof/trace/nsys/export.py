"""Reports of Nsight Systems, whose form is secret: the user's own ``nsys`` exports them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.trace.file_formats import NSYS_REPORT

_BLOBS = "--include-blobs=true"  # NCCL's payloads; older versions have no such option


def refuse_report(report: Path) -> None:
    """Raise `DpprofError` for a report where there is no ``nsys`` to export it."""
    if shutil.which("nsys") is None:
        raise DpprofError(
            f"{report}: is a report of Nsight Systems, which only nsys itself can read, and there "
            f"is none on PATH; where it is, type 'nsys export --type sqlite {_BLOBS} {report}', "
            "and give the .sqlite file that it writes"
        )


@contextmanager
def exported(report: Path) -> Iterator[Path]:
    """The SQLite export of a report, made by the ``nsys`` on PATH, gone after use.

    Nothing is written beside the report. Raises `DpprofError` with what nsys says where it fails.
    """
    refuse_report(report)
    program = shutil.which("nsys")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="dpprof-nsys-") as folder:
        target = Path(folder) / f"{report.name.removesuffix(NSYS_REPORT)}.sqlite"
        said = ""
        for more in ([_BLOBS], []):
            command = [program, "export", "--type=sqlite", "--force-overwrite=true", *more]
            command += [f"--output={target}", str(report.absolute())]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
            if done.returncode == 0 and target.is_file():
                yield target
                return
            said = said or next(iter(reversed((done.stderr or done.stdout).splitlines())), "")
        raise DpprofError(
            f"{report}: nsys could not export it ({said.strip() or 'it says nothing'}); export it "
            f"with the version of nsys that recorded it: nsys export --type sqlite {_BLOBS}"
        )

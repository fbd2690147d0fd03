"""Names what other programs wrote, by the first bytes or by names of processes, and the way out."""

from __future__ import annotations

import re

from dpprof.errors import FileFault
from dpprof.trace.read.columns import DEVICE_CATEGORIES, TraceColumns

_ASCEND = ("Ascend Hardware", "CANN")
_GIVE = "give the JSON that torch.profiler wrote"
_ENDINGS = {
    (".nsys-rep", ".qdrep"): "a report of Nsight Systems, which only its own program reads; "
    f"`nsys export --type sqlite` makes a database of it; {_GIVE}",
    (".ncu-rep",): f"a report of Nsight Compute, of single kernels; {_GIVE}",
    (".pftrace", ".perfetto-trace"): "a Perfetto trace (protobuf), which is not read; export it "
    "as JSON (`traceconv json`), or " + _GIVE,
    (".xplane.pb",): f"a profile of XLA (protobuf), which is not read; {_GIVE}",
}
_MAGICS = (
    (b"SQLite format 3\0", "a packed SQLite database, as Nsight Systems (nsys) exports; unpack it "
     "first (gunzip, unzstd): its pages are read where they lie"),
    (b"PAR1", f"a Parquet table, which is not read; {_GIVE}"),
    (b"\x89HDF", f"an HDF5 file, as Nsight Systems (nsys) exports, which is not read; {_GIVE}"),
    (b"7z\xbc\xaf\x27\x1c", "packed with 7-Zip, which is not read; unpack it first"),
    (b"Rar!", "packed with RAR, which is not read; unpack it first"),
    (b"\x04\x22\x4d\x18", "packed with LZ4, which is not read; unpack it first"),
    (b"\x80\x02", "a Python pickle; a memory snapshot goes beside the traces of its ranks"),
    (b"\x80\x04", "a Python pickle; a memory snapshot goes beside the traces of its ranks"),
)  # fmt: skip
_PROTOBUF = re.compile(rb"\n[\x00-\xff][\x00-\xff]?(?=[\x08-\x7a])")
_TEXT = re.compile(rb"\s*[\[{\"\w<#/-]")
_PROGRAMS = (
    (rb'"/(?:device|host):(?:CPU|GPU|TPU)', "was written by the profiler of XLA (JAX, TensorFlow)"),
    (rb'"(?:CPU|CUDA) functions"', "was exported by the old torch.autograd.profiler"),
)


def name_foreign(head: bytes, ending: str) -> None:
    """Raise `FileFault` for a file that is no JSON, where first bytes or `ending` say what."""
    if re.match(rb"(?:\xef\xbb\xbf)?\s*[\[{]", head):
        return
    what = next((what for magic, what in _MAGICS if head.startswith(magic)), None)
    if what is None and head and not _TEXT.match(head):
        lower = ending.lower()
        what = next((what for ends, what in _ENDINGS.items() if lower.endswith(ends)), None)
        if what is None and _PROTOBUF.match(head) and not head.lstrip().startswith((b"{", b"[")):
            what = _ENDINGS[(".pftrace", ".perfetto-trace")]
    if what is not None:
        raise FileFault(f"is {what}")


def written_by(head: bytes) -> str:
    """What wrote a trace in which nothing is of a category that is read; "" where nothing says."""
    return next((what for form, what in _PROGRAMS if re.search(form, head)), "")


def refuse_foreign(trace: TraceColumns) -> None:
    """Raise `FileFault` for a trace whose device rows are there and cannot be told."""
    names = {name for given in trace.process_names.values() for name in given}
    if names.intersection(_ASCEND) and not len(trace.rows(*DEVICE_CATEGORIES)):
        raise FileFault(
            "is a trace_view.json of the Ascend NPU profiler, whose device rows have no "
            "category: they are not read, and its host rows alone tell nothing of the device; see "
            "it in MindStudio Insight, or give its rows of Ascend Hardware the category kernel"
        )

"""Kernels of libraries that packages know: asked first, part of what the cache goes by."""

from __future__ import annotations

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.activities import kernel_table, package_tables
from dpprof.trace.activities.package_tables import PackageTable, tables_digest

MINE = """
[[library]]
name = "mine"
versions = "1"
source = "https://example.org"
inside = "my_wire"
kernels = [
  { kind = "dispatch", pattern = "scatter", example = "my_wire::scatter_tokens" },
]
"""


@pytest.fixture
def declared(monkeypatch):
    """Tables as packages would bring them."""

    def declare(*texts: str) -> None:
        found = tuple(PackageTable(f"package:{i}", text) for i, text in enumerate(texts))
        for module in (kernel_table, package_tables):
            monkeypatch.setattr(module, "package_tables", lambda: found)
        kernel_table._table.cache_clear()
        kernel_table.find_kernel.cache_clear()

    yield declare
    monkeypatch.undo()
    kernel_table._table.cache_clear()
    kernel_table.find_kernel.cache_clear()


def test_a_package_brings_a_library(declared) -> None:
    assert kernel_table.find_kernel("my_wire::scatter_tokens") is None
    assert tables_digest() == ""
    declared(MINE)
    found = kernel_table.find_kernel("my_wire::scatter_tokens")
    assert (found.library, found.kind) == ("mine", "dispatch")
    assert kernel_table.find_kernel("ncclDevKernel_AllReduce_Sum_f32_RING_LL").library != "mine"
    first = tables_digest()
    declared(MINE.replace("scatter", "gather"))
    assert len({"", first, tables_digest()}) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[library", r"package:0: no \[\[library\]\] rows"),
        ("name = 1", r"package:0: no \[\[library\]\] rows"),
        (MINE.replace("dispatch", "parcel"), "package:0: is not sound .*no kind 'parcel'"),
        (MINE.replace('"scatter"', '"(scatter"'), "package:0: is not sound"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(declared, text: str, says: str) -> None:
    declared(text)
    with pytest.raises(DpprofError, match=says):
        kernel_table.libraries()

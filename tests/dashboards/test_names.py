"""Names stay whole where there is room, and say most where there is not."""

from __future__ import annotations

from dpprof.dashboards.data.kernel_names import shown_name


def test_short_names_stay_whole() -> None:
    assert shown_name("mlp(F)", 10) == "mlp(F)"


def test_long_names_lose_their_arguments_and_then_their_end() -> None:
    assert shown_name("void a::b<1, 2>(int, int)", 12) == "a::b"
    assert shown_name("triton_red_fused_very_long", 12) == "triton_re..."

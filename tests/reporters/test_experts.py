"""The table of how experts were used."""

from __future__ import annotations

from dpprof.analysis.observations import ExpertFigures, LayerLoad
from dpprof.reporters.report.sections import expert_section


def layer(number, skew):
    return LayerLoad(
        layer=number,
        rows=2048,
        busiest_expert=3,
        expert_skew=2.5,
        skew=skew,
        placed_skew=None if skew is None else 1.1,
        copied_skew=None if skew is None else 1.0,
    )


def test_the_most_skewed_layers_come_first_and_the_rest_is_counted():
    skews = [1.2, 1.5, None, *([1.0] * 7)]
    layers = [layer(number, skew) for number, skew in enumerate(skews)]
    section = expert_section(ExpertFigures(ranks=2, experts=8, slots=10, layers=layers))
    rows = [tuple(cell.text for cell in row) for row in section.rows]
    assert rows[:2] == [
        ("1", "2,048", "expert 3 x2.50", "x1.50", "x1.10", "x1.00"),
        ("0", "2,048", "expert 3 x2.50", "x1.20", "x1.10", "x1.00"),
    ]
    assert [row[0] for row in rows] == ["1", "0", "3", "4", "5", "6", "7", "8"]
    assert section.notes[-1] == "2 more layers, less skewed"
    assert "8 in 10 slots on 2 ranks" in section.title


def test_a_layer_without_rows_has_no_skew():
    section = expert_section(ExpertFigures(ranks=2, experts=8, slots=8, layers=[layer(0, None)]))
    (row,) = section.rows
    assert [cell.text for cell in row][3:] == ["n/a", "n/a", "n/a"]
    assert len(section.notes) == 1

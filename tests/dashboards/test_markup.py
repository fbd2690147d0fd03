"""Components as plain HTML: nothing of a trace becomes markup, nothing that needs an app stays."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.view.html_markup import Markup


def markup(node: Any) -> str:
    return Markup({"/memory": "#memory"}.get).html(node)


def test_elements_texts_and_lists() -> None:
    node = html.Div(
        [html.B("a"), " b ", 3, None, [html.Br(), html.Span(["c", html.I("d")])]],
        className="one two",
        title='say "x"',
        tabIndex=0,
        **{"data-testid": "t", "aria-label": "l"},
    )
    assert markup(node) == (
        '<div aria-label="l" class="one two" data-testid="t" tabindex="0" '
        'title="say &quot;x&quot;"><b>a</b> b 3<br><span>c<i>d</i></span></div>'
    )


def test_styles_are_css() -> None:
    node = html.Span(style={"backgroundColor": "red", "width": "3%"})
    assert markup(node) == '<span style="background-color:red;width:3%"></span>'


def test_links_lead_to_what_is_in_the_document() -> None:
    assert markup(dcc.Link("go", href="/memory")) == '<a href="#memory">go</a>'
    assert markup(dcc.Link("go", href="/elsewhere")) == "go"
    assert markup(dcc.Link("go", href="/elsewhere", className="button")) == ""


def test_controls_are_left_out() -> None:
    node = html.Div(
        [
            html.Button("press"),
            dcc.Dropdown(["a"]),
            dcc.Store(id="s", data={"secret": 1}),
            html.Div("choose", className="field"),
            dcc.Loading(html.P("kept")),
        ]
    )
    assert markup(node) == "<div><p>kept</p></div>"


def test_figures_are_collected() -> None:
    drawn = Markup(lambda href: None)
    figure = go.Figure(go.Bar(x=["a"], y=[1]), layout={"height": 200})
    text = drawn.html([dcc.Graph(figure=figure), dcc.Graph(id="empty")])
    assert text == '<div class="plot" id="plot-0" style="height:200px"></div>'
    (data,) = drawn.figures
    assert json.loads(data)["data"][0]["x"] == ["a"]


def test_only_pictures_in_the_page_are_shown() -> None:
    assert "src" not in markup(html.Img(src="https://example.org/x.png"))
    assert "src" not in markup(html.Img(src="data:text/html,<script>"))
    picture = html.Img(src="data:image/png;base64,AA", alt="")
    assert markup(picture) == '<img alt="" src="data:image/png;base64,AA">'


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


hostile = st.text(st.sampled_from("<>&\"'/ =abscriptonload!-;:"), max_size=30)


@given(text=hostile, title=hostile)
def test_no_text_becomes_markup(text: str, title: str) -> None:
    seen = _Seen()
    seen.feed(markup(html.P(text, title=title)))
    seen.close()
    assert seen.tags == ["p"]
    assert seen.attributes == [("title", title)]
    assert seen.text == text

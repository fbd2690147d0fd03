// Saved pictures say what they are of: runs with where they come from, and what colours mean.
(function () {
  "use strict";

  var LINE_PX = 20, SWATCH_PX = 24, LETTER_PX = 6.6, GAP_PX = 16, AXIS_PX = 48;

  function words() {
    var badges = Array.from(document.querySelectorAll("#controls .badge, main .runs .badge"));
    var named = badges.map(function (badge) {
      return Array.from(badge.children).map(function (part) { return part.textContent; }).join(" ");
    });
    return Array.from(new Set(named)).join("   ");
  }

  // The legend that stands beside a figure on the page, as images and texts within `width`.
  function legendOf(gd, width) {
    var section = gd.closest("section");
    var swatches = section ? Array.from(section.querySelectorAll(".legend .swatch")) : [];
    var x = 0, line = 0;
    return swatches.map(function (swatch) {
      var text = swatch.textContent.trim(), image = swatch.querySelector("img");
      var needed = SWATCH_PX + 6 + text.length * LETTER_PX + GAP_PX;
      if (x + needed > width) { x = 0; line += 1; }
      var placed = { text: text, source: image && image.src, x: x, line: line };
      x += needed;
      return placed;
    });
  }

  function saved(gd) {
    var full = gd._fullLayout, size = full._size, ink = full.font.color;
    var legend = legendOf(gd, size.w), source = words();
    var lines = (legend.length ? legend[legend.length - 1].line + 1 : 0) + (source ? 1 : 0);
    var layout = JSON.parse(JSON.stringify(gd.layout)), below = 0;
    layout.margin = { l: size.l, r: size.r, t: size.t, b: size.b + lines * LINE_PX + 6, autoexpand: false };
    layout.height = full.height + lines * LINE_PX + 6;
    layout.width = full.width;
    layout.annotations = (layout.annotations || []).slice();
    layout.images = (layout.images || []).slice();
    if (layout.xaxis && layout.xaxis.visible === false) {  // the page draws it above the picture
      layout.xaxis.visible = true;
      layout.height += Math.max(0, AXIS_PX - size.t);
      layout.margin.t = Math.max(size.t, AXIS_PX);
    }
    function y(line) { return -(size.b + 4 + line * LINE_PX) / size.h; }
    legend.forEach(function (one) {
      if (one.source) layout.images.push({
        source: one.source, xref: "paper", yref: "paper", x: one.x / size.w, y: y(one.line),
        sizex: SWATCH_PX / size.w, sizey: 12 / size.h, sizing: "stretch", xanchor: "left", yanchor: "top",
      });
      layout.annotations.push({
        text: one.text, xref: "paper", yref: "paper", x: (one.x + SWATCH_PX + 6) / size.w,
        y: y(one.line), xanchor: "left", yanchor: "top", yshift: 5, showarrow: false,
        font: { size: 11, color: ink },
      });
      below = one.line + 1;
    });
    if (source) layout.annotations.push({
      text: "<b>" + source.replace(/</g, "&lt;") + "</b>   dpprof", xref: "paper", yref: "paper",
      x: 0, y: y(below), xanchor: "left", yanchor: "top", showarrow: false,
      font: { size: 11, color: ink },
    });
    return { data: gd.data, layout: layout };
  }

  function download(gd, form, name) {
    var figure = saved(gd);
    window.Plotly.downloadImage(figure, {
      format: form, filename: name, width: figure.layout.width, height: figure.layout.height,
      scale: form === "png" ? 2 : 1,
    });
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest(".modebar-btn[data-title^='Download'], [data-save]");
    if (!button) return;
    var form = button.getAttribute("data-save") || "svg";
    var gd = button.closest(".js-plotly-plot") ||
      button.closest("section").querySelector(".js-plotly-plot");
    if (!gd) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    var holder = gd.parentElement.id || gd.id || "figure";
    download(gd, form, "dpprof-" + (holder[0] === "{" ? JSON.parse(holder).name : holder));
  }, true);
})();

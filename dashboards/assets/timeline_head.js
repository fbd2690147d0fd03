// The head of the timeline, which stays while the rows scroll: the whole step as a strip with a
// lens on what is shown, the time axis, the ruler, and marks where a search found something.
(function () {
  "use strict";

  var TICK_PX = 110, FINE = [1, 2, 5, 10];

  function element(id) {
    return document.getElementById(id);
  }

  function graph() {
    return document.querySelector("#timeline .js-plotly-plot");
  }

  // Milliseconds with as many digits as tell one step of the axis from the next.
  function text(ms, step) {
    var digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return ms.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function length(ms) {
    var units = [[1000, "s"], [1, "ms"], [1e-3, "us"], [1e-6, "ns"]];
    var unit = units.find(function (one) { return Math.abs(ms) >= one[0]; }) || units[3];
    return (ms / unit[0]).toLocaleString("en-US", { maximumFractionDigits: 2, minimumFractionDigits: 2 })
      + " " + unit[1];
  }

  function stepOf(span, width) {
    var least = span * TICK_PX / width, power = Math.pow(10, Math.floor(Math.log10(least)));
    return FINE.map(function (one) { return one * power; })
      .find(function (one) { return one >= least * 0.999; });
  }

  function put(box, name, left, words) {
    var one = document.createElement("span");
    one.className = name;
    one.style.left = left + "px";
    if (words) one.textContent = words;
    box.appendChild(one);
    return one;
  }

  function drawHead(gd) {
    var layout = gd._fullLayout, axis = element("timeline-axis"), strip = element("timeline-strip");
    if (!layout || !layout.meta || !layout.meta.whole_ns || !axis) return;
    var left = layout._size.l, width = layout._size.w, whole = layout.meta.whole_ns / 1e6;
    var limits = layout.xaxis.range.map(Number), span = limits[1] - limits[0];
    var step = stepOf(span, width);
    axis.replaceChildren();
    put(axis, "unit", 0, left > 80 ? "ms of the step" : "ms").style.maxWidth = left - 8 + "px";
    for (var at = Math.ceil(limits[0] / step - 1e-9) + 0; at * step <= limits[1] + step * 1e-9; at++) {
      var x = (at * step - limits[0]) / span * width;
      put(axis, "tick", left + x, x > width - 40 ? "" : text(at * step, step));
    }
    strip.style.marginLeft = left + "px";
    strip.style.width = width + "px";
    var lens = element("timeline-lens");
    lens.style.left = limits[0] / whole * width + "px";
    lens.style.width = Math.max(3, span / whole * width) + "px";
    lens.hidden = span >= whole * 0.9999;
    drawMarks(layout.meta.found, width);
    var legend = element("timeline-legend");  // never lower than it was: the rows must not jump
    legend.style.minHeight = legend.offsetHeight + "px";
  }

  var marked = "";
  function drawMarks(found, width) {
    var box = element("timeline-marks"), now = JSON.stringify(found || null);
    if (now === marked && (box.firstChild || !found)) return;
    marked = now;
    box.replaceChildren();
    (found ? found.marks : []).forEach(function (at) { put(box, "mark", at / found.of * width); });
  }

  // A thin line through all rows at the pointer, with its time on the axis.
  function hair(gd, ms) {
    var line = element("timeline-hair"), axis = element("timeline-axis");
    if (!line || !axis) return;
    var old = axis.querySelector(".at");
    if (old) old.remove();
    line.hidden = !gd;
    if (!gd) return;
    var layout = gd._fullLayout, limits = layout.xaxis.range.map(Number);
    var left = layout._size.l + layout.xaxis.d2p(ms);
    line.style.left = left + "px";
    put(axis, "at", left, text(ms, stepOf(limits[1] - limits[0], layout._size.w) / 100) + " ms");
  }

  // The box that is being dragged, with how long it is; null takes it away.
  function box(gd, from, to, zooms) {
    var shown = element("timeline-drag");
    if (!shown) return;
    shown.hidden = !gd;
    if (!gd) return;
    var size = gd._fullLayout._size;
    function within(value, most) { return Math.min(Math.max(value, 0), most); }
    var x = [from.left, to.left].map(function (one) { return within(one, size.w); });
    var y = zooms ? [0, size.h] : [from.top, to.top].map(function (one) { return within(one, size.h); });
    shown.className = zooms ? "zooms" : "";
    shown.style.left = size.l + Math.min(x[0], x[1]) + "px";
    shown.style.top = size.t + Math.min(y[0], y[1]) + "px";
    shown.style.width = Math.abs(x[1] - x[0]) + "px";
    shown.style.height = Math.abs(y[1] - y[0]) + "px";
    shown.textContent = length(Math.abs(to.x - from.x) / 1e6);
  }

  // On the strip a drag pans, on the axis it zooms to the range.
  var held = null;
  function share(event, gd) {
    var left = gd.getBoundingClientRect().left + gd._fullLayout._size.l;
    return Math.min(1, Math.max(0, (event.clientX - left) / gd._fullLayout._size.w));
  }

  function panTo(gd, at) {
    var limits = gd._fullLayout.xaxis.range.map(Number), span = limits[1] - limits[0];
    var middle = at * gd._fullLayout.meta.whole_ns / 1e6;
    window.dpprof.showRange(middle - span / 2, middle + span / 2);
  }

  document.addEventListener("pointerdown", function (event) {
    var gd = graph();
    if (!gd || event.button) return;
    var strip = event.target.closest("#timeline-strip"), axis = event.target.closest("#timeline-axis");
    if (!strip && !axis) return;
    event.preventDefault();
    held = { gd: gd, strip: Boolean(strip), from: share(event, gd) };
    if (strip) panTo(gd, held.from);
  });

  document.addEventListener("pointermove", function (event) {
    if (!held) return;
    if (held.strip) { panTo(held.gd, share(event, held.gd)); return; }
    box(held.gd, spot(held.from), spot(share(event, held.gd)), true);
  });

  function spot(part) {
    var layout = held.gd._fullLayout, limits = layout.xaxis.range.map(Number);
    return { left: part * layout._size.w, top: 0, x: (limits[0] + part * (limits[1] - limits[0])) * 1e6 };
  }

  document.addEventListener("pointerup", function (event) {
    if (!held) return;
    var to = share(event, held.gd), ends = [spot(held.from), spot(to)];
    if (!held.strip && Math.abs(to - held.from) * held.gd._fullLayout._size.w > 4) {
      window.dpprof.showRange(Math.min(ends[0].x, ends[1].x) / 1e6, Math.max(ends[0].x, ends[1].x) / 1e6);
    }
    held = null;
    box(null);
  });

  window.dpprof = Object.assign(window.dpprof || {}, {
    drawHead: drawHead, hair: hair, box: box,
  });
})();

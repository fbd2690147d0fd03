// The timeline in the browser: keys, wheel and drag zoom and pan at once, then the server draws
// the range anew; the pointer asks what is under it.
(function () {
  "use strict";

  var NS_PER_MS = 1e6, LEAST_MS = 200 / NS_PER_MS;
  var SETTLE_MS = 160, POINT_MS = 50, STILL_PX = 4;
  var KEEP_MS = 3000, EDGE_PX = 12;
  var settling, pointing, count = 0, down = null;
  var wanted = null;  // the range last asked for, until the server has drawn it

  function graph() {
    var box = document.getElementById("timeline");
    var found = box && box.querySelector(".js-plotly-plot");
    return found && found._fullLayout && found._fullLayout.meta ? found : null;
  }

  function range(gd) {
    return gd._fullLayout.xaxis.range.map(Number);
  }

  // Shows a range at once, stretched, and asks the server for it when no more changes come.
  function show(gd, left, right) {
    var whole = gd._fullLayout.meta.whole_ns / NS_PER_MS;
    var span = Math.min(Math.max(right - left, LEAST_MS), whole);
    left = Math.min(Math.max(left, 0), whole - span);
    wanted = { gd: gd, left: left, right: left + span, since: Date.now() };
    window.Plotly.relayout(gd, { "xaxis.range": [left, left + span] });
  }

  // Answers to earlier questions must not undo what was done since.
  function keep(gd) {
    var limits = range(gd), now = Date.now();
    if (!wanted || wanted.gd !== gd || now - wanted.since > KEEP_MS) return;
    var slack = (wanted.right - wanted.left) / 1000 + 2 / NS_PER_MS;
    var meta = gd._fullLayout.meta, drawn = meta.start_ns / NS_PER_MS;
    var end = (meta.start_ns + meta.span_ns) / NS_PER_MS;
    if (Math.abs(drawn - wanted.left) < slack && Math.abs(end - wanted.right) < slack) {
      wanted = null;
    } else if (Math.abs(limits[0] - wanted.left) > slack || Math.abs(limits[1] - wanted.right) > slack) {
      window.Plotly.relayout(gd, { "xaxis.range": [wanted.left, wanted.right] });
    }
  }

  function ask(gd) {
    clearTimeout(settling);
    settling = setTimeout(function () {
      var limits = range(gd), whole = gd._fullLayout.meta.whole_ns;
      var start = Math.max(0, Math.round(limits[0] * NS_PER_MS));
      var end = Math.min(whole, Math.round(limits[1] * NS_PER_MS));
      var slack = whole / 1e6;  // each zoom rounds to nanoseconds: out again is not quite the whole
      window.dpprof.change({ t: start <= slack && end >= whole - slack ? "" : start + "-" + end });
    }, SETTLE_MS);
  }

  function zoom(gd, factor, at) {
    var limits = range(gd);
    var centre = at === undefined ? (limits[0] + limits[1]) / 2 : at;
    show(gd, centre - (centre - limits[0]) * factor, centre + (limits[1] - centre) * factor);
  }

  function pan(gd, share) {
    var limits = range(gd), by = (limits[1] - limits[0]) * share;
    show(gd, limits[0] + by, limits[1] + by);
  }

  function act(what) {
    what.count = ++count;
    window.dpprof.setProps("timeline-act", { data: what });
  }
  window.dpprof.act = act;
  window.dpprof.showRange = function (left, right) { if (graph()) { listen(graph()); show(graph(), left, right); } };

  var KEYS = {
    w: function (gd) { zoom(gd, 0.6); },
    s: function (gd) { zoom(gd, 1 / 0.6); },
    a: function (gd) { pan(gd, -0.25); },
    d: function (gd) { pan(gd, 0.25); },
    0: function (gd) { show(gd, 0, gd._fullLayout.meta.whole_ns / NS_PER_MS); },
    ".": function () { act({ act: "next", by: 1 }); },
    ",": function () { act({ act: "next", by: -1 }); },
    f: function () { act({ act: "fit" }); },
    escape: function () { window.dpprof.change({ select: "", area: "" }); },
  };

  // In the picture itself the arrow keys move the selection; elsewhere they scroll the page.
  var ARROWS = {
    ArrowRight: { act: "next", by: 1 }, ArrowLeft: { act: "next", by: -1 },
    ArrowDown: { act: "row", by: 1 }, ArrowUp: { act: "row", by: -1 },
    Enter: { act: "next", by: 1 },
  };

  function press(key) {
    var gd = graph(), does = KEYS[key.toLowerCase()];
    if (gd && does) { listen(gd); does(gd); }
    return Boolean(gd && does);
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (window.dpprof.isTyping(event.target) || !document.getElementById("help").hidden) return;
    event.target.classList.remove("by-pointer");
    var arrow = event.target.id === "timeline-box" && ARROWS[event.key];
    if (arrow) act(Object.assign({}, arrow));
    if (arrow || press(event.key)) event.preventDefault();
  });

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-key]"), unfold = event.target.closest(".unfold");
    if (button) press(button.getAttribute("data-key"));
    if (unfold) unfold.setAttribute("aria-expanded", String(unfold.closest(".tools").classList.toggle("unfolded")));
  });

  // Where in the picture an event is: nanoseconds of the step, and pixels from the top. Outside of
  // the rows `x` or `y` are beyond them; null where the event is not at the picture at all.
  function anywhere(gd, event) {
    var layout = gd._fullLayout, box = gd.getBoundingClientRect();
    var x = event.clientX - box.left - layout._size.l, y = event.clientY - box.top - layout._size.t;
    return {
      left: x, top: y, inside: x >= 0 && y >= 0 && x < layout._size.w && y < layout._size.h,
      x: layout.xaxis.p2d(x) * NS_PER_MS, y: layout.yaxis.p2d(y),
    };
  }

  function place(gd, event) {
    var at = anywhere(gd, event);
    return at.inside ? { x: at.x, y: at.y } : null;
  }

  function hideTip() {
    clearTimeout(pointing);
    var tip = document.getElementById("timeline-tip");
    if (tip) tip.hidden = true;
    window.dpprof.hair(null);
  }

  function moveTip(event) {
    var tip = document.getElementById("timeline-tip");
    if (!tip) return;
    tip.hidden = false;
    var room = document.documentElement.clientWidth - event.clientX;
    var beneath = window.innerHeight - event.clientY;
    tip.style.left = event.clientX + (room < 400 ? -16 - tip.offsetWidth : 16) + "px";
    tip.style.top = event.clientY + (beneath < tip.offsetHeight + 24
      ? -12 - tip.offsetHeight : 12) + "px";
  }

  document.addEventListener("pointermove", function (event) {
    var gd = graph();
    if (gd && down) { drag(gd, event); return; }
    if (!gd || !gd.contains(event.target)) { if (gd) hideTip(); return; }
    listen(gd);
    var at = place(gd, event);
    if (!at) { hideTip(); return; }
    moveTip(event);
    window.dpprof.hair(gd, at.x / NS_PER_MS);
    clearTimeout(pointing);
    pointing = setTimeout(function () {
      window.dpprof.setProps("timeline-pointer", { data: at });
    }, POINT_MS);
  });

  function moved(event) {
    return Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) >= STILL_PX;
  }

  // While the button is down: with Shift the picture follows, else a box is drawn with its length.
  function drag(gd, event) {
    var at = anywhere(gd, event);
    if (!down.at.inside || !moved(event)) return;
    event.preventDefault();
    if (event.shiftKey || down.pans) {
      down.pans = true;
      var scale = (down.limits[1] - down.limits[0]) / gd._fullLayout._size.w;
      var by = (down.clientX - event.clientX) * scale;
      show(gd, down.limits[0] + by, down.limits[1] + by);
      return;
    }
    window.dpprof.box(gd, down.at, at, event.ctrlKey || down.zooms);
  }

  document.addEventListener("pointerdown", function (event) {
    var gd = graph();
    hideTip();
    down = null;
    if (!gd || !gd.contains(event.target) || event.button !== 0) return;
    listen(gd);
    down = {
      clientX: event.clientX, clientY: event.clientY, at: anywhere(gd, event), limits: range(gd),
      zooms: event.ctrlKey, touch: event.pointerType === "touch",
    };
    if (!down.touch && down.at.inside) event.preventDefault();
    var box = document.getElementById("timeline-box");
    box.classList.add("by-pointer");
    box.focus({ preventScroll: true });
  }, true);

  // plotly's drag layer swallows clicks, so a press without a move is one.
  document.addEventListener("pointerup", function (event) {
    var gd = graph(), from = down;
    if (!gd || !from) { down = null; return; }
    var at = anywhere(gd, event), far = moved(event);
    down = null;
    window.dpprof.box(null);
    if (!far && at.inside) act({ act: "click", x: at.x, y: at.y });
    else if (!far && at.left < 0) act({ act: "pin", y: at.y });
    else if (far && from.at.inside && !from.pans && !from.touch) dropped(gd, from, at);
  }, true);
  document.addEventListener("pointercancel", function () { down = null; window.dpprof.box(null); });

  function dropped(gd, from, at) {
    if (Math.abs(at.left - from.at.left) < STILL_PX) return;
    if (from.zooms) {
      show(gd, Math.min(from.at.x, at.x) / NS_PER_MS, Math.max(from.at.x, at.x) / NS_PER_MS);
      return;
    }
    act({ act: "area", x: from.at.x, x2: at.x, y: from.at.y, y2: at.y });
  }

  document.addEventListener("wheel", function (event) {
    var gd = graph();
    if (!gd || !gd.contains(event.target)) return;
    var at = place(gd, event);
    if (at && event.ctrlKey) {
      event.preventDefault();
      zoom(gd, Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200))), at.x / NS_PER_MS);
    } else if (at && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
      event.preventDefault();
      pan(gd, (event.deltaX || event.deltaY) / 1000);
    }
  }, { passive: false });

  // Scrolls once to what is newly selected, so that it stands between the header and its panel.
  var revealed = "", revealing = 0;
  function reveal() {
    revealing = 0;
    var gd = graph(), panel = document.getElementById("timeline-details");
    var query = new URLSearchParams(window.location.search);
    var chosen = query.get("select") || query.get("area") || "";
    var place = gd && gd._fullLayout.meta.selected;
    if (!chosen) revealed = "";
    if (chosen === revealed || !place || place.select !== chosen || !panel.firstChild) return;
    revealed = chosen;
    var head = document.getElementById("timeline-head").getBoundingClientRect();
    var upper = Math.max(head.height + document.querySelector(".top").getBoundingClientRect().bottom, 0);
    var room = window.innerHeight - panel.offsetHeight - upper - 3 * EDGE_PX;
    // Both ends of its arrow where they fit, else what is selected.
    var whole = place.last - place.first <= room;
    var top = gd.getBoundingClientRect().top + gd._fullLayout._size.t - EDGE_PX;
    var above = top + (whole ? place.first : place.top) - upper;
    var beneath = above + (whole ? place.last - place.first : place.bottom - place.top) - room;
    if (above < 0) window.scrollBy(0, above);
    else if (beneath > 0) window.scrollBy(0, Math.min(beneath, above));
  }

  new MutationObserver(function () {
    var gd = graph();
    if (gd) listen(gd);
    revealing = revealing || requestAnimationFrame(reveal);
  }).observe(document.documentElement, { childList: true, subtree: true });

  function listen(gd) {
    if (gd.dpprofListens) return;
    gd.dpprofListens = true;
    window.dpprof.drawHead(gd);
    gd.on("plotly_relayout", function (changes) {
      if (Object.keys(changes).some(function (key) { return key.indexOf("xaxis.range") === 0; })) {
        ask(gd);
      }
    });
    gd.on("plotly_afterplot", function () { keep(gd); window.dpprof.drawHead(gd); });
  }
})();

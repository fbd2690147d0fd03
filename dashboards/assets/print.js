// Paper: figures are drawn anew as wide as a sheet of A4 or Letter has room, and back afterwards.
(function () {
  "use strict";

  var SHEET_PX = 690;
  var before = [];

  function figures() {
    return window.Plotly ? Array.from(document.querySelectorAll(".js-plotly-plot")) : [];
  }

  function toSheet() {
    if (before.length) return;
    document.documentElement.classList.add("printing");
    before = figures().map(function (gd) {
      return { gd: gd, width: gd.layout.width, autosize: gd.layout.autosize };
    });
    before.forEach(function (one) {
      var room = one.gd.parentElement.clientWidth || SHEET_PX;
      window.Plotly.relayout(one.gd, { width: Math.min(room, SHEET_PX), autosize: false });
    });
  }

  function toScreen() {
    document.documentElement.classList.remove("printing");
    before.forEach(function (one) {
      window.Plotly.relayout(one.gd, { width: one.width || null, autosize: one.width ? false : true });
    });
    before = [];
  }

  window.addEventListener("beforeprint", toSheet);
  window.addEventListener("afterprint", toScreen);
  window.matchMedia("print").addEventListener("change", function (event) {
    if (event.matches) toSheet(); else toScreen();
  });
})();

// The search box: `/` opens it, Enter leads to the next match in the timeline.
(function () {
  "use strict";

  var asked = "";  // what is to be searched for as soon as the timeline is there

  function input() {
    return document.getElementById("find-text");
  }

  function sought() {
    return new URLSearchParams(window.location.search).get("find") || "";
  }

  function onTimeline() {
    return document.getElementById("timeline-act") !== null || document.getElementById("timeline-box");
  }

  function find(by) {
    var text = input().value.trim();
    if (!text) { window.dpprof.change({ find: "" }); return; }
    if (onTimeline()) { window.dpprof.act({ act: "find", text: text, by: by }); return; }
    asked = text;
    window.dpprof.change({ page: "timeline", find: text, select: "", area: "" });
  }

  function make(box) {
    var field = document.createElement("input");
    field.id = "find-text";
    field.type = "search";
    field.placeholder = "Search  /";
    field.maxLength = 200;
    field.title = box.getAttribute("data-about");
    field.setAttribute("aria-label", "Search the timeline for " + field.title);
    field.value = sought();
    box.appendChild(field);
    field.addEventListener("keydown", function (event) {
      if (event.key === "Enter") find(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { field.value = ""; find(1); field.blur(); }
    });
    field.addEventListener("search", function () { if (!field.value && sought()) find(1); });
  }

  document.addEventListener("keydown", function (event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (window.dpprof.isTyping(event.target) || !input()) return;
    event.preventDefault();
    input().focus();
    input().select();
  });

  document.addEventListener("click", function (event) {
    if (event.target.closest("#find-next")) find(1);
    if (event.target.closest("#find-previous")) find(-1);
  });

  function tell() {
    var count = document.getElementById("find-count"), found = document.getElementById("timeline-found");
    var text = found ? found.textContent : "";
    if (count && count.textContent !== text) count.textContent = text;
  }

  // The box follows the address; and what was asked for elsewhere is looked for once it can be.
  new MutationObserver(function () {
    var box = document.getElementById("find-box"), field = input();
    if (box && !field) make(box);
    if (field && document.activeElement !== field && field.value !== sought()) field.value = sought();
    tell();
    var shown = document.querySelector("#timeline .js-plotly-plot");
    if (asked && shown && shown._fullLayout && shown._fullLayout.meta && sought() === asked) {
      var text = asked;
      asked = "";
      window.dpprof.act({ act: "find", text: text, by: 1 });
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();

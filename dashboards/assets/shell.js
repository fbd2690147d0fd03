// The shell in the browser: the size of the window, the help, and light or dark.
(function () {
  "use strict";

  function setProps(id, props) {
    if (window.dash_clientside && window.dash_clientside.set_props) {
      window.dash_clientside.set_props(id, props);
    }
  }

  function tellScreen() {
    setProps("screen", {
      data: {
        width: document.documentElement.clientWidth,
        height: window.innerHeight,
        dark: window.matchMedia("(prefers-color-scheme: dark)").matches,
      },
    });
  }

  function showHelp(shown) {
    var help = document.getElementById("help");
    if (!help || help.hidden === !shown) return;
    help.hidden = !shown;
    (document.getElementById(shown ? "help-close" : "help-button") || help).focus();
  }

  // Keys are for the page unless somebody types or picks.
  function isTyping(target) {
    return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable;
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "?") showHelp(true);
    if (event.key === "Escape") showHelp(false);
  });

  document.addEventListener("click", function (event) {
    var target = event.target;
    if (target.closest("#help-button")) showHelp(true);
    if (target.id === "help-close" || target.id === "help") showHelp(false);
    var theme = target.closest("#theme-button");
    if (theme) window.dpprof.change({ theme: theme.getAttribute("data-theme") });
  });

  var waiting;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(tellScreen, 200);
  });

  // Asks for a change of the view; equal changes one after another must both be heard.
  var count = 0;
  window.dpprof = {
    setProps: setProps,
    isTyping: isTyping,
    change: function (fields) {
      setProps("change", { data: Object.assign({}, fields, { count: ++count }) });
    },
  };

  // The shell is there as soon as Dash has drawn it.
  var watcher = new MutationObserver(function () {
    if (!document.getElementById("content")) return;
    watcher.disconnect();
    tellScreen();
  });
  watcher.observe(document.documentElement, { childList: true, subtree: true });
})();

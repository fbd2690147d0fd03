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
    return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable ||
      Boolean(target.closest && target.closest("[role=listbox], [role=option]"));
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
    var perfetto = target.closest("[data-perfetto]");
    if (perfetto) openInPerfetto(perfetto);
    if (theme) window.dpprof.change({ theme: theme.getAttribute("data-theme") });
  });

  // Marks the page that was asked for, and dims the one that is left until the other is there.
  document.addEventListener("click", function (event) {
    var link = event.target.closest("#nav a.page");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    var here = document.querySelector("#nav a.here"), content = document.getElementById("content");
    if (link === here) return;
    if (here) here.classList.remove("here");
    link.classList.add("here");
    content.classList.add("leaving");
    var arrived = new MutationObserver(function () {
      arrived.disconnect();
      content.classList.remove("leaving");
    });
    arrived.observe(content, { childList: true });
  }, true);

  // Calls `then` once the page's content has been drawn anew.
  function onceDrawn(then) {
    var content = document.getElementById("content");
    var drawn = new MutationObserver(function () {
      drawn.disconnect();
      window.requestAnimationFrame(then);
    });
    drawn.observe(content, { childList: true });
  }

  // The page is as high as it was until its figures are drawn, so that no place in it is lost.
  function holdHeight(height) {
    var content = document.getElementById("content");
    content.style.minHeight = height + "px";
    clearTimeout(content.held);
    content.held = setTimeout(function () { content.style.minHeight = ""; }, 3000);
  }

  // A choice within a page keeps the reader's place; dcc.Link would go to the top of the page.
  document.addEventListener("click", function (event) {
    var link = event.target.closest("#content a[href]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.pathname !== window.location.pathname || link.hash) return;
    var toTop = window.scrollTo;
    window.scrollTo = function () {};
    setTimeout(function () { window.scrollTo = toTop; }, 0);
    holdHeight(document.getElementById("content").offsetHeight);
  }, true);

  // Back and forward return to the place where the page was left.
  var places = {};
  if ("scrollRestoration" in window.history) window.history.scrollRestoration = "manual";
  document.addEventListener("scroll", function () {
    var content = document.getElementById("content");
    if (!content || content.returning) return;
    places[window.location.href] = { top: window.scrollY, height: content.offsetHeight };
  }, { passive: true });
  window.addEventListener("popstate", function () {
    var place = places[window.location.href], content = document.getElementById("content");
    if (!content) return;
    content.returning = true;
    onceDrawn(function () {
      content.returning = false;
      if (place) holdHeight(place.height);
      window.scrollTo(0, place ? place.top : 0);
    });
    setTimeout(function () { content.returning = false; }, 3000);
  });

  // The window is called by its page and runs: tabs, history and bookmarks are told apart.
  new MutationObserver(function () {
    var heading = document.querySelector("#content > h1[data-title]");
    var title = heading && heading.getAttribute("data-title");
    if (title && document.title !== title) document.title = title;
    // Tab stops at an input that Dash hides from readers, which hands on to the button: take the button.
    document.querySelectorAll(".dash-dropdown-focus-target:not([tabindex='-1'])").forEach(function (input) {
      var button = input.parentElement.querySelector("button.dash-dropdown");
      if (!button) return;
      button.setAttribute("tabindex", "0");
      input.setAttribute("tabindex", "-1");
    });
  }).observe(document.documentElement, { childList: true, subtree: true });

  // Hands a run to Perfetto's own page, as its documentation says: ask until it answers, then send.
  function openInPerfetto(button) {
    var origin = "https://ui.perfetto.dev", path = button.getAttribute("data-perfetto");
    var other = window.open(origin);
    if (!other) { window.alert("The browser did not open ui.perfetto.dev; allow it, or download the trace."); return; }
    window.fetch(path).then(function (answer) { return answer.arrayBuffer(); }).then(function (buffer) {
      var timer = setInterval(function () { other.postMessage("PING", origin); }, 100);
      window.addEventListener("message", function hear(event) {
        if (event.origin !== origin || event.data !== "PONG") return;
        clearInterval(timer);
        window.removeEventListener("message", hear);
        var title = button.getAttribute("data-title");
        other.postMessage({ perfetto: { buffer: buffer, title: title } }, origin);
      });
    });
  }

  var waiting;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(tellScreen, 200);
  });

  // Fields of the address that any page takes and the server need not be asked about first.
  var PLAIN = ["t", "select", "area", "find"];

  function withFields(fields) {
    var query = new URLSearchParams(window.location.search);
    Object.keys(fields).forEach(function (name) {
      if (fields[name]) query.set(name, fields[name]); else query.delete(name);
    });
    var text = query.toString();
    return text ? "?" + text.replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/%7E/g, "~") : "";
  }

  // Asks for a change of the view; equal changes one after another must both be heard.
  var count = 0;
  window.dpprof = Object.assign(window.dpprof || {}, {
    setProps: setProps,
    isTyping: isTyping,
    change: function (fields) {
      if (Object.keys(fields).every(function (name) { return PLAIN.indexOf(name) >= 0; })) {
        var search = withFields(fields);
        if (search !== window.location.search) setProps("url", { search: search });
        return;
      }
      setProps("change", { data: Object.assign({}, fields, { count: ++count }) });
    },
  });

  // What sticks beneath the header must know how high it is.
  function measureHeader() {
    var header = document.querySelector(".top");
    var sticks = window.getComputedStyle(header).position === "sticky";
    document.documentElement.style.setProperty("--header", (sticks ? header.offsetHeight : 0) + "px");
  }

  // Of work that takes long, says how far it is: the server is asked while something is awaited.
  var ASK_MS = 500;
  setInterval(function () {
    var waits = document.querySelector("[data-dash-is-loading=true]");
    var shown = document.querySelector(".loading");
    if (!waits || !shown) return;
    fetched.call(window, "/_progress").then(function (answer) { return answer.json(); })
      .then(function (all) {
        var far = all.map(function (one) { return one.what + ": " + one.done + " of " + one.of; });
        if (far.length) shown.textContent = "Loading… " + far.join("; ");
      }, function () {});
  }, ASK_MS);

  // Says so where the server has gone, until it answers again.
  var fetched = window.fetch;
  function tellOffline(gone) {
    var note = document.getElementById("offline");
    if (note) note.hidden = !gone;
  }
  window.fetch = function () {
    return fetched.apply(window, arguments).then(function (answer) {
      tellOffline(false);
      return answer;
    }, function (error) {
      if (error.name !== "AbortError") tellOffline(true);
      throw error;
    });
  };

  // The shell is there as soon as Dash has drawn it.
  var watcher = new MutationObserver(function () {
    if (!document.getElementById("content")) return;
    watcher.disconnect();
    tellScreen();
    new ResizeObserver(measureHeader).observe(document.querySelector(".top"));
  });
  watcher.observe(document.documentElement, { childList: true, subtree: true });
})();

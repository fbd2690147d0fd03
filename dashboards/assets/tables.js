// Tables in the browser: what the server sends in one piece becomes rows that can be sorted,
// filtered, copied and saved.
(function () {
  "use strict";

  var FIRST = 25, FEW = 12, PAGE = 200;
  var UNITS = {
    ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9,
    B: 1, KiB: 1024, MiB: 1048576, GiB: 1073741824, TiB: 1099511627776,
    k: 1e3, M: 1e6, G: 1e9,
  };
  var NUMBER = /([+\-\u2212\u00b1]?\d[\d,]*(?:\.\d+)?)\s*(ns|us|µs|ms|s|B|KiB|MiB|GiB|TiB|k|M|G)?(?![A-Za-z])/;
  var kept = {};  // what was sorted and filtered, by table: a page drawn anew keeps it

  function element(tag, attributes, text) {
    var made = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) {
      made.setAttribute(name, attributes[name]);
    });
    if (text) made.textContent = text;
    return made;
  }

  function text(row, column) {
    return row.cells[column] ? row.cells[column].textContent.trim() : "";
  }

  // The number in a text with its unit, null where there is none: "n/a", "none".
  function number(words) {
    var found = NUMBER.exec(words);
    if (!found) return null;
    var value = Number(found[1].replace(/[,\u00b1]/g, "").replace("\u2212", "-"));
    return value * (UNITS[found[2]] || 1);
  }

  function Table(table) {
    this.table = table;
    this.id = table.getAttribute("data-testid") || "";
    this.heads = Array.from(table.tHead.rows[0].cells);
    this.rows = Array.from(table.tBodies[0].rows);
    this.tree = this.rows.some(function (row) { return row.hasAttribute("data-depth"); });
    this.most = this.tree ? this.rows.length : FIRST;
    this.state = kept[this.id] = kept[this.id] || { column: -1, up: false, filter: "" };
    this.frame();
    this.show();
  }

  // Which rows are parts of which: the nearest one before that has less depth.
  Table.prototype.parents = function () {
    var above = [];
    return this.rows.map(function (row) {
      var depth = Number(row.getAttribute("data-depth") || 0);
      while (above.length && above[above.length - 1].depth >= depth) above.pop();
      var parent = above.length ? above[above.length - 1].row : null;
      above.push({ depth: depth, row: row });
      return parent;
    });
  };

  Table.prototype.sorted = function () {
    var column = this.state.column, sign = this.state.up ? 1 : -1, self = this;
    if (column < 0 || column >= this.heads.length) return this.rows;
    var numbers = this.heads[column].classList.contains("number") || this.rows.every(
      function (row) { return number(text(row, column)) !== null; });
    var keys = new Map(this.rows.map(function (row) {
      return [row, numbers ? number(text(row, column)) : text(row, column)];
    }));
    function compare(one, other) {
      var a = keys.get(one), b = keys.get(other);
      if (a === null || b === null) return (a === null) - (b === null);  // unknown last, always
      return sign * (numbers ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    }
    var parents = this.parents(), below = new Map();
    this.rows.forEach(function (row, place) {
      below.set(parents[place], (below.get(parents[place]) || []).concat([row]));
    });
    function walk(parent) {
      return (below.get(parent) || []).sort(compare).flatMap(function (row) {
        return [row].concat(self.tree ? walk(row) : []);
      });
    }
    return walk(null);
  };

  // "rank 3 -warm-up length>10": all words occur, those after a minus do not, figures compare.
  Table.prototype.matches = function (row) {
    var self = this, whole = row.textContent.toLowerCase();
    return this.state.filter.toLowerCase().split(/\s+/).filter(Boolean).every(function (word) {
      var rule = /^([^<>]+)([<>])(.*\d.*)$/.exec(word);
      var column = rule ? self.heads.findIndex(function (head) {
        return head.textContent.toLowerCase().startsWith(rule[1]);
      }) : -1;
      if (column >= 0) {
        var value = number(text(row, column));
        return value !== null && (rule[2] === "<" ? value < number(rule[3]) : value > number(rule[3]));
      }
      return word.length > 1 && word[0] === "-" && !/^-[\d.]/.test(word)
        ? !whole.includes(word.slice(1)) : whole.includes(word);
    });
  };

  Table.prototype.show = function () {
    var self = this, parents = this.parents(), found = new Set();
    this.rows.forEach(function (row) {
      if (!self.matches(row)) return;
      for (var one = row; one; one = parents[self.rows.indexOf(one)]) found.add(one);
    });
    var sorted = this.sorted(), body = this.table.tBodies[0], shown = 0, most = this.most;
    body.append.apply(body, sorted);
    sorted.forEach(function (row) {
      row.hidden = !found.has(row) || shown >= most;
      shown += row.hidden ? 0 : 1;
    });
    this.tell(shown, found.size);
  };

  Table.prototype.tell = function (shown, found) {
    var state = this.state;
    this.heads.forEach(function (head, column) {
      if (head.tagName === "TH") head.setAttribute("aria-sort", column !== state.column ? "none"
        : state.up ? "ascending" : "descending");
    });
    this.count.textContent = shown === this.rows.length ? "" : shown === found
      ? found + " of " + this.rows.length : shown + " of " + found;
    this.more.hidden = shown >= found;
    this.more.textContent = found - shown > PAGE ? PAGE + " more" : "all " + found;
  };

  Table.prototype.sort = function (column) {
    var state = this.state, first = !this.heads[column].classList.contains("number");
    if (state.column !== column) { state.column = column; state.up = first; }
    else if (state.up === first) state.up = !first;
    else state.column = -1;  // the third time: as it came
    this.show();
  };

  // What is found, shown or not, as lists of texts under the titles.
  Table.prototype.content = function () {
    var self = this;
    var rows = this.sorted().filter(function (row) { return self.matches(row); });
    rows = [this.table.tHead.rows[0]].concat(rows, Array.from((this.table.tFoot || {}).rows || []));
    return rows.map(function (row) {
      return self.heads.map(function (_, column) {
        var cell = row.cells[column], whole = cell && cell.querySelector("[data-whole]");
        return whole ? whole.getAttribute("title") : text(row, column);
      });
    });
  };

  Table.prototype.copy = function (button) {
    var lines = this.content().map(function (row) { return row.join("\t"); }).join("\n");
    var tell = function (words) {
      button.textContent = words;
      setTimeout(function () { button.textContent = "Copy"; }, 1500);
    };
    if (!navigator.clipboard) { tell("not allowed here"); return; }
    navigator.clipboard.writeText(lines).then(
      function () { tell("copied"); }, function () { tell("not allowed here"); });
  };

  Table.prototype.save = function () {
    var lines = this.content().map(function (row) {
      return row.map(function (cell) {
        // A cell that begins like a formula would be one in a spreadsheet.
        var plain = /^[=@\t\r]|^[+\-](?![\d.])/.test(cell) ? "'" + cell : cell;
        return /[",\n]/.test(plain) ? '"' + plain.replace(/"/g, '""') + '"' : plain;
      }).join(",");
    });
    var file = new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" });
    var link = element("a", { href: URL.createObjectURL(file), download: "dpprof-" + this.id + ".csv" });
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  };

  Table.prototype.frame = function () {
    var self = this, tools = element("div", { "class": "table-tools" });
    this.heads.forEach(function (head, column) {
      var button = element("button", { "class": "sort", type: "button" }, head.textContent);
      button.addEventListener("click", function () { self.sort(column); });
      if (head.textContent) head.replaceChildren(button);
    });
    if (this.rows.length >= FEW) tools.append(this.filter());
    this.count = element("span", { "class": "count", role: "status" });
    this.more = element("button", { "class": "link", type: "button" });
    this.more.addEventListener("click", function () { self.most += PAGE; self.show(); });
    var copy = element("button", { "class": "link", type: "button", title: "Copy the rows that are found" }, "Copy");
    copy.addEventListener("click", function () { self.copy(copy); });
    var csv = element("button", { "class": "link", type: "button", title: "Save the rows that are found" }, "CSV");
    csv.addEventListener("click", function () { self.save(); });
    tools.append(this.count, this.more, copy, csv);
    (this.table.closest(".scroll") || this.table).before(tools);
  };

  Table.prototype.filter = function () {
    var self = this, input = element("input", {
      type: "search", placeholder: "filter", "aria-label": "Filter " + this.id,
      title: "All words must occur; -word must not; length>10 compares a column's figures",
    });
    input.value = this.state.filter;
    input.addEventListener("input", function () {
      self.state.filter = input.value;
      self.show();
    });
    return input;
  };

  function enhance(root) {
    root.querySelectorAll("table.figures").forEach(function (table) {
      if (!table.dpprofTable && table.tHead && table.tBodies.length) table.dpprofTable = new Table(table);
    });
  }

  // The HTML of a piece stands in one child of its own: what React put there is left alone.
  function mount(piece) {
    if (piece.dpprofContent) piece.dpprofContent.remove();
    var html = piece.getAttribute("data-html");
    piece.dpprofContent = null;
    if (html === null) return;
    piece.dpprofContent = element("div");
    piece.dpprofContent.innerHTML = html;
    piece.append(piece.dpprofContent);
    enhance(piece);
  }

  function mountNew() {
    document.querySelectorAll("[data-html]").forEach(function (piece) {
      if (!piece.dpprofContent) mount(piece);
    });
  }

  new MutationObserver(function (changes) {
    changes.forEach(function (change) {
      if (change.type === "attributes") mount(change.target);
    });
    mountNew();
  }).observe(document.documentElement, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["data-html"],
  });

  // Links in a piece change the address as Dash's own do: the page is not loaded anew.
  document.addEventListener("click", function (event) {
    var link = event.target.closest("[data-html] a[href]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.origin !== window.location.origin || link.hasAttribute("download")) return;
    event.preventDefault();
    var away = link.pathname !== window.location.pathname;
    window.dpprof.setProps("url", { pathname: link.pathname, search: link.search });
    if (away) window.scrollTo(0, 0);
  });

  document.addEventListener("DOMContentLoaded", function () { mountNew(); enhance(document); });
  if (document.readyState !== "loading") enhance(document);
})();

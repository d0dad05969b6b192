"use strict";
// The page is whole without this script. It sorts and filters tables, hides series and reads values off the figures.
(() => {
  const make = (tag, settings = {}, text = "") => Object.assign(document.createElement(tag), settings, { textContent: text });
  const words = new Intl.Collator("en", { numeric: true });

  // What a cell says as a number: seconds for durations, the first number for anything else, nothing for a dash.
  const numberIn = (text) => {
    const plain = text.replace(/,/g, "").replace(/\u2212/g, "-");
    const time = plain.match(/^(?:(\d+) h)? ?(?:(\d+) min)? ?(?:([\d.]+) s)?$/);
    if (time && time[0]) return 3600 * (time[1] || 0) + 60 * (time[2] || 0) + Number(time[3] || 0);
    const found = plain.match(/[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?/);
    return found ? Number(found[0]) : null;
  };

  const compare = (one, two, numeric) => {
    if (!numeric) return words.compare(one, two);
    const [first, second] = [numberIn(one), numberIn(two)];
    if (first === null || second === null) return (first === null) - (second === null);
    return first - second;
  };

  const sortBy = (table, heading, column, numeric) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
    rows.sort(([one], [two]) => {
      const unknown = numeric && (numberIn(one) === null || numberIn(two) === null);
      return (down && !unknown ? -1 : 1) * compare(one, two, numeric);
    });
    body.append(...rows.map(([, row]) => row));
  };

  const sortable = (table) => {
    [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((heading, column) => {
      const button = make("button", { type: "button", className: "sort", title: "Sort" }, heading.textContent);
      button.addEventListener("click", () => sortBy(table, heading, column, heading.classList.contains("n")));
      heading.replaceChildren(button);
    });
  };

  const filterable = (table) => {
    const label = make("label", { className: "filter" }, "Filter: ");
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const count = make("span", { className: "small" });
    count.setAttribute("role", "status");
    input.setAttribute("aria-label", `Filter: ${table.caption.textContent}`);
    label.append(input, " ", count);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      count.textContent = wanted ? `${shown} of ${table.tBodies[0].rows.length}` : "";
    });
    table.parentElement.before(label);
  };

  for (const table of document.querySelectorAll("table:not(.facts)")) {
    const rows = table.tBodies[0].rows.length;
    if (rows > 1) sortable(table);
    if (rows > 8) filterable(table);
  }

  // Figures: a button for each series that shows or hides it in all panels.
  const toggles = (figure) => {
    const names = new Set([...figure.querySelectorAll("[data-series]")].map((part) => part.dataset.series));
    if (names.size < 2) return;
    const row = make("div", { className: "toggles" });
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Series shown");
    row.append(make("span", { className: "small" }, "Show:"));
    for (const name of names) {
      const button = make("button", { type: "button" }, name);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(shown));
        for (const part of figure.querySelectorAll("[data-series]")) {
          if (part.dataset.series === name) part.classList.toggle("off", !shown);
        }
      });
      row.append(button);
    }
    figure.querySelector(".panels").before(row);
  };

  // From a place in the drawing to a value of its axis, whose ends lie at two places.
  const valueAt = (place, [from, to], [low, high], scale) => {
    const share = (place - from) / (to - from);
    return scale === "log" ? low * (high / low) ** share : low + share * (high - low);
  };

  const shownAs = (value) => {
    const size = Math.abs(value);
    return size >= 1e6 || (size && size < 1e-3) ? value.toExponential(2) : size >= 100 ? value.toFixed(0) : value.toPrecision(3);
  };

  // The vertices that a reader may ask for: markers where there are any, else the corners of the line.
  const verticesOf = (part) => {
    const markers = [...part.querySelectorAll("use")].map((mark) => [Number(mark.getAttribute("x")), Number(mark.getAttribute("y"))]);
    if (markers.length) return markers;
    const numbers = (part.querySelector("path")?.getAttribute("d").match(/-?[\d.]+/g) || []).map(Number);
    return numbers.flatMap((x, index) => (index % 2 ? [] : [[x, numbers[index + 1]]]));
  };

  const readable = (drawing, readout) => {
    const [left, right, bottom, top, xLow, xHigh, yLow, yHigh] = drawing.dataset.axes.split(" ").map(Number);
    const [xScale, yScale] = drawing.dataset.scales.split(" ");
    const lines = [...drawing.querySelectorAll("[data-values]")].map((part) => ({ part, vertices: verticesOf(part) }));
    const places = [...new Set(lines.flatMap(({ vertices }) => vertices.map(([x]) => x)))].sort((one, two) => one - two);
    if (!places.length) return;
    const rule = document.createElementNS("http://www.w3.org/2000/svg", "path");
    rule.setAttribute("class", "rule");
    drawing.append(rule);
    let at = -1;

    const said = (x) => {
      const found = [];
      for (const { part, vertices } of lines) {
        if (part.classList.contains("off")) continue;
        const role = part.dataset.values;
        vertices.forEach(([px, py], index) => {
          if (Math.abs(px - x) > (role[0] === "@" ? 3 : 0.3)) return;
          const what = role[0] === "@" ? role.slice(1).split("|")[index] : role;
          found.push(`${part.dataset.series} ${what}: ${shownAs(valueAt(py, [bottom, top], [yLow, yHigh], yScale))}`);
        });
      }
      return found;
    };

    const show = (index) => {
      at = Math.max(0, Math.min(places.length - 1, index));
      const x = places[at];
      const value = shownAs(valueAt(x, [left, right], [xLow, xHigh], xScale));
      rule.setAttribute("d", `M${x} ${top}V${bottom}`);
      const name = drawing.querySelector("title")?.textContent.split(": ").pop();
      readout.textContent = `${name}, ${drawing.dataset.x.split(",")[0]} ${value} (${drawing.dataset.y}): ${said(x).join(", ") || "nothing shown"}`;
    };

    const hide = () => {
      rule.removeAttribute("d");
      readout.textContent = readout.dataset.idle;
    };

    drawing.addEventListener("pointermove", (event) => {
      const { x } = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      const nearest = places.reduce((best, place, index) => (Math.abs(place - x) < Math.abs(places[best] - x) ? index : best), 0);
      show(nearest);
    });
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -places.length, End: places.length };
      if (!(event.key in steps)) return;
      event.preventDefault();
      show(at + steps[event.key]);
    });
    drawing.setAttribute("tabindex", "0");
  };

  for (const figure of document.querySelectorAll("figure")) {
    toggles(figure);
    if (!figure.querySelector("[data-values]")) continue;  // bars say their values in the table
    const readout = make("p", { className: "readout small" }, "Point at a figure, or go to it with Tab and along it with the arrow keys, to read its values.");
    readout.dataset.idle = readout.textContent;
    readout.setAttribute("role", "status");
    figure.querySelector(".panels").after(readout);
    for (const drawing of figure.querySelectorAll("svg[data-axes]")) readable(drawing, readout);
  }

  // A link into something folded opens it, and print shows everything.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();
})();

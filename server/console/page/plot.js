// Plots of the last minutes: lines and areas in SVG, with a table that says the same.

import { h, s, put, say, clock, id } from "./dom.js";
import { live, part } from "./live.js";

const height = 132;
const foot = 18; // for the times

let span = 15 * 60000;
let pointed = null; // the time that the pointer is at, in all plots
const plots = new Set();

/** setSpan says how much time is shown, in milliseconds. */
export function setSpan(ms) {
  span = ms;
  drawPlots();
}

export const getSpan = () => span;

export function drawPlots() {
  const end = live.samples.length ? live.samples[live.samples.length - 1][part.at] : Date.now();
  for (const p of plots) p.draw(end);
}

/** nice is the least round number that is not below n. */
function nice(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  for (const f of [1, 2, 2.5, 5, 10]) if (f * power >= n * 0.999) return f * power;
  return 10 * power;
}

/** plot is a card: a figure, the lines, a table. lines: {name, at, tone, area}. */
export function plot({ title, unit, format, lines, least = 0 }) {
  const label = id("plot");
  const big = h("span", { class: "big" }, "–");
  const legend = h("ul", { class: "legend" }, lines.map((l) => h("li", { class: `tone-${l.tone}` }, h("span", { class: "swatch" }), l.name, " ", h("b", null, "–"))));
  const values = [...legend.querySelectorAll("b")];
  const svg = s("svg", { role: "img", class: "plot", height: height + foot, "aria-label": title });
  const table = h("tbody");
  const details = h("details", { ontoggle: () => rows() }, h("summary", null, "As a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` }, h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), lines.map((l) => h("th", { scope: "col", class: "num" }, l.name)))), table)));
  const card = h("figure", { class: "card plot-card", "aria-labelledby": label },
    h("figcaption", { id: label }, title, h("span", { class: "unit" }, unit)), h("div", { class: "plot-head" }, big, legend), svg, details);

  const grid = s("g", { class: "grid" });
  const shapes = lines.map((l) => ({
    area: l.area ? s("path", { class: `area tone-${l.tone}` }) : null,
    line: s("path", { class: `line tone-${l.tone}` }),
  }));
  const cursor = s("line", { class: "cursor", y1: 0, y2: height, visibility: "hidden" });
  svg.append(grid, ...shapes.flatMap((p) => [p.area, p.line].filter(Boolean)), cursor);

  let width = 300;
  let end = Date.now();
  const x = (t) => width - ((end - t) / span) * width;

  /** at is the sample of a time, or the latest. */
  function at(t) {
    const all = live.samples;
    if (!all.length) return null;
    if (t === null) return all[all.length - 1];
    let best = null;
    for (let i = all.length - 1; i >= 0; i--) {
      if (!best || Math.abs(all[i][0] - t) < Math.abs(best[0] - t)) best = all[i];
      else break;
    }
    return best && Math.abs(best[0] - t) < 15000 ? best : null;
  }

  function figures() {
    const one = at(pointed);
    say(big, one ? format(one[lines[0].at]) : "–");
    lines.forEach((l, i) => say(values[i], one ? format(one[l.at]) : "–"));
    if (pointed === null || !one) cursor.setAttribute("visibility", "hidden");
    else {
      cursor.setAttribute("visibility", "visible");
      cursor.setAttribute("x1", x(one[0]));
      cursor.setAttribute("x2", x(one[0]));
    }
  }

  function draw(until) {
    end = until;
    const seen = live.samples.filter((p) => p[0] >= end - span - 6000);
    let most = least;
    for (const p of seen) for (const l of lines) if (p[l.at] > most) most = p[l.at];
    const top = nice(most);
    const y = (v) => height - (v / top) * (height - 14);
    svg.setAttribute("viewBox", `0 0 ${width} ${height + foot}`);
    const steps = [0, 0.5, 1];
    const marks = [0.25, 0.5, 0.75];
    put(grid,
      steps.map((f) => s("line", { x1: 0, x2: width, y1: y(f * top), y2: y(f * top), class: f ? undefined : "base" })),
      steps.slice(1).map((f) => s("text", { x: 2, y: y(f * top) - 3 }, format(f * top))),
      marks.map((f) => s("text", { x: f * width, y: height + 13, "text-anchor": "middle" }, clock(end - span * (1 - f)).slice(0, 5))));
    lines.forEach((l, i) => {
      let d = "";
      let run = [];
      let area = "";
      const flush = () => {
        if (!run.length) return;
        if (run.length === 1) run.push([run[0][0] + 1, run[0][1]]);
        const path = run.map(([a, b], k) => `${k ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
        d += path;
        area += `${path}L${run[run.length - 1][0].toFixed(1)} ${height}L${run[0][0].toFixed(1)} ${height}Z`;
        run = [];
      };
      let before = 0;
      for (const p of seen) {
        if (p[l.at] === null || (before && p[0] - before > 20000)) flush();
        if (p[l.at] !== null) run.push([x(p[0]), y(p[l.at])]);
        before = p[0];
      }
      flush();
      shapes[i].line.setAttribute("d", d);
      if (shapes[i].area) shapes[i].area.setAttribute("d", area);
    });
    figures();
    const known = seen.filter((p) => p[lines[0].at] !== null).map((p) => p[lines[0].at]);
    svg.setAttribute("aria-label", known.length
      ? `${title}, ${unit}: ${lines[0].name} is ${format(known[known.length - 1])}, from ${format(Math.min(...known))} to ${format(Math.max(...known))} in the time that is shown`
      : `${title}: nothing yet`);
    rows();
  }

  /** rows writes the table, where it is open: one row for each twelfth of the time. */
  function rows() {
    if (!details.open) return;
    const step = span / 12;
    const list = [];
    for (let i = 0; i < 12; i++) {
      const from = end - (i + 1) * step;
      const seen = live.samples.filter((p) => p[0] > from && p[0] <= from + step);
      if (!seen.length) continue;
      const mean = (k) => {
        const v = seen.map((p) => p[k]).filter((n) => n !== null);
        return v.length ? v.reduce((a, b) => a + b, 0) / v.length : null;
      };
      list.push(h("tr", null, h("th", { scope: "row" }, clock(from + step)), lines.map((l) => h("td", { class: "num" }, format(mean(l.at))))));
    }
    put(table, list.length ? list : h("tr", null, h("td", { colspan: lines.length + 1 }, "Nothing yet.")));
  }

  svg.addEventListener("pointermove", (e) => {
    const box = svg.getBoundingClientRect();
    pointed = end - (1 - (e.clientX - box.left) / box.width) * span;
    for (const p of plots) p.figures();
  });
  svg.addEventListener("pointerleave", () => {
    pointed = null;
    for (const p of plots) p.figures();
  });

  const mine = { draw, figures };
  plots.add(mine);
  const resized = new ResizeObserver(() => {
    const w = Math.round(svg.getBoundingClientRect().width);
    if (w && w !== width) {
      width = w;
      draw(end);
    }
  });
  resized.observe(svg);
  return { card, leave() { plots.delete(mine); resized.disconnect(); } };
}

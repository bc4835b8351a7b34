// Routes: where requests go by the configuration in force, as a picture.

import { h, s, put, nothing, section, id } from "./dom.js";
import { ask } from "./ask.js";
import { live } from "./live.js";

const line = 17;
const letter = 7.1; // how wide one of the small font is, about

const clip = (text, width) => {
  const most = Math.max(6, Math.floor(width / letter));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};

/** conditions are those of a route, one a line. */
function conditions(r) {
  const all = [];
  if (r.models?.length) all.push(["model", r.models.join(" or ")]);
  if (r.tenants?.length) all.push(["tenant", r.tenants.join(" or ")]);
  for (const [name, value] of r.headers || []) all.push([name, value]);
  return all.length ? all : [["", "every request that is left"]];
}

const stateOf = (route, url) => live.backends?.find((r) => r.name === route)?.backends?.find((b) => b.url === url)?.state || "";

function detail(r, b) {
  const all = [];
  if (r.backends.length > 1) all.push(`weight ${b.weight}`);
  if (b.priority) all.push(`priority ${b.priority}`);
  if (b.model) all.push(`as ${b.model}`);
  if (b.max_requests) all.push(`at most ${b.max_requests} at once`);
  return all.join(", ") || r.provider;
}

const label = (x, y, text, width, cls) => s("text", { x, y, class: cls }, clip(text, width), s("title", null, text));

/** draw draws the picture for a width. lit is the route that decides; lacks say what others miss. */
function draw(routes, width, lit, lacks) {
  const narrow = width < 700;
  const start = narrow ? { w: 118, h: 34 } : { w: 112, h: 40 };
  const ruleX = narrow ? 26 : 168;
  const ruleW = narrow ? width - ruleX - 1 : Math.min(420, (width - 168) * 0.46);
  const backX = narrow ? 52 : ruleX + ruleW + Math.min(150, Math.max(70, width * 0.1));
  const backW = narrow ? width - backX - 1 : width - backX - 1;
  const links = s("g");
  const nodes = s("g");
  const any = lit !== null;
  const tone = (i) => (any ? (i === lit ? "lit" : "dim") : "");
  let y = narrow ? start.h + 26 : 6;
  const entries = [];
  routes.forEach((r, i) => {
    const lines = conditions(r);
    const ruleH = 40 + lines.length * line;
    const each = 46;
    const backH = r.backends.length * (each + 8) - 8;
    const top = y;
    let ruleY = top;
    let backY = top;
    if (narrow) {
      backY = top + ruleH + 12;
      y = backY + backH + 26;
    } else {
      const tall = Math.max(ruleH, backH);
      ruleY = top + (tall - ruleH) / 2;
      backY = top + (tall - backH) / 2;
      y = top + tall + 20;
    }
    const g = s("g", { class: `route ${tone(i)}` });
    g.append(s("rect", { x: ruleX, y: ruleY, width: ruleW, height: ruleH, rx: 10, class: "node" }),
      s("circle", { cx: ruleX + 20, cy: ruleY + 20, r: 10, class: "count" }), s("text", { x: ruleX + 20, y: ruleY + 24, "text-anchor": "middle", class: "count-text" }, String(i + 1)),
      label(ruleX + 38, ruleY + 25, r.name, ruleW - 150, "name"));
    if (any) {
      const word = i === lit ? "decides" : lacks?.[i] ? `${lacks[i]} differs` : "comes later";
      g.append(s("text", { x: ruleX + ruleW - 12, y: ruleY + 24, "text-anchor": "end", class: i === lit ? "word lit-word" : "word" }, clip(word, 190)));
    }
    lines.forEach(([name, value], k) => {
      const at = ruleY + 46 + k * line;
      if (name) g.append(label(ruleX + 14, at, name, 110, "key"));
      g.append(label(ruleX + 14 + (name ? Math.min(name.length, 15) * letter + 10 : 0), at, value, ruleW - 30 - (name ? Math.min(name.length, 15) * letter + 10 : 0), "value"));
    });
    r.backends.forEach((b, k) => {
      const by = backY + k * (each + 8);
      const bg = s("g", { class: `backend ${stateOf(r.name, b.url)}` });
      bg.append(s("rect", { x: backX, y: by, width: backW, height: each, rx: 10, class: "node sunk" }), s("circle", { cx: backX + 17, cy: by + each / 2, r: 4.5, class: "dot" }, s("title", null, stateOf(r.name, b.url) || "not known")),
        label(backX + 32, by + 20, b.url, backW - 44, "value strong"), label(backX + 32, by + 37, detail(r, b), backW - 44, "key"));
      g.append(bg);
      const most = Math.max(...r.backends.map((o) => o.weight));
      const stroke = 1.2 + 2.2 * (b.weight / most);
      const from = narrow ? [ruleX + 12, ruleY + ruleH] : [ruleX + ruleW, ruleY + ruleH / 2];
      const to = [backX, by + each / 2];
      const d = narrow ? `M${from[0]} ${from[1]}V${to[1] - 8}q0 8 8 8H${to[0]}` : `M${from[0]} ${from[1]}C${from[0] + 50} ${from[1]} ${to[0] - 50} ${to[1]} ${to[0]} ${to[1]}`;
      links.append(s("path", { d, class: `link ${tone(i)} ${b.priority > Math.min(...r.backends.map((o) => o.priority)) ? "later" : ""}`, "stroke-width": stroke }));
    });
    nodes.append(g);
    entries.push([ruleX, narrow ? ruleY + 20 : ruleY + ruleH / 2, i]);
  });
  const total = Math.max(y, 60);
  const startY = narrow ? 2 : Math.max(6, (total - start.h) / 2 - 6);
  for (const [ex, ey, i] of entries) {
    const d = narrow ? `M12 ${startY + start.h}V${ey - 8}q0 8 8 8H${ex}` : `M${start.w} ${startY + start.h / 2}C${start.w + 36} ${startY + start.h / 2} ${ex - 36} ${ey} ${ex} ${ey}`;
    links.append(s("path", { d, class: `link ${tone(i)}`, "stroke-width": 1.6 }));
  }
  nodes.append(s("rect", { x: 0, y: startY, width: start.w, height: start.h, rx: 10, class: "node start" }), s("text", { x: start.w / 2, y: startY + start.h / 2 + 5, "text-anchor": "middle", class: "name" }, "A request"));
  return s("svg", { class: "routes", width, height: total, viewBox: `0 0 ${width} ${total}`, role: "img", "aria-label": `A request goes to the first of ${routes.length} routes that it fits. The list below says the same.` }, links, nodes);
}

/** list says the same as the picture. */
const list = (routes) => h("details", null, h("summary", null, "As a list"), h("ol", { class: "plain-list" }, routes.map((r) => h("li", null,
  h("b", null, r.name), ": ", conditions(r).map(([n, v]) => (n ? `${n} ${v}` : v)).join(", "), " → ", r.backends.map((b) => `${b.url} (${detail(r, b)})`).join("; ")))));

export const routes = {
  title: "Routes",
  mount(root) {
    const stage = h("div", { class: "stage" });
    const below = h("div");
    const model = h("input", { id: id("model"), autocomplete: "off", spellcheck: "false", placeholder: "llama-70b" });
    const tenant = h("input", { id: id("tenant"), autocomplete: "off", spellcheck: "false" });
    const headers = h("textarea", { id: id("headers"), rows: 2, spellcheck: "false", placeholder: "x-team: search" });
    const verdict = h("p", { class: "verdict", role: "status" }, "Say what a request would bring, and the route that takes it lights up.");
    let known = null;
    let lit = null;
    let lacks = null;
    let width = 0;
    let alive = true;

    const paint = () => {
      if (known && width > 0) put(stage, draw(known, width, lit, lacks));
    };
    const form = h("form", {
      class: "card ask-form",
      onsubmit: async (e) => {
        e.preventDefault();
        const fields = headers.value.split("\n").map((l) => l.split(/:(.*)/s)).filter((p) => p[0].trim()).map((p) => [p[0].trim(), (p[1] || "").trim()]);
        try {
          const d = await ask("decide", { model: model.value, tenant: tenant.value, headers: fields });
          lacks = d.lacks;
          lit = d.kind ? -1 : d.route;
          const took = d.route >= 0 ? known[d.route] : null;
          verdict.className = `verdict ${d.kind ? "bad" : "ok"}`;
          put(verdict, d.kind ? `Refused, ${d.kind.replaceAll("_", " ")}: ${d.problem}` : ["Route ", h("b", null, took ? took.name : String(d.route)), d.model ? [" takes ", h("b", null, d.model)] : " takes it", "."]);
        } catch (err) {
          verdict.className = "verdict bad";
          put(verdict, err.message);
        }
        paint();
      },
    },
    h("div", null, h("label", { for: model.id }, "Model"), model), h("div", null, h("label", { for: tenant.id }, "Tenant"), tenant),
    h("div", null, h("label", { for: headers.id }, "Header fields, one a line"), headers),
    h("div", { class: "row" }, h("button", { type: "submit" }, "Which route?"), h("button", {
      type: "button", class: "plain", onclick: () => {
        lit = null;
        verdict.className = "verdict";
        put(verdict, "Say what a request would bring, and the route that takes it lights up.");
        paint();
      },
    }, "All")), verdict);
    root.append(h("div", { class: "split" }, section("Where requests go", "The first route that fits takes a request.", h("div", { class: "card" }, stage, below)), section("Try one", null, form)));

    const size = new ResizeObserver(() => {
      const w = Math.floor(stage.clientWidth);
      if (w && w !== width) {
        width = w;
        paint();
      }
    });
    size.observe(stage);
    ask("routes").then((answer) => {
      if (!alive) return;
      known = answer.routes;
      if (!known.length) put(stage, nothing("There are no routes.", "Set engine.backend_url, or routes."));
      put(below, list(known), known.length === 1 ? h("p", { class: "muted" }, "All requests go one way. Routes by model, tenant or header are written in the configuration, under routes.") : null);
      paint();
    }, (err) => put(stage, nothing("The routes cannot be shown.", err.message)));
    const stop = live.watch((name) => { if (name === "backends") paint(); });
    return () => {
      alive = false;
      stop();
      size.disconnect();
    };
  },
};

// Now: what the gateway does, over the last hour and at this moment.

import { h, put, say, number, time, bytes, clock, nothing, section } from "./dom.js";
import { live, part } from "./live.js";
import { plot, drawPlots, setSpan, getSpan } from "./plot.js";

const spans = [[5, "5 min"], [15, "15 min"], [60, "1 h"]];

const rate = (n) => number(n);

function cards() {
  return [
    plot({ title: "Requests", unit: "per second", format: rate, lines: [{ name: "all", at: part.requests, tone: "a", area: true }, { name: "failed", at: part.failures, tone: "bad" }] }),
    plot({ title: "First event", unit: "of streams", format: time, lines: [{ name: "median", at: part.first50, tone: "b" }, { name: "95 %", at: part.first95, tone: "c" }] }),
    plot({ title: "Latency", unit: "of requests", format: time, lines: [{ name: "median", at: part.took50, tone: "b" }, { name: "95 %", at: part.took95, tone: "c" }] }),
    plot({ title: "Tokens", unit: "per second", format: rate, lines: [{ name: "output", at: part.output, tone: "a", area: true }, { name: "input", at: part.input, tone: "c" }] }),
    plot({ title: "In flight", unit: "at the moment", format: rate, least: 1, lines: [{ name: "requests", at: part.inFlight, tone: "a", area: true }, { name: "streams", at: part.streams, tone: "b" }] }),
    plot({ title: "Failed", unit: "of a hundred requests", format: (n) => (n === null ? "–" : `${number(n)} %`), least: 1, lines: [{ name: "failed", at: part.share, tone: "bad", area: true }] }),
  ];
}

const states = { well: ["ok", "well"], "half-open": ["warn", "one at a time"], ejected: ["bad", "ejected"] };

function backendRow(b, most) {
  const [tone, word] = states[b.state] || ["warn", b.state];
  return h("tr", null,
    h("th", { scope: "row", class: "url" }, b.url),
    h("td", null, h("span", { class: `badge ${tone}` }, word, b.ejected_for_seconds ? ` for ${time(Math.ceil(b.ejected_for_seconds))}` : "")),
    h("td", { class: "load" }, h("meter", { min: 0, max: most, value: b.requests_in_flight, "aria-label": "Requests in flight" }), h("span", { class: "num" }, String(b.requests_in_flight))),
    h("td", { class: "num" }, String(b.failures_in_a_row)),
    h("td", { class: "num muted" }, b.priority ? `${b.weight} · ${b.priority}` : String(b.weight)));
}

function backends(root) {
  if (!live.backends) return;
  const most = Math.max(4, ...live.backends.flatMap((r) => (r.backends || []).map((b) => b.requests_in_flight)));
  put(root, live.backends.map((r) => h("div", { class: "card flush" },
    h("h3", null, r.name, h("span", { class: "muted" }, ` ${r.provider}${(r.backends || []).length > 1 ? `, ${r.balance.replace("_", " ")}` : ""}`)),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Backends of ${r.name}` }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col", class: "wide" }, "Backend"), h("th", { scope: "col" }, "State"), h("th", { scope: "col" }, "In flight"), h("th", { scope: "col", class: "num" }, "Failures in a row"), h("th", { scope: "col", class: "num" }, "Weight"))),
      h("tbody", null, (r.backends || []).map((b) => backendRow(b, most))))))));
}

function failures(root) {
  const f = live.failures;
  if (!f || !f.last.length) {
    put(root, nothing("Nothing has failed.", "A request that is refused or breaks off is listed here, by its kind and the id that the log has too."));
    return;
  }
  put(root, h("div", { class: "card flush" }, h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "The last failures" }, h("table", null,
    h("thead", null, h("tr", null, ["When", "Kind", "Status", "Request", "Model", "Backend", "After"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", null, f.last.map((x) => h("tr", null,
      h("td", { class: "muted" }, clock(x.at)),
      h("th", { scope: "row" }, h("span", { class: `badge ${x.status >= 500 || x.status < 400 ? "bad" : "warn"}` }, x.kind.replaceAll("_", " ")), x.limit ? h("span", { class: "muted" }, ` ${x.limit}`) : null),
      h("td", { class: "num" }, String(x.status)),
      h("td", null, h("code", null, x.id), h("span", { class: "muted block" }, x.endpoint)),
      h("td", { class: "clip" }, x.model || "–"),
      h("td", { class: "url" }, x.backend || "–"),
      h("td", { class: "num muted" }, time(x.took)))))))));
}

/** flights is the list of what is in flight. Its frame stays while rows come and go, so that who reads on stays where they are. */
function flights() {
  const rows = h("tbody");
  const more = h("p", { class: "muted pad" });
  const frame = h("div", { class: "card flush" }, h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Requests in flight" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Request"), h("th", { scope: "col" }, "Model"), h("th", { scope: "col" }, "Route"), h("th", { scope: "col", class: "num" }, "For"), h("th", { scope: "col", class: "num" }, "Answered"))), rows)), more);
  const none = nothing("Nothing is in flight.", "A request is listed here from its header to the last byte of its answer, those first that take longest.");
  const show = () => {
    const all = live.flights || [];
    frame.hidden = !all.length;
    none.hidden = !frame.hidden;
    put(rows, all.map((x) => h("tr", null,
      h("th", { scope: "row" }, h("code", null, x.id), h("span", { class: "muted block" }, x.endpoint)),
      h("td", { class: "clip" }, x.model || "–"),
      h("td", { class: "clip" }, x.route || "–"),
      h("td", { class: "num" }, time(x.age)),
      h("td", { class: "num" }, bytes(x.sent)))));
    const left = Math.max(0, (live.now?.in_flight || 0) - all.length);
    more.hidden = all.length < 50 || !left;
    say(more, `and ${number(left)} more`);
  };
  return { node: h("div", null, frame, none), show };
}

export const now = {
  title: "Now",
  mount(root) {
    const all = cards();
    const inFlight = h("b", null, "–");
    const streams = h("b", null, "–");
    const many = h("b", null, "–");
    const wrong = h("b", null, "–");
    const hint = h("div");
    const where = h("div", { class: "stack" });
    const failed = h("div");
    const flying = flights();
    const choice = h("fieldset", { class: "choice" }, h("legend", { class: "hidden" }, "How much time is shown"), spans.map(([min, text]) => h("label", null,
      h("input", { type: "radio", name: "span", value: String(min), checked: getSpan() === min * 60000, onchange: () => setSpan(min * 60000) }), h("span", null, text))));
    root.append(
      h("div", { class: "strip" }, h("p", null, inFlight, " in flight, ", streams, " of them streams"), h("p", null, many, " requests since the start, ", wrong, " failures"), choice),
      hint,
      h("div", { class: "plots" }, all.map((p) => p.card)),
      section("In flight", null, flying.node), section("Backends", null, where), section("Last failures", null, failed));

    function moment() {
      const n = live.now;
      say(inFlight, n ? number(n.in_flight) : "–");
      say(streams, n ? number(n.streams) : "–");
      say(many, n ? number(n.requests) : "–");
      say(wrong, n ? number(n.failures) : "–");
      const quiet = n && n.requests === 0 && n.in_flight === 0;
      if (quiet && !hint.firstChild) put(hint, nothing("Nobody has asked anything yet.", h("p", null, "Send a request to the server's own port; the plots begin with it.")));
      if (!quiet && hint.firstChild) put(hint);
    }
    const stop = live.watch((name) => {
      if (name === "hour" || name === "sample") drawPlots();
      if (name === "now") moment();
      if (name === "flights") flying.show();
      if (name === "backends") backends(where);
      if (name === "failures") failures(failed);
    });
    moment();
    flying.show();
    backends(where);
    failures(failed);
    drawPlots();
    return () => {
      stop();
      for (const p of all) p.leave();
    };
  },
};

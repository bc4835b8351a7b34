// Limits: who uses how much of what the configuration allows.

import { h, put, say, number, nothing, section } from "./dom.js";
import { ask } from "./ask.js";

const kinds = ["At once", "Requests a minute", "Tokens a minute", "Tokens a day", "Tokens a month"];
const every = 3000;

/** whose says who is counted apart. */
function whose(u) {
  const all = [];
  for (const what of ["tenant", "subject", "key", "model"]) if (u[what]) all.push([what, u[what]]);
  if (u.unnamed) return [h("span", { class: "muted" }, "somebody with a very long name")];
  const parts = all.map(([what, name]) => h("span", { class: "block" }, h("span", { class: "muted" }, `${what} `), name));
  if (u.others) parts.unshift(h("span", { class: "muted block" }, "all others"));
  return parts.length ? parts : [h("span", { class: "muted" }, "all together")];
}

function cell(used, limit, what) {
  if (!limit) return h("td", { class: "muted" }, "–");
  const share = used / limit;
  const tone = share >= 1 ? "bad" : share >= 0.8 ? "warn" : "";
  return h("td", { class: "load" }, h("meter", { min: 0, max: limit, value: Math.min(used, limit), high: limit * 0.8, "aria-label": what }),
    h("span", { class: `num ${tone}` }, `${number(used)} of ${number(limit)}`));
}

const ruleText = (r) => [
  r.per?.length ? `for each ${r.per.join(" and ")}` : "for all together",
  ...["subjects", "tenants", "models"].filter((m) => r[m]?.length).map((m) => `${m} ${r[m].join(", ")}`),
  ...r.limits.map((n, i) => (n ? `${kinds[i].toLowerCase()}: ${number(n)}` : null)).filter(Boolean),
  r.limits.some((n) => n) ? null : "no limit",
].filter(Boolean).join("; ");

export const limits = {
  title: "Limits",
  mount(root) {
    const note = h("p", { class: "muted" });
    const problem = h("p", { class: "bad", role: "status" });
    const rows = h("tbody");
    const frame = h("div", { class: "card flush" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Use" }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Rule"), h("th", { scope: "col" }, "Who"), kinds.map((k) => h("th", { scope: "col" }, k)))), rows)));
    const none = nothing("Nobody uses anything at the moment.", "Use is listed here as requests come, that of those first who have used the most of a limit.");
    const rules = h("ul", { class: "plain-list" });
    const use = section("Use", null, note, problem, none, frame);
    const known = section("Rules", "The first of a group that fits holds.", h("div", { class: "card" }, rules));
    const off = h("div");
    root.append(off, use, known);
    for (const part of [use, known, frame, none]) part.hidden = true;
    let alive = true;
    let timer = 0;
    let shown = "";

    function show(a) {
      const has = a.rules.length > 0;
      use.hidden = known.hidden = !has;
      if (!has) {
        if (!off.firstChild) {
          put(off, nothing("There are no limits.", "Callers may use as much as the backends give. Write rules in the configuration, for example:",
            h("pre", null, "limits:\n  rules:\n  - name: each-tenant\n    per: [tenant]\n    requests_per_minute: 600\n    tokens_per_day: 5000000")));
        }
        return;
      }
      put(off);
      const text = JSON.stringify(a.rules);
      if (text !== shown) {
        shown = text;
        put(rules, a.rules.map((r) => h("li", null, h("b", null, r.name), `: ${ruleText(r)}`)));
      }
      const uses = a.uses || [];
      say(problem, a.problem || "");
      say(note, `${a.shared ? "Of those whom this process has seen lately, with what all processes have counted. " : ""}${a.all > uses.length ? `${uses.length} of ${number(a.all)} are shown.` : ""}`);
      none.hidden = uses.length > 0 || !!a.problem;
      frame.hidden = !uses.length;
      put(rows, uses.map((u) => h("tr", null, h("th", { scope: "row" }, u.rule), h("td", { class: "who" }, whose(u)), u.limits.map((n, i) => cell(u.used[i], n, kinds[i])))));
    }

    async function look() {
      if (!document.hidden) {
        try {
          const a = await ask("limits");
          if (alive) show(a);
        } catch (err) {
          if (alive) {
            use.hidden = false;
            say(problem, err.message);
          }
        }
      }
      if (alive) timer = setTimeout(look, every);
    }
    look();
    return () => {
      alive = false;
      clearTimeout(timer);
    };
  },
};

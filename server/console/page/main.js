// The shell of the console: which view is shown, the token, the live feed.

import { h, put, say, time } from "./dom.js";
import { live } from "./live.js";
import { ask, follow, setToken } from "./ask.js";
import { now } from "./now.js";
import { routes } from "./routes.js";
import { bench } from "./bench.js";
import { limits } from "./limits.js";
import { state } from "./state.js";

const views = { now, routes, bench, limits, state };
const order = ["now", "routes", "bench", "limits", "state"];

const root = document.getElementById("view");
const tabs = document.getElementById("tabs");
const pulse = document.getElementById("pulse");

let about = null;
let leave = null; // ends the view that is shown

function current() {
  const name = location.hash.slice(1).split("/")[0];
  return order.includes(name) ? name : "now";
}

function showTabs() {
  const at = current();
  put(tabs, order.map((name) => h("li", null, h("a", { href: `#${name}`, "aria-current": name === at ? "page" : undefined }, views[name].title))));
}

function show(focus) {
  if (!about) return;
  if (location.hash === "#view") return;
  if (leave) leave();
  showTabs();
  const view = views[current()];
  document.title = `${view.title} · antwort console`;
  put(root, h("h1", { class: "hidden" }, view.title));
  leave = view.mount(root, about) || null;
  if (focus) root.focus({ preventScroll: true });
}

// The theme: that of the system until somebody chooses.
const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
function showTheme() {
  say(theme, isDark() ? "Light" : "Dark");
  theme.setAttribute("aria-label", isDark() ? "Show it light" : "Show it dark");
}
try {
  const chosen = localStorage.getItem("antwort-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* nothing is kept, then */ }
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("antwort-theme", document.documentElement.dataset.theme); } catch { /* likewise */ }
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

/** askToken asks for the token, and begins again with it. */
function askToken(wrong) {
  if (leave) leave();
  leave = null;
  about = null;
  put(tabs);
  const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-help" });
  put(root, h("form", {
    class: "card token",
    onsubmit: (e) => {
      e.preventDefault();
      setToken(field.value.trim());
      begin();
    },
  },
  h("h1", null, "The token, please"),
  h("p", { id: "token-help", class: "muted" }, "Others reach this port, so the console asks for the text of the file that server.admin.token_file names. It stays in this tab."),
  wrong ? h("p", { class: "bad", role: "alert" }, "That is not the token.") : null,
  h("label", { for: "token" }, "Token"), field,
  h("button", { type: "submit" }, "Open the console")));
  field.focus();
}

let tries = 0;
let feeding = null;

async function begin() {
  let answer;
  try {
    answer = await ask("about");
  } catch (e) {
    if (e.status === 401) return askToken(e.hadToken);
    put(root, h("div", { class: "card token" }, h("h1", null, e.status ? "No console here" : "The server does not answer"), h("p", null, e.message)));
    if (!e.status) setTimeout(begin, 3000);
    return;
  }
  about = answer;
  say(document.getElementById("about"), [about.provider, about.version].filter(Boolean).join(" · "));
  show();
  feed();
}

/** feed follows what the server tells, for as long as the page is looked at. */
async function feed() {
  if (feeding) return;
  feeding = new AbortController();
  const mine = feeding;
  try {
    await follow("feed", null, mine.signal, (name, data) => {
      tries = 0;
      live.take(name, data);
      beat(true);
    });
  } catch (e) {
    if (e.status === 401) { feeding = null; return askToken(e.hadToken); }
  }
  if (feeding === mine) feeding = null;
  if (mine.signal.aborted || document.hidden || !about) return;
  beat(false);
  setTimeout(feed, Math.min(10000, 500 * 2 ** tries++));
}

function beat(good) {
  pulse.dataset.state = good ? "live" : "lost";
  say(pulse, good ? upFor() : "no connection");
}

function upFor() {
  const minutes = Math.floor((Date.now() - about.started) / 60000);
  return minutes < 1 ? "just started" : minutes < 120 ? `up ${minutes} min` : `up ${time(minutes * 60)}`;
}

document.addEventListener("visibilitychange", () => {
  if (!about) return;
  if (!document.hidden) return void feed();
  if (feeding) feeding.abort();
  feeding = null;
});
addEventListener("hashchange", () => show(true));
begin();

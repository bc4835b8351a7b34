// What is shown is made of elements and text, never of markup: a text of others stays a text.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "open") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(4).filter((c) => c !== undefined && c !== null && c !== false).map((c) => (c instanceof Node ? c : String(c))));
  return node;
}

/** h makes an element of HTML. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** s makes an element of SVG. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** put lets a node have these children and no others. */
export function put(node, ...children) {
  node.replaceChildren();
  return fill(node, null, children);
}

/** say changes the text of a node where it is another. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** number writes a number with few digits. */
export function number(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return "–";
  const size = Math.abs(n);
  if (size >= 1e9) return `${trim(n / 1e9)}G`;
  if (size >= 1e6) return `${trim(n / 1e6)}M`;
  if (size >= 1e4) return `${trim(n / 1e3)}k`;
  if (size >= 100 || Number.isInteger(n)) return String(Math.round(n));
  return size >= 1 ? n.toFixed(1) : n.toFixed(2);
}

const trim = (n) => (Math.abs(n) >= 100 ? n.toFixed(0) : n.toFixed(1)).replace(/\.0$/, "");

/** time writes seconds. */
export function time(sec) {
  if (sec === null || sec === undefined || Number.isNaN(sec)) return "–";
  if (sec < 0.0095) return `${(sec * 1000).toFixed(1)} ms`;
  if (sec < 1) return `${Math.round(sec * 1000)} ms`;
  if (sec < 10) return `${sec.toFixed(2)} s`;
  if (sec < 120) return `${sec.toFixed(0)} s`;
  if (sec < 7200) return `${Math.floor(sec / 60)} min ${String(Math.round(sec % 60)).padStart(2, "0")} s`;
  return `${Math.floor(sec / 3600)} h ${String(Math.floor((sec % 3600) / 60)).padStart(2, "0")} min`;
}

/** clock writes the time of day. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

/** bytes writes a size. */
export const bytes = (n) => (n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1048576).toFixed(1)} MiB`);

/** nothing says what to do where there is nothing to show. */
export const nothing = (title, ...what) => h("div", { class: "nothing" }, h("p", { class: "nothing-title" }, title), ...what.map((w) => (typeof w === "string" ? h("p", null, w) : w)));

/** section is a part of a view with a heading. */
export function section(title, note, ...children) {
  return h("section", { class: "part" }, h("div", { class: "part-head" }, h("h2", null, title), note ? h("p", { class: "muted" }, note) : null), ...children);
}

let ids = 0;
/** id is a new one. */
export const id = (prefix) => `${prefix}-${++ids}`;

// State: what is stored of an owner, to read and to delete. Texts come only where the server lets them.

import { h, put, say, number, bytes, nothing, section, id } from "./dom.js";
import { ask } from "./ask.js";

const when = (ms) => new Date(ms).toLocaleString([], { hour12: false, dateStyle: "short", timeStyle: "medium" });
const wire = (t) => (t.conversation ? `conv_${t.id}` : `resp_${t.id}`);
const tones = { completed: "ok", queued: "info", in_progress: "info", failed: "bad" };

/** confirmed asks whether something shall go for good. */
function confirmed(what) {
  return new Promise((done) => {
    const heading = id("dialog");
    const dialog = h("dialog", { class: "card ask", "aria-labelledby": heading, onclose: () => {
      dialog.remove();
      done(dialog.returnValue === "yes");
    } },
    h("h2", { id: heading }, "Delete it for good?"), h("p", null, what), h("p", { class: "muted" }, "It cannot be brought back. The log says that it was deleted."),
    h("div", { class: "row" }, h("button", { type: "button", class: "plain", onclick: () => dialog.close("no") }, "Keep it"), h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, "Delete")));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** readable makes a text of items that are whole JSON; what was cut is shown as it is. */
function readable(text) {
  let items;
  try { items = JSON.parse(text); } catch { return `${text}…`; }
  const said = (c) => (typeof c === "string" ? c : Array.isArray(c) ? c.map((p) => p?.text ?? p?.refusal ?? `[${p?.type ?? "part"}]`).join("\n") : "");
  return (Array.isArray(items) ? items : [items]).map((i) => {
    const head = [i?.type ?? "message", i?.role, i?.name].filter(Boolean).join(", ");
    const body = said(i?.content) || said(i?.summary) || (i?.arguments ?? "") || said(i?.output);
    return `${head}: ${body || JSON.stringify(i)}`;
  }).join("\n\n");
}

const texts = (name, text, size) => (text ? h("div", null, h("h3", null, name, h("span", { class: "muted" }, ` ${bytes(size)}`)), h("pre", { tabindex: "0", role: "region", "aria-label": name }, readable(text))) : null);

/** pages shows a list a page at a time: forth, and back to its beginning. */
function pages(load) {
  const first = h("button", { type: "button", class: "plain", onclick: () => load(null) }, "First page");
  const next = h("button", { type: "button", class: "plain", onclick: () => load(next.after) }, "Next page");
  const bar = h("div", { class: "row pad" }, first, next);
  bar.hidden = true;
  return { bar, at: (begun, after) => {
    first.disabled = begun;
    next.disabled = !after;
    next.after = after;
    bar.hidden = begun && !after;
  } };
}

export const state = {
  title: "State",
  mount(root) {
    const tenant = h("input", { id: id("tenant"), autocomplete: "off", spellcheck: "false" });
    const subject = h("input", { id: id("subject"), autocomplete: "off", spellcheck: "false" });
    const problem = h("p", { class: "bad", role: "alert" });
    const note = h("p", { class: "muted" });
    const most = h("div");
    const list = h("div");
    const detail = h("div");
    let whose = null; // the question's part that says it
    let allowed = 0; // bytes of texts
    let alive = true;

    const fault = (err) => { if (alive) say(problem, err.message); };
    const q = (more) => ({ ...whose, ...more });

    async function remove(what, question, then) {
      if (!await confirmed(what)) return;
      try {
        await ask("remove", q(question));
        say(problem, "");
        if (alive) then();
      } catch (err) { fault(err); }
    }

    function turnCard(t, thread, again) {
      const facts = [["When", when(t.at)], ["Model", t.model || "–"], ["Tokens", `${number(t.input_tokens)} in, ${number(t.output_tokens)} out`], ["Input", bytes(t.input_bytes)], ["Output", bytes(t.output_bytes)]];
      if (t.parent) facts.push(["After", `resp_${t.parent}`]);
      return h("li", { class: "card" },
        h("div", { class: "facts" }, h("code", null, `resp_${t.id}`), t.unreadable ? h("span", { class: "badge bad" }, "sealed with a key that is gone") : h("span", { class: `badge ${tones[t.status] || "warn"}` }, t.status.replaceAll("_", " ")),
          t.background ? h("span", { class: "badge info" }, "background") : null,
          h("button", { type: "button", class: "danger end", "aria-label": `Delete the response resp_${t.id}`, onclick: () => remove(`The response resp_${t.id}. Those after it can be read still, and not continued.`, { response: t.id }, again) }, "Delete")),
        t.unreadable ? null : h("dl", { class: "facts" }, facts.map(([k, v]) => h("div", null, h("dt", null, k), h("dd", null, v)))),
        t.input || t.output ? h("div", { class: "sides" }, texts("Input", t.input, t.input_bytes), texts("Output", t.output, t.output_bytes)) : null);
    }

    async function open(thread) {
      const turns = h("ol", { class: "stack" });
      const items = h("tbody");
      const heading = h("h2", { tabindex: "-1" }, thread.conversation ? "Conversation " : "Thread ", h("code", null, wire(thread)));
      const loadTurns = async (after) => {
        const a = await ask("turns", q({ thread: thread.id, after: after || undefined })).catch(fault);
        if (!a || !alive) return;
        const last = a.turns[a.turns.length - 1];
        put(turns, a.turns.length ? a.turns.map((t) => turnCard(t, thread, () => loadTurns(after))) : h("li", { class: "muted" }, after ? "There are no more." : "It has no responses."));
        turnPages.at(!after, a.more && last ? { at: last.at, id: last.id } : null);
      };
      const loadItems = async (after) => {
        const a = await ask("items", q({ thread: thread.id, item: after || "" })).catch(fault);
        if (!a || !alive) return;
        put(items, a.items.map((i) => h("tr", null, h("th", { scope: "row" }, h("code", null, i.id)), h("td", null, [i.type || "message", i.role].filter(Boolean).join(", ")), h("td", { class: "num" }, bytes(i.bytes)),
          allowed ? h("td", { class: "texts" }, i.text ? readable(i.text) : "–") : null)));
        itemPages.at(!after, a.more && a.items.length ? a.items[a.items.length - 1].id : null);
      };
      const turnPages = pages(loadTurns);
      const itemPages = pages(loadItems);
      put(detail, h("section", { class: "part" }, h("div", { class: "part-head" }, heading,
        h("button", { type: "button", class: "danger", onclick: () => remove(`All of ${wire(thread)}: ${thread.responses} responses${thread.conversation ? " and the conversation's items" : ""}.`, { thread: thread.id }, () => {
          put(detail);
          load(null);
        }) }, "Delete all of it")),
      turns, turnPages.bar,
      thread.conversation ? section("Items", null, h("div", { class: "card flush" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Items" }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Item"), h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "num" }, "Size"), allowed ? h("th", { scope: "col" }, "Text") : null)), items)), itemPages.bar)) : null));
      await loadTurns(null);
      if (thread.conversation) await loadItems(null);
      if (alive) heading.focus();
    }

    async function load(after) {
      const a = await ask("threads", q({ after: after || undefined })).catch(fault);
      if (!a || !alive) return;
      say(problem, "");
      const paging = pages(load);
      const last = a.threads[a.threads.length - 1];
      paging.at(!after, a.more && last ? { at: last.at, id: last.id } : null);
      put(list, section("Threads", "The newest first.", a.threads.length ? h("div", { class: "card flush" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Threads" }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Thread"), h("th", { scope: "col" }, "Kind"), h("th", { scope: "col" }, "Began"), h("th", { scope: "col" }, "Expires"), h("th", { scope: "col", class: "num" }, "Responses"), h("th", { scope: "col", class: "num" }, "Size"))),
        h("tbody", null, a.threads.map((t) => h("tr", null,
          h("th", { scope: "row" }, h("button", { type: "button", class: "link-button", onclick: () => open(t) }, wire(t))),
          h("td", null, t.conversation ? "conversation" : "thread"), h("td", null, when(t.at)), h("td", null, t.expires ? when(t.expires) : "never"),
          h("td", { class: "num" }, number(t.responses)), h("td", { class: "num" }, bytes(t.bytes))))))), paging.bar)
        : nothing(after ? "There are no more." : "Nothing is stored for this owner.", "Responses with store: true, and conversations, are listed here until they expire.")));
    }

    function choose(who) {
      whose = who;
      put(detail);
      return load(null);
    }

    function owners(a) {
      if (a.auth === "none" || !a.owners?.length) return put(most);
      return put(most, section("Who has the most", "As of the last minute.", h("div", { class: "card flush" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Owners" }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Owner"), h("th", { scope: "col", class: "num" }, "Responses"), h("th", { scope: "col", class: "num" }, "Conversations"), h("th", { scope: "col", class: "num" }, "Size"))),
        h("tbody", null, a.owners.map((o) => h("tr", null,
          h("th", { scope: "row" }, h("button", { type: "button", class: "link-button", onclick: () => choose({ digest: o.digest }) }, [o.tenant, o.subject].filter(Boolean).join(", ") || o.digest)),
          h("td", { class: "num" }, number(o.responses)), h("td", { class: "num" }, number(o.conversations)), h("td", { class: "num" }, bytes(o.bytes)))))))), a.all > a.owners.length ? h("p", { class: "muted" }, `${a.owners.length} of ${number(a.all)} owners.`) : null));
    }

    root.append(note, problem, most, list, detail);
    ask("owners").then((a) => {
      if (!alive) return;
      if (a.type === "none") {
        put(list, nothing("Nothing is stored.", "The server keeps no responses and no conversations. To keep them, write for example:", h("pre", null, "state:\n  type: sqlite\n  sqlite: {path: /var/lib/antwort/state.db}")));
        return;
      }
      allowed = a.texts;
      say(note, allowed ? `Of each text the first ${bytes(allowed)} are shown (observability.capture).` : "Texts are not shown: observability.capture would allow it.");
      if (a.auth === "none") {
        choose({});
        return;
      }
      owners(a);
      put(list, nothing("Say whose.", "Owners are digests in the store: name the tenant, or the subject of a caller without one."));
      most.before(h("form", { class: "card ask-form whose", onsubmit: (e) => {
        e.preventDefault();
        choose({ tenant: tenant.value.trim(), subject: subject.value.trim() });
      } },
      h("div", null, h("label", { for: tenant.id }, "Tenant"), tenant), h("div", null, h("label", { for: subject.id }, "Subject"), subject), h("div", { class: "row" }, h("button", { type: "submit" }, "Show"))));
    }, fault);
    return () => {
      alive = false;
      for (const d of document.querySelectorAll("dialog")) d.close("no");
    };
  },
};

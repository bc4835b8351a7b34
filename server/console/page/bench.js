// Bench: a request, and all that becomes of it.

import { h, put, say, time, number, bytes, nothing, section, id } from "./dom.js";
import { ask, follow } from "./ask.js";
import { examples } from "./examples.js";
import { zip } from "./zip.js";

const maxRows = 500; // of the timeline
const maxText = 200000; // letters of one text that are shown

/** Frames cuts bytes of an event stream into its events. */
class Frames {
  rest = "";

  add(text) {
    this.rest += text;
    const found = [];
    for (;;) {
      const end = /\r?\n\r?\n/.exec(this.rest);
      if (!end) return found;
      found.push(this.rest.slice(0, end.index));
      this.rest = this.rest.slice(end.index + end[0].length);
    }
  }
}

const dataOf = (frame) => frame.split(/\r?\n/).filter((l) => l.startsWith("data:")).map((l) => l.slice(5).replace(/^ /, "")).join("\n");

const parse = (text) => {
  try { return JSON.parse(text); } catch { return undefined; }
};

const pretty = (text) => {
  const v = parse(text);
  return v === undefined ? text : JSON.stringify(v, null, 2);
};

const short = (v, n = 90) => {
  const text = typeof v === "string" ? JSON.stringify(v) : JSON.stringify(v) ?? "";
  return text.length > n ? `${text.slice(0, n - 1)}…` : text;
};

/** brief says what a chat chunk brings. */
function briefChunk(frame) {
  const data = dataOf(frame) || frame;
  if (data === "[DONE]") return ["[DONE]", ""];
  const v = parse(data);
  if (!v) return ["not JSON", short(data)];
  if (v.error) return ["error", short(v.error)];
  const choice = v.choices?.[0];
  const delta = choice?.delta || choice?.message || {};
  for (const k of ["content", "reasoning", "reasoning_content", "refusal"]) if (typeof delta[k] === "string" && delta[k] !== "") return [k, short(delta[k])];
  const call = delta.tool_calls?.[0]?.function;
  if (call) return [call.name ? `call ${call.name}` : "arguments", short(call.arguments ?? "")];
  if (choice?.finish_reason) return ["finish", choice.finish_reason];
  if (v.usage) return ["usage", `${v.usage.prompt_tokens} in, ${v.usage.completion_tokens} out`];
  if (delta.role) return ["role", delta.role];
  return [v.object || "chunk", ""];
}

function briefEvent(frame) {
  const data = dataOf(frame);
  if (data === "[DONE]") return ["[DONE]", ""];
  if (!data) return ["comment", short(frame)];
  const v = parse(data);
  if (!v) return ["not JSON", short(data)];
  const name = String(v.type || "event").replace(/^response\./, "");
  if (typeof v.delta === "string") return [name, short(v.delta)];
  if (v.item) return [name, [v.item.type, v.item.name].filter(Boolean).join(" ")];
  if (v.response) return [name, v.response.error ? short(v.response.error.message) : String(v.response.status || "")];
  if (typeof v.text === "string") return [name, short(v.text)];
  if (v.code || v.message) return [name, short(v.message || v.code)];
  return [name, v.part ? String(v.part.type) : ""];
}

const cell = (kind, [name, text], raw, ms) => h("details", { class: `cell ${kind}` }, h("summary", null, h("span", { class: "ms" }, `${ms.toFixed(1)}`), h("span", { class: "cell-name" }, name), " ", h("span", { class: "cell-text" }, text)), h("pre", null, pretty(dataOf(raw) || raw).slice(0, maxText)));

/** answerOf are the parts of an answer that somebody reads. */
function answerOf(items) {
  const parts = [];
  for (const item of items) {
    if (item.type === "message") for (const c of item.content || []) parts.push(["text", c.text ?? c.refusal ?? ""]);
    else if (item.type === "reasoning") parts.push(["thought", [...(item.summary || []), ...(item.content || [])].map((c) => c.text).join("\n")]);
    else if (typeof item.type === "string" && item.type.endsWith("_call")) parts.push(["call", `${item.name || item.type}(${item.arguments ?? item.input ?? JSON.stringify(item.action ?? item.operation ?? {})})`]);
  }
  return parts.filter(([, t]) => t);
}

// What was written stays while other views are looked at, and no longer than the page.
const kept = { text: null, as: "", subject: "", tenant: "", headers: "" };

export const bench = {
  title: "Bench",
  mount(root) {
    let stop = null; // ends the request on its way
    let last = null; // what is known of the last one
    let models = [];
    let callers = null;

    const editor = h("textarea", { id: id("request"), class: "editor", rows: 16, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
    const problem = h("p", { class: "muted", role: "status" });
    const example = h("select", { id: id("example"), onchange: () => { write(examples[example.selectedIndex - 1]); example.selectedIndex = 0; } }, h("option", null, "Examples …"), examples.map((e) => h("option", null, e.name)));
    const as = h("select", { id: id("as"), onchange: () => { kept.as = as.value; free(); } });
    const subject = h("input", { id: id("subject"), autocomplete: "off", oninput: () => { kept.subject = subject.value; } });
    const tenant = h("input", { id: id("tenant"), autocomplete: "off", oninput: () => { kept.tenant = tenant.value; } });
    const who = h("div", { class: "pair", hidden: true }, h("div", null, h("label", { for: subject.id }, "Subject"), subject), h("div", null, h("label", { for: tenant.id }, "Tenant"), tenant));
    const headers = h("textarea", { id: id("fields"), rows: 2, spellcheck: "false", oninput: () => { kept.headers = headers.value; } });
    const send = h("button", { type: "submit" }, "Send");
    const cancel = h("button", { type: "button", class: "plain", disabled: true, onclick: () => stop?.abort() }, "Stop");
    const copied = h("span", { class: "muted", role: "status" });
    const copy = (name, text) => h("button", { type: "button", class: "plain", onclick: async () => {
      try {
        await navigator.clipboard.writeText(text());
        say(copied, `${name} copied`);
      } catch {
        say(copied, "the browser does not let it be copied");
      }
    } }, name);
    const folder = h("button", { type: "button", class: "plain", disabled: true, onclick: () => save() }, "Golden case");

    subject.value = kept.subject;
    tenant.value = kept.tenant;
    headers.value = kept.headers;

    const verdict = h("div", { class: "facts", role: "status" });
    const fields = h("div");
    const sides = h("div", { class: "sides" });
    const lines = h("div", { class: "timeline" });
    const text = h("div", { class: "answer" });
    const out = h("div", { class: "results" }, nothing("Send a request, and watch it.", "What goes upstream is shown beside what came in, then the model's chunks beside the events that become of them, with their times in milliseconds.", "Ctrl and Enter, or ⌘ and Enter, send it."));

    const form = h("form", {
      class: "card bench-form",
      onsubmit: (e) => { e.preventDefault(); run(); },
      onkeydown: (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); run(); } },
    },
    h("div", { class: "pair" }, h("div", null, h("label", { for: example.id, class: "hidden" }, "Examples"), example), h("div", null, h("label", { for: as.id, class: "hidden" }, "Send it as"), as)), who,
    h("label", { for: editor.id }, "Request, POST /v1/responses"), editor, problem,
    h("details", { open: kept.headers !== "" }, h("summary", null, "Header fields"), h("label", { for: headers.id, class: "hidden" }, "Header fields, one a line"), headers),
    h("div", { class: "row" }, send, cancel),
    h("div", { class: "row" }, copy("curl", curl), copy("Python", python), folder, copied));

    root.append(h("div", { class: "bench" }, h("div", { class: "bench-side" }, form), out));

    editor.addEventListener("input", () => { kept.text = editor.value; look(); });

    function look() {
      try {
        JSON.parse(editor.value);
        say(problem, "");
        problem.className = "muted";
      } catch (e) {
        say(problem, `Not JSON yet: ${e.message}. It can be sent all the same.`);
      }
    }

    function write(one) {
      const body = { ...one.body, model: one.body.model || models[0] || "model" };
      editor.value = JSON.stringify(body, null, 2);
      kept.text = editor.value;
      look();
    }

    const free = () => { who.hidden = as.value !== "free"; };

    ask("callers").then((answer) => {
      callers = answer;
      models = answer.models;
      const open = answer.auth === "none";
      put(as, open ? h("option", { value: "" }, "As anybody: nobody is asked") : [
        answer.callers.map((c, i) => (c.delegate ? null : h("option", { value: `key:${i}` }, `As ${c.subject}${c.tenant ? ` of ${c.tenant}` : ""}`))), h("option", { value: "free" }, "As somebody else …")]);
      if (kept.as && [...as.options].some((o) => o.value === kept.as)) as.value = kept.as;
      free();
      if (kept.text === null) write(examples[0]);
    }, (err) => say(problem, err.message));
    if (kept.text !== null) {
      editor.value = kept.text;
      look();
    }

    const fieldList = () => headers.value.split("\n").map((l) => l.split(/:(.*)/s)).filter((p) => p[0].trim()).map((p) => [p[0].trim(), (p[1] || "").trim()]);

    const caller = () => {
      if (as.value.startsWith("key:")) return { key: Number(as.value.slice(4)) };
      return as.value === "free" ? { subject: subject.value, tenant: tenant.value } : {};
    };

    async function run() {
      if (stop) return;
      stop = new AbortController();
      send.disabled = true;
      cancel.disabled = false;
      folder.disabled = true;
      const mine = { request: editor.value, upstream: "", answer: "", events: "", status: 0, streamed: false, items: [], live: "" };
      last = mine;
      put(verdict, h("span", { class: "badge info" }, "on its way"));
      put(fields);
      put(sides, h("div", null, h("h3", null, "Came in"), h("pre", { tabindex: "0" }, pretty(mine.request).slice(0, maxText))), h("div", null, h("h3", null, "Goes upstream"), h("p", { class: "muted" }, "Nothing yet.")));
      put(lines);
      put(text);
      put(out, verdict, section("The answer", null, h("div", { class: "card" }, text)), section("Chunks and events", "Milliseconds since the request; each opens.", h("div", { class: "card flush" }, h("div", { class: "timeline-head" }, h("span", null, "from the model"), h("span", null, "to the client")), lines)), section("What becomes of each field", "As antwort explain says it.", fields), section("What goes upstream", null, h("div", { class: "card" }, sides)));

      ask("explain", { body: mine.request, as: caller(), headers: fieldList() }).then((report) => { if (last === mine) explained(report); }, (err) => put(fields, h("p", { class: "muted" }, err.message)));

      let row = null;
      let rows = 0;
      let left = 0;
      const more = h("p", { class: "muted pad" });
      const chunks = new Frames();
      const events = new Frames();
      const nextRow = () => {
        if (++rows > maxRows) {
          left++;
          say(more, `${left} more are not drawn.`);
          if (!more.isConnected) lines.append(more);
          return h("div");
        }
        row = h("div", { class: "tick" }, h("div"), h("div"));
        lines.append(row);
        return row;
      };
      const chunk = (frame, ms) => {
        nextRow().firstChild?.append(cell("chunk", briefChunk(frame), frame, ms));
      };
      const happened = (frame, ms) => {
        const brief = briefEvent(frame);
        const v = parse(dataOf(frame));
        if (rows <= maxRows) (row || nextRow()).lastChild.append(cell("event", brief, frame, ms));
        if (!v) return;
        if (v.type === "response.output_text.delta" || v.type === "response.refusal.delta") {
          mine.live += v.delta;
          if (!text.firstChild || text.lastChild.dataset.live !== "1") text.append(h("p", { class: "said", "data-live": "1" }));
          if (mine.live.length < maxText) text.lastChild.append(v.delta);
        } else if (v.type === "response.output_item.done") mine.items.push(v.item);
        else if (v.response?.error) mine.error = v.response.error;
      };
      const finish = (data) => {
        if (!mine.streamed) {
          if (chunks.rest) chunk(chunks.rest, mine.at || 0);
          const v = parse(mine.events);
          if (Array.isArray(v?.output)) mine.items = v.output;
          mine.error = v?.error || mine.error;
          if (mine.events) (row || nextRow()).lastChild.append(cell("event", [mine.status < 400 ? "response" : "error", v?.status || ""], mine.events, data.ms));
        }
        const read = answerOf(mine.items);
        if (read.length) put(text, read.map(([kind, t]) => h(kind === "text" ? "p" : "pre", { class: kind === "text" ? "said" : kind }, t.slice(0, maxText))));
        if (mine.error) text.append(h("p", { class: "bad" }, mine.error.param ? h("code", null, mine.error.param) : null, mine.error.param ? ": " : null, String(mine.error.message || mine.error.code || "an error")));
        if (!text.firstChild) put(text, h("p", { class: "muted" }, "No text."));
        facts(mine, data);
        if (!mine.upstream) put(sides.lastChild, h("h3", null, "Goes upstream"), h("p", { class: "muted" }, mine.status >= 400 ? "Nothing: it was refused before." : "Nothing was seen."));
        folder.disabled = false;
      };
      try {
        await follow("trial", { body: mine.request, as: caller(), headers: fieldList() }, stop.signal, (name, data) => {
          if (data.cut) return void lines.append(h("p", { class: "muted pad" }, "There is more than is shown here."));
          switch (name) {
            case "upstream":
              mine.upstream = data.body;
              put(sides.lastChild, h("h3", null, "Goes upstream", h("span", { class: "muted" }, ` ${data.target}, after ${data.ms.toFixed(1)} ms`)), h("pre", { tabindex: "0" }, pretty(data.body).slice(0, maxText)));
              break;
            case "chunk":
              mine.answer += data.text;
              mine.at = data.ms;
              for (const f of chunks.add(data.text)) chunk(f, data.ms);
              break;
            case "head":
              mine.status = data.status;
              mine.streamed = String(data.header["Content-Type"] || "").startsWith("text/event-stream");
              break;
            case "answer":
              mine.events += data.text;
              if (mine.streamed) for (const f of events.add(data.text)) happened(f, data.ms);
              break;
            case "end": finish(data); break;
            default:
          }
        });
      } catch (e) {
        put(verdict, h("span", { class: "badge warn" }, stop.signal.aborted ? "stopped" : "not sent"), h("span", null, stop.signal.aborted ? "The model was told to stop." : e.message));
      }
      stop = null;
      send.disabled = false;
      cancel.disabled = true;
    }

    const tones = { mapped: "ok", passed: "ok", echoed: "info", read: "info", lossy: "warn", dropped: "warn", unread: "warn", refused: "bad" };

    /** explained shows what became of each field. */
    function explained(r) {
      const head = (...names) => h("thead", null, h("tr", null, names.map((n) => h("th", { scope: "col" }, n))));
      const rows = (r.fields || []).map((f) => h("tr", null,
        h("th", { scope: "row", class: "url" }, f.field, h("span", { class: "muted block" }, short(f.value ?? "", 60))),
        h("td", null, (f.fates || []).map((x) => [h("span", { class: `badge ${tones[x] || "info"}` }, x), " "])),
        h("td", { class: "url" }, (f.to || []).join(", ") || "–"), h("td", null, f.why || "")));
      const added = (r.added || []).map((a) => h("tr", null, h("th", { scope: "row" }, h("span", { class: "muted" }, "added here")), h("td", null, h("span", { class: "badge info" }, "added")), h("td", { class: "url" }, a.to, h("span", { class: "muted block" }, short(a.value ?? "", 60))), h("td", null, a.why || "")));
      const all = [...rows, ...added];
      put(fields, r.refusal ? h("p", { class: "bad refusal" }, r.refusal.param ? [h("code", null, r.refusal.param), ": "] : null, r.refusal.message) : null,
        all.length ? h("div", { class: "card flush fates" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What became of each field" }, h("table", null, head("Field", "Fate", "In the chat request", "Why"), h("tbody", null, all)))) : null,
        r.notes?.length ? h("ul", { class: "muted notes" }, r.notes.map((n) => h("li", null, n))) : null);
    }

    function facts(mine, { ms, outcome: o, verdict: v }) {
      const good = mine.status < 400 && !o.failure;
      const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));
      put(verdict, h("span", { class: `badge ${good ? "ok" : mine.status >= 500 || mine.status < 400 ? "bad" : "warn"}` }, good ? `${mine.status}` : `${mine.status || ""} ${(o.failure || "").replaceAll("_", " ")}`),
        v ? h("span", { class: `badge ${v.problems.length ? "bad" : "ok"}` }, v.problems.length ? `${v.problems.length} breaches of the API's rules` : `valid: ${v.events} events, ${v.items} items`) : null,
        h("dl", null, fact("took", time(ms / 1000)), o.first ? fact("first event", time(o.first)) : null, o.counted ? fact("tokens", `${number(o.input)} in, ${number(o.output)} out`) : null,
          o.route ? fact("route", o.route) : null, o.backend ? fact("backend", o.backend) : null, o.retries ? fact("tried again", String(o.retries)) : null, o.limit ? fact("limit", o.limit) : null, o.dropped ? fact("tools left out", o.dropped) : null,
          fact("size", `${bytes(mine.request.length)} in, ${bytes(mine.events.length)} out`)),
        v?.problems.length ? h("ul", { class: "breaches" }, v.problems.map((p) => h("li", null, `event ${p.event}: ${p.rule}: ${p.text}`))) : null);
    }

    const quoted = (t) => `'${t.replaceAll("'", "'\\''")}'`;
    const url = () => `http${callers?.tls ? "s" : ""}://${location.hostname}:${callers?.port || 8080}`;

    function curl() {
      const streams = parse(editor.value)?.stream === true;
      const key = callers?.auth === "none" ? "" : " -H \"Authorization: Bearer $API_KEY\"";
      return `curl -s${streams ? "N" : ""} ${url()}/v1/responses -H 'Content-Type: application/json'${key}${fieldList().map(([n, v]) => ` -H ${quoted(`${n}: ${v}`)}`).join("")} -d ${quoted(editor.value)}\n`;
    }

    function python() {
      const extra = fieldList().length ? `, extra_headers=json.loads(${JSON.stringify(JSON.stringify(Object.fromEntries(fieldList())))})` : "";
      return `import json\nimport os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${url()}/v1", api_key=os.environ.get("API_KEY", "none"))\nrequest = json.loads(${JSON.stringify(editor.value)})\nanswer = client.responses.create(**request${extra})\n${parse(editor.value)?.stream === true ? "for event in answer:\n    print(event.type)\n" : "print(answer.output_text)\n"}`;
    }

    /** save saves what was seen as the folder of a golden case, see shared/testdata. */
    function save() {
      if (!last) return;
      const files = { [parse(last.request) === undefined ? "request.txt" : "request.json"]: `${pretty(last.request)}\n` };
      if (last.upstream) files["chat.json"] = `${pretty(last.upstream)}\n`;
      if (last.answer) files[/^\s*\{/.test(last.answer) ? "answer.json" : "answer.sse"] = last.answer;
      if (last.status >= 400) files["error.json"] = `${pretty(last.events)}\n`;
      else files[last.streamed ? "events.sse" : "response.json"] = last.streamed ? last.events : `${pretty(last.events)}\n`;
      const name = "made_from_the_bench";
      const at = URL.createObjectURL(zip(Object.fromEntries(Object.entries(files).map(([n, t]) => [`${name}/${n}`, t]))));
      h("a", { href: at, download: `${name}.zip` }).click();
      setTimeout(() => URL.revokeObjectURL(at), 1000);
    }

    return () => stop?.abort();
  },
};

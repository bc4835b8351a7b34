// The console in a real Chromium: each view with data and without, by keyboard, in the dark, on a small screen, with hostile content,
// and asked by others. ANTWORT names the binary, CHROMIUM the browser; PICTURES=1 writes the pictures of docs/ anew.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { freePort, start as run, stop } from "./servers.mjs";

const root = new URL("../../", import.meta.url).pathname;
const antwort = process.env.ANTWORT || join(root, "bin/antwort");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const hostile = "<img src=x onerror=\"window.ran=1\"><script>window.ran=1</script>";
const caller = "<img/src=x/onerror=\"window.ran=1\">"; // names of callers have no spaces
const guard = 30_000;

const dir = mkdtempSync(join(tmpdir(), "console-"));
let browser;

/** start runs antwort until the tests end, and waits until a URL answers. */
const start = (url, ...args) => run(url, guard, antwort, ...args);

const mock = (port) => start(`http://127.0.0.1:${port}/v1/models`, "mock-llm", "--port", String(port), "--model", "m", "--open-template");

/** serve starts a server with an admin port. */
async function serve(name, backends, more = "", admin = "", observability = "") {
  const [port, adminPort] = [await freePort(), await freePort()];
  const file = join(dir, `${name}.yaml`);
  writeFileSync(file, `server: {host: 127.0.0.1, port: ${port}, admin: {port: ${adminPort}${admin}}}
engine: {provider: vllm, default_model: m}
observability: {log: {level: warn}${observability}}
routing: {eject_after: 1, eject_time: 1m, max_eject_time: 1m}
${more}routes:
- name: team
  match: {models: ["special-*"], headers: {x-team: search}}
  backends: [{url: "http://127.0.0.1:${backends[0]}", model: m}]
- name: rest
  balance: least_request
  backends: [${backends.map((b) => `{url: "http://127.0.0.1:${b}"}`).join(", ")}]
`);
  const { said } = await start(`http://127.0.0.1:${adminPort}/healthz`, "serve", "--config", file);
  return { said, api: `http://127.0.0.1:${port}`, admin: `http://127.0.0.1:${adminPort}`, console: `http://127.0.0.1:${adminPort}/console` };
}

const post = (s, body, key, path = "responses") => fetch(`${s.api}/v1/${path}`, {
  method: "POST", headers: { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}`, "X-Team": "search" } : {}) }, body: JSON.stringify(body),
}).then(async (r) => [r.status, await r.text()]);

/** tab presses Tab until a place is reached. */
async function tab(p, place) {
  await place.waitFor();
  for (let i = 0; i < 60; i++) {
    if (await place.evaluate((e) => document.activeElement === e)) return;
    await p.keyboard.press("Tab");
  }
  assert.fail("it cannot be reached by Tab");
}

/** page opens a view, and notes what goes wrong in it. */
async function page(s, view, options = {}) {
  const p = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...options });
  p.setDefaultTimeout(guard);
  p.problems = [];
  p.on("pageerror", (e) => p.problems.push(e.message));
  p.on("console", (m) => { if (m.type() === "error" && !/40[13]|Failed to load/.test(m.text())) p.problems.push(m.text()); });
  p.on("request", (r) => { if (!r.url().startsWith(s.admin) && !r.url().startsWith("blob:")) p.problems.push(`asks for ${r.url()}`); });
  await p.goto(`${s.console}#${view}`);
  return p;
}

/** sound says that a page has no serious fault, is not wider than the screen, and that nothing of others ran. */
async function sound(p, what) {
  if (!await p.evaluate(() => "axe" in window)) await p.evaluate(axe);
  const found = await p.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`), [], what);
  assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${what}: it is wider than the screen`);
  assert.equal(await p.evaluate(() => window.ran), undefined, `${what}: something of others ran`);
  assert.deepEqual(p.problems, [], what);
}

let ports;
let quiet;
let busy;
let second; // a backend that is killed
let keyed; // has callers, limits and a store, whose texts are not shown
let kept; // has one owner and a store, whose texts are shown

before(async () => {
  ports = [await freePort(), await freePort()];
  await mock(ports[0]);
  second = await mock(ports[1]);
  quiet = await serve("quiet", ports, "state: {type: none}\n");
  busy = await serve("busy", ports);
  const digest = (key) => createHash("sha256").update(key).digest("hex");
  keyed = await serve("keyed", [ports[0]], `auth:
  type: api_key
  api_keys:
  - {sha256: "${digest("key-a")}", subject: ann, tenant: '${caller}'}
  - {sha256: "${digest("key-b")}", subject: '${caller}'}
limits:
  rules:
  - {name: each, per: [tenant, model], requests_per_minute: 1000, tokens_per_day: 1000000}
  - {name: key, per: [key], requests_at_once: 10, tokens_per_month: 100000}
state: {type: sqlite, sqlite: {path: ${join(dir, "state.db")}}}
`);
  kept = await serve("kept", [ports[0]], `state: {type: memory}
limits: {rules: [{name: all, tokens_per_day: 100000000}]}
`, "", ", capture: 2KiB");
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  for (let i = 0; i < 6; i++) await post(busy, { model: "m", input: `Say ${i}.`, stream: i % 2 === 0 });
  await post(busy, { model: hostile, input: hostile, temperature: 9 });
  await post(busy, { model: "m", input: "mock: status=500" });
  await post(keyed, { model: "m", input: hostile }, "key-a");
  await post(keyed, { model: `special-${hostile}`, input: "Hi." }, "key-b");
  for (const s of [kept, keyed]) {
    const [status, created] = await post(s, { items: [{ type: "message", role: "user", content: hostile }] }, "key-a", "conversations");
    assert.equal(status, 200, created);
    await post(s, { model: "m", input: "Go on.", conversation: JSON.parse(created).id }, "key-a");
  }
  let previous;
  for (let i = 0; i < 3; i++) previous = JSON.parse((await post(kept, { model: "m", input: `${hostile} ${i}`, previous_response_id: previous }))[1]).id;
});

after(async () => {
  await browser?.close();
  stop();
  rmSync(dir, { recursive: true, force: true });
});

for (const [scheme, width, both] of [["light", 1440, true], ["dark", 390, true], ["dark", 1440], ["light", 390], ["light", 1920]]) {
  test(`each view, ${scheme}, ${width} px`, async () => {
    for (const [s, name] of both ? [[quiet, "without data"], [busy, "with data"], [keyed, "with callers"]] : [[busy, "with data"], [kept, "with data"]]) {
      const p = await page(s, "", { viewport: { width, height: 900 }, colorScheme: scheme });
      for (const view of { [quiet.api]: ["now", "routes", "bench", "limits", "state"], [busy.api]: ["now", "routes", "bench"] }[s.api] || ["limits", "state"]) {
        await p.goto(`${s.console}#${view}`);
        if (view === "now") {
          await p.getByText(s === busy ? "upstream status" : "Nobody has asked anything yet.").first().waitFor();
          await p.getByText(`http://127.0.0.1:${ports[1]}`).first().waitFor();
        } else if (view === "routes") await p.locator("svg.routes .route").nth(1).waitFor();
        else if (view === "bench") await p.getByText("Send a request, and watch it.").waitFor();
        else if (s === quiet) await p.getByText(view === "limits" ? "There are no limits." : "Nothing is stored.").waitFor();
        else if (view === "limits") await p.getByRole("region", { name: "Use" }).locator("tbody tr").first().waitFor();
        else await p.getByText(s === keyed ? "Say whose." : "The newest first.").first().waitFor();
        await sound(p, `${view} ${name}`);
      }
      await p.close();
    }
  });
}

test("what is in flight is listed, until it has ended", async () => {
  const p = await page(busy, "now");
  await p.getByText("Nothing is in flight.").waitFor();
  const row = p.getByRole("region", { name: "Requests in flight" }).locator("tbody tr").first();
  const leave = new AbortController();
  const asked = fetch(`${busy.api}/v1/responses`, {
    method: "POST", signal: leave.signal, headers: { "Content-Type": "application/json", "X-Request-Id": "in-flight-1", "X-Team": "search" }, body: JSON.stringify({ model: `special-${hostile}`, stream: true, input: "mock: tokens=100000 delay=100ms" }),
  }).then((r) => r.text()).catch(() => "left");
  await row.getByText("in-flight-1").waitFor();
  await row.getByText("special-<img").waitFor();
  await p.waitForFunction(() => / KiB/.test(document.querySelector("[aria-label='Requests in flight'] tbody tr")?.textContent || ""));
  assert.match(await row.innerText(), /team/);
  await sound(p, "requests in flight");
  leave.abort();
  assert.equal(await asked, "left");
  await p.getByText("Nothing is in flight.").waitFor();
  await p.close();
});

test("the route that decides lights up", async () => {
  const p = await page(busy, "routes");
  await p.getByLabel("Model").fill("special-1");
  await p.getByLabel("Header fields, one a line").fill("X-Team: search");
  await p.getByRole("button", { name: "Which route?" }).click();
  await p.getByText("decides").waitFor();
  assert.match(await p.locator(".verdict").innerText(), /team takes special-1/);
  await p.getByLabel("Header fields, one a line").fill("");
  await p.getByRole("button", { name: "Which route?" }).click();
  await p.getByText("header x-team differs").waitFor();
  await p.getByLabel("Model").fill(hostile);
  await p.getByRole("button", { name: "Which route?" }).click();
  await p.getByText("takes <img").waitFor();
  await sound(p, "a route that lights up");
  await p.close();
});

test("a streamed request is watched to its end, and kept as a golden case", async () => {
  const p = await page(busy, "bench");
  await p.getByRole("combobox", { name: "Examples" }).selectOption("A question, streamed");
  await p.getByRole("button", { name: "Send", exact: true }).click();
  await p.getByText(/valid: \d+ events, 1 items/).waitFor();
  assert.match(await p.locator(".answer").innerText(), /Paris/);
  assert.ok(await p.locator(".cell.chunk").count() > 5);
  assert.ok(await p.locator(".cell.event").count() > 8);
  await p.getByText("messages[0].content").first().waitFor();
  assert.match(await p.locator(".sides > div:last-child").innerText(), /"role": "system"/);
  await sound(p, "a streamed request");
  if (process.env.PICTURES) await p.screenshot({ path: join(root, "docs/console-bench.png") });
  const [saved] = await Promise.all([p.waitForEvent("download"), p.getByRole("button", { name: "Golden case" }).click()]);
  const zip = readFileSync(await saved.path(), "latin1");
  for (const name of ["request.json", "chat.json", "answer.sse", "events.sse"]) assert.ok(zip.includes(`made_from_the_bench/${name}`), name);
  await p.close();
});

test("a request is sent as a chosen caller", async () => {
  const p = await page(keyed, "bench");
  await p.getByRole("combobox", { name: "Send it as" }).selectOption("As somebody else …");
  await p.getByLabel("Subject").fill("chosen");
  await p.getByLabel("Tenant").fill("team-of-the-chosen");
  await p.getByRole("button", { name: "Send", exact: true }).click();
  await p.locator(".facts .badge.ok").first().waitFor();
  await p.goto(`${keyed.console}#limits`);
  await p.getByRole("region", { name: "Use" }).getByText("team-of-the-chosen").first().waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

// Stands for the openai package, which the tests of clients have: it sends what it is given, and answers with the texts.
const openai = `import json, types, urllib.request
class OpenAI:
    def __init__(self, base_url, api_key):
        def create(extra_headers={}, **request):
            sent = urllib.request.Request(base_url + "/responses", json.dumps(request).encode(), {"Content-Type": "application/json", "Authorization": "Bearer " + api_key, **extra_headers})
            answer = json.load(urllib.request.urlopen(sent))
            return types.SimpleNamespace(output_text="".join(c["text"] for i in answer["output"] for c in i["content"]))
        self.responses = types.SimpleNamespace(create=create)
`;

test("a request is copied as curl and Python, which send it", async () => {
  const p = await page(keyed, "bench", { permissions: ["clipboard-read", "clipboard-write"] });
  const what = `It's "quoted", \\ and $HOME, ${hostile} 🙂\nmock: echo`;
  await p.getByLabel("Request, POST /v1/responses").fill(JSON.stringify({ model: "special-one", input: what }, null, 2));
  await p.getByText("Header fields", { exact: true }).click();
  await p.getByLabel("Header fields, one a line").fill("X-Team: search");
  const copied = async (name) => {
    await p.getByRole("button", { name, exact: true }).click();
    await p.getByText(`${name} copied`).waitFor();
    return p.evaluate(() => navigator.clipboard.readText());
  };
  const packages = join(dir, "packages");
  mkdirSync(packages);
  writeFileSync(join(packages, "openai.py"), openai);
  const env = { ...process.env, API_KEY: "key-a", PYTHONPATH: packages };
  for (const [name, run] of [["curl", (text) => spawnSync("sh", ["-c", text], { env })], ["Python", (text) => spawnSync("python3", ["-c", text], { env })]]) {
    const { status, stdout, stderr } = run(await copied(name));
    assert.equal(status, 0, `${name}: ${stderr}`);
    const said = name === "curl" ? JSON.parse(stdout).output[0].content[0].text : String(stdout);
    assert.ok(said.includes(JSON.stringify(what)), `${name}: ${said}`); // the model says in JSON what it was told
  }
  await sound(p, "what is copied");
  await p.close();
});

test("hostile texts are texts", async () => {
  const p = await page(busy, "bench", { viewport: { width: 390, height: 844 }, colorScheme: "dark" });
  await p.getByLabel("Request, POST /v1/responses").fill(JSON.stringify({
    model: hostile, stream: true, instructions: hostile, input: `${hostile}\nmock: text=\`${hostile}\` call=f`, tools: [{ type: "function", name: "f", parameters: { type: "object", properties: { a: { type: "string", enum: [hostile] } }, required: ["a"] } }],
  }));
  await p.getByText("Header fields", { exact: true }).click();
  await p.getByLabel("Header fields, one a line").fill(`X-Team: ${hostile}`);
  await p.getByRole("button", { name: "Send", exact: true }).click();
  await p.locator(".facts .badge").filter({ hasNotText: "on its way" }).first().waitFor();
  for (const d of await p.locator(".cell").all()) await d.evaluate((e) => { e.open = true; });
  await sound(p, "hostile texts");
  await p.close();
});

test("a refused request is explained, by keyboard alone", async () => {
  const p = await page(busy, "now");
  await p.getByRole("link", { name: "Bench" }).waitFor();
  for (let i = 0; i < 10 && !(await p.evaluate(() => document.activeElement?.textContent === "Bench")); i++) await p.keyboard.press("Tab");
  await p.keyboard.press("Enter");
  const editor = p.getByLabel("Request, POST /v1/responses");
  await editor.waitFor();
  await p.waitForFunction(() => document.querySelector("textarea.editor").value !== "");
  for (let i = 0; i < 20 && !(await editor.evaluate((e) => document.activeElement === e)); i++) await p.keyboard.press("Tab");
  await p.keyboard.press("Control+A");
  await p.keyboard.type("{\"model\":\"m\",\"input\":\"Hello.\",\"temperature\":9}");
  await p.keyboard.press("Control+Enter");
  await p.getByText("400 invalid request").waitFor();
  assert.match(await p.locator(".answer").innerText(), /temperature/);
  await p.getByText("Nothing: it was refused before.").waitFor();
  await p.locator(".fates .badge.bad").first().waitFor();
  await sound(p, "a refusal");
  await p.close();
});

test("who uses how much of the limits is seen, whatever they are called", async () => {
  const p = await page(keyed, "limits");
  const rows = p.getByRole("region", { name: "Use" }).locator("tbody tr");
  await rows.nth(3).waitFor();
  const all = await rows.allInnerTexts();
  assert.ok(all[0].startsWith("key"), "the one of which the most is used comes first");
  assert.ok(all.some((t) => t.includes(`tenant ${caller}`)), all.join());
  assert.ok(all.some((t) => t.includes(`subject ${caller}`) && t.includes(`model special-${hostile}`)), all.join());
  assert.match(all.join(), /of 1000/);
  const before = await rows.count();
  await post(keyed, { model: "special-more", input: "Hi." }, "key-a");
  await rows.nth(before).waitFor(); // by itself
  await sound(p, "limits");
  await p.close();
});

test("now, routes and limits are used by keyboard alone", async () => {
  const p = await page(kept, "now");
  await tab(p, p.locator("input[name=span]:checked"));
  const span = await p.locator("input[name=span]:checked").inputValue();
  await p.keyboard.press("ArrowRight");
  assert.notEqual(await p.locator("input[name=span]:checked").inputValue(), span);
  await tab(p, p.getByRole("region", { name: /^Backends of/ }).first());
  await p.evaluate(() => document.activeElement.blur());
  await tab(p, p.getByRole("link", { name: "Routes" }));
  await p.keyboard.press("Enter");
  await tab(p, p.getByLabel("Model"));
  await p.keyboard.type("special-1");
  await p.keyboard.press("Enter");
  await p.getByText("header x-team differs").waitFor();
  await tab(p, p.getByText("As a list"));
  await p.keyboard.press("Enter");
  await p.getByRole("listitem").filter({ hasText: "special-*" }).waitFor();
  await p.evaluate(() => document.activeElement.blur());
  await tab(p, p.getByRole("link", { name: "Limits" }));
  await p.keyboard.press("Enter");
  const use = p.getByRole("region", { name: "Use" });
  await tab(p, use);
  const before = await use.innerText();
  await post(kept, { model: "m", input: "Hi.", store: false });
  await p.waitForFunction((was) => document.querySelector("[aria-label=Use]").innerText !== was, before);
  assert.ok(await use.evaluate((e) => document.activeElement === e), "whoever reads stays where they are");
  await sound(p, "limits by keyboard");
  await p.close();
});

test("what is stored is read and deleted, by keyboard alone", async () => {
  const p = await page(kept, "now");
  await tab(p, p.getByRole("link", { name: "State" }));
  await p.keyboard.press("Enter");
  const threads = p.getByRole("region", { name: "Threads" });
  const thread = threads.locator("tbody tr", { hasText: "resp_" }).getByRole("button");
  await tab(p, thread);
  await p.keyboard.press("Enter");
  await p.getByRole("heading", { name: "Thread resp_" }).waitFor();
  const cards = p.locator("ol.stack > li");
  await cards.nth(2).waitFor();
  assert.match(await cards.first().innerText(), /<img src=x/);
  assert.match(await cards.first().innerText(), /completed/);
  await sound(p, "a thread");
  const last = cards.nth(2).getByRole("button", { name: "Delete the response" });
  await tab(p, last);
  await p.keyboard.press("Enter");
  await p.getByRole("heading", { name: "Delete it for good?" }).waitFor();
  await sound(p, "a question before something goes");
  await p.keyboard.press("Escape");
  await p.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await cards.count(), 3, "Escape keeps it");
  await tab(p, last);
  await p.keyboard.press("Enter");
  await tab(p, p.getByRole("button", { name: "Delete", exact: true }));
  await p.keyboard.press("Enter");
  await cards.nth(2).waitFor({ state: "detached" });
  await tab(p, p.getByRole("button", { name: "Delete all of it" }));
  await p.keyboard.press("Enter");
  await tab(p, p.getByRole("button", { name: "Delete", exact: true }));
  await p.keyboard.press("Enter");
  await threads.locator("tbody tr", { hasText: "resp_" }).waitFor({ state: "detached" });
  await tab(p, threads.getByRole("button", { name: "conv_" }));
  await p.keyboard.press("Enter");
  const items = p.getByRole("region", { name: "Items" });
  await items.getByText("<img src=x").first().waitFor();
  assert.equal(await items.locator("tbody tr").count(), 3);
  await sound(p, "a conversation");
  assert.match(kept.said(), /deleted what was stored/);
  await p.close();
});

test("an owner is chosen, and texts that nobody allows are not shown", async () => {
  const p = await page(keyed, "state", { viewport: { width: 390, height: 844 }, colorScheme: "dark" });
  await tab(p, p.getByLabel("Subject"));
  await p.keyboard.type("nobody");
  await p.keyboard.press("Enter");
  await p.getByText("Nothing is stored for this owner.").waitFor();
  await p.getByLabel("Subject").fill("");
  await p.getByLabel("Tenant").fill(caller);
  await p.keyboard.press("Enter");
  await p.getByRole("region", { name: "Threads" }).getByRole("button", { name: "resp_" }).last().click();
  await p.getByRole("heading", { name: "Thread resp_" }).waitFor();
  assert.match(await p.locator("ol.stack > li").first().innerText(), /completed/);
  assert.ok(!(await p.locator("main").innerText()).includes("<img src=x onerror"), "the text is not shown");
  await sound(p, "a thread without texts");
  for (const question of ["turns", "remove"]) {
    const got = await fetch(`${keyed.console}/api/${question}`, { method: "POST", headers: { "Content-Type": "application/json", Origin: "https://evil.example", "X-Antwort-Console": "1" }, body: "{}" });
    assert.equal(got.status, 403);
  }
  await p.close();
});

test("pictures of limits and of what is stored", { skip: !process.env.PICTURES }, async () => {
  const teams = ["search", "support", "billing", "research"];
  const s = await serve("pictured", [ports[0]], `auth:
  type: api_key
  api_keys:
${teams.map((t) => `  - {sha256: "${createHash("sha256").update(t).digest("hex")}", subject: ${t}-app, tenant: ${t}}`).join("\n")}
limits:
  default_output_tokens: 64
  rules:
  - {name: each-tenant, per: [tenant], requests_at_once: 8, requests_per_minute: 60, tokens_per_day: 4000}
  - {name: model, per: [model], tokens_per_minute: 60000}
`, "", ", capture: 4KiB");
  for (const [i, t] of teams.entries()) {
    let previous;
    for (let k = 0; k < 3 * (4 - i); k++) {
      const [status, text] = await post(s, { model: "m", input: ["Which parcels are late today?", "And which of them are from Hamburg?", "Write to their customers."][k % 3], previous_response_id: k % 3 ? previous : undefined }, t);
      assert.equal(status, 200, text);
      previous = JSON.parse(text).id;
    }
  }
  const shown = await page(s, "limits");
  await shown.getByRole("region", { name: "Use" }).locator("tbody tr").nth(4).waitFor();
  await shown.screenshot({ path: join(root, "docs/console-limits.png") });
  await shown.getByRole("link", { name: "State" }).click();
  await shown.getByLabel("Tenant").fill("search");
  await shown.keyboard.press("Enter");
  await shown.getByRole("region", { name: "Threads" }).getByRole("button").last().click();
  await shown.locator("ol.stack > li").nth(2).waitFor();
  await shown.screenshot({ path: join(root, "docs/console-state.png"), fullPage: true });
  await shown.close();
});

test("nobody but its page may ask, and not without the token", async () => {
  const asked = await page(busy, "now");
  for (const url of [`${busy.console}/api/about`, busy.console]) {
    const got = await fetch(url, { headers: { Origin: "https://evil.example" } });
    assert.equal(got.headers.get("access-control-allow-origin"), null);
    assert.equal(got.headers.get("x-frame-options"), "DENY");
    assert.equal(got.status, url === busy.console ? 200 : 403);
  }
  // A page of another origin: the console of another port is one.
  const other = await page(quiet, "now");
  const tried = await other.evaluate(async (url) => {
    try { return (await fetch(`${url}/api/about`, { headers: { "X-Antwort-Console": "1" } })).status; } catch { return "refused"; }
  }, busy.console);
  assert.equal(tried, "refused");
  await other.close();
  await asked.close();
  writeFileSync(join(dir, "token"), "the-right-token\n");
  const closed = await serve("closed", ports, "", `, token_file: ${join(dir, "token")}`);
  assert.equal((await fetch(`${closed.console}/api/about`, { headers: { "X-Antwort-Console": "1" } })).status, 401);
  const p = await page(closed, "now");
  await p.getByLabel("Token").fill("wrong");
  await p.getByRole("button", { name: "Open the console" }).click();
  await p.getByText("That is not the token.").waitFor();
  await sound(p, "a wrong token");
  await p.getByLabel("Token").fill("the-right-token");
  await p.keyboard.press("Enter");
  await p.getByText("Nobody has asked anything yet.").waitFor();
  assert.ok(!p.url().includes("right"));
  assert.equal(await p.evaluate(() => JSON.stringify(localStorage)), "{}");
  await p.close();
});

test("a backend that is killed is seen", async () => {
  const p = await page(busy, "now");
  await p.getByText(`http://127.0.0.1:${ports[1]}`).first().waitFor();
  second.kill("SIGKILL");
  const ejected = p.locator(".badge.bad", { hasText: "ejected" });
  for (const end = Date.now() + guard; Date.now() < end && !(await ejected.count());) await post(busy, { model: "m", input: "Again." });
  await ejected.first().waitFor();
  if (process.env.PICTURES) {
    await p.getByRole("radio", { name: "5 min", exact: true }).check({ force: true });
    for (let i = 0; i < 60; i++) {
      for (let k = 0; k < 2 + (i % 5); k++) void post(busy, { model: "m", stream: true, input: `mock: tokens=${20 + 7 * (i % 6)} delay=${10 + 5 * (i % 4)}ms first-delay=${60 + 30 * (i % 3)}ms` });
      await new Promise((r) => setTimeout(r, 700));
    }
    await p.screenshot({ path: join(root, "docs/console.png") });
  }
  await sound(p, "a backend that was killed");
  await p.close();
});

// The console open under load: MINUTES of it (60), RATE requests a second (5), PAGES open (1). Each minute says what the first page and the server
// have in use after a collection, and what of a core the server took; at the end it fails where either has grown. ANTWORT names the binary.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { freePort, start as run, stop } from "./servers.mjs";

const setting = (name, value) => Number(process.env[name] ?? value);
const [minutes, rate, many] = [setting("MINUTES", 60), setting("RATE", 5), setting("PAGES", 1)];
const antwort = process.env.ANTWORT || join(new URL("../../", import.meta.url).pathname, "bin/antwort");
const dir = mkdtempSync(join(tmpdir(), "console-soak-"));
const pause = (ms) => new Promise((r) => setTimeout(r, ms));
const mib = (n) => (n / 1048576).toFixed(1);

const start = (url, ...args) => run(url, 60_000, antwort, ...args);

const [backend, port, admin] = [await freePort(), await freePort(), await freePort()];
writeFileSync(join(dir, "antwort.yaml"), `server: {host: 127.0.0.1, port: ${port}, admin: {port: ${admin}}}
engine: {provider: vllm, default_model: m, backend_url: "http://127.0.0.1:${backend}"}
observability: {log: {level: error}, capture: 2KiB}
state: {type: memory, memory: {max_bytes: 16MiB}}
limits: {rules: [{name: all, requests_per_minute: 100000, tokens_per_day: 1000000000}, {name: models, per: [model], requests_at_once: 1000}]}
`);

let load;
let browser;
try {
  await start(`http://127.0.0.1:${backend}/v1/models`, "mock-llm", "--port", String(backend), "--model", "m", "--open-template");
  const server = await start(`http://127.0.0.1:${admin}/healthz`, "serve", "--config", join(dir, "antwort.yaml"));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  const pages = await Promise.all(Array.from({ length: many }, async () => {
    const p = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await p.goto(`http://127.0.0.1:${admin}/console`);
    return p;
  }));
  let sent = 0;
  if (rate > 0) {
    load = setInterval(async () => {
      const stream = ++sent % 2 === 0;
      try {
        const body = { model: "m", stream, store: sent % 4 === 0, input: sent % 25 === 0 ? "mock: status=500" : `mock: tokens=${20 + (sent % 60)} delay=${5 + (sent % 40)}ms` };
        await (await fetch(`http://127.0.0.1:${port}/v1/responses`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).text();
      } catch { /* the server's end */ }
    }, 1000 / rate);
  }
  const cdp = await pages[0].context().newCDPSession(pages[0]);
  await cdp.send("Performance.enable");
  const cpu = () => {
    const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100; // in seconds: user and system, at 100 a second
  };
  const look = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const of = (name) => metrics.find((m) => m.name === name).value;
    const profile = await (await fetch(`http://127.0.0.1:${admin}/debug/pprof/heap?gc=1&debug=1`)).text();
    return { page: of("JSHeapUsedSize"), nodes: of("Nodes"), server: Number(/# HeapAlloc = (\d+)/.exec(profile)[1]), rss: 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]) };
  };
  const views = ["now", "routes", "now", "limits", "now", "state"];
  const all = [];
  console.log("minute  requests  page MiB  nodes  server's heap MiB  resident MiB  of a core");
  for (let m = 1; m <= minutes; m++) {
    const [from, before] = [performance.now(), cpu()];
    for (const view of views) {
      if (rate > 0) await pages[0].evaluate((v) => { location.hash = v; }, view);
      await pause(60_000 / views.length);
    }
    const share = 100 * (cpu() - before) / ((performance.now() - from) / 1000);
    await pages[0].evaluate(() => { location.hash = "now"; });
    await pause(1000);
    const is = await look();
    all.push(is);
    console.log(`${String(m).padStart(6)}  ${String(sent).padStart(8)}  ${mib(is.page).padStart(8)}  ${String(is.nodes).padStart(5)}  ${mib(is.server).padStart(17)}  ${mib(is.rss).padStart(12)}  ${share.toFixed(1).padStart(7)} %`);
  }
  // What grows for good is seen between the second and the last third: buffers and the last hour's samples fill up first.
  const middle = (name, from, to) => all.slice(Math.floor(from * all.length), Math.ceil(to * all.length)).map((x) => x[name]).sort((a, b) => a - b)[Math.floor((to - from) * all.length / 2)];
  for (const name of ["page", "nodes", "server"]) {
    const [was, is] = [middle(name, 1 / 3, 2 / 3), middle(name, 2 / 3, 1)];
    if (all.length >= 6 && is > 1.3 * was) {
      console.log(`${name}: ${was} in the second third, ${is} in the last one: it grows`);
      process.exitCode = 1;
    }
  }
} finally {
  clearInterval(load);
  await browser?.close();
  stop();
  rmSync(dir, { recursive: true, force: true });
}

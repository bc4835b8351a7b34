// Servers that end with the program that has started them, however it ends.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";

const running = [];
const setpriv = "/usr/bin/setpriv"; // on Linux: has the kernel end what it becomes with its parent
// Who was killed before that was asked for is no longer the parent.
const withUs = [setpriv, "--pdeathsig", "TERM", "sh", "-c", '[ $PPID = $0 ] && exec "$@"', String(process.pid)];

export const freePort = () => new Promise((done) => {
  const s = createServer().listen(0, "127.0.0.1", () => {
    const { port } = s.address();
    s.close(() => done(port));
  });
});

/** start runs a program until this one ends, and waits until a URL answers. */
export async function start(url, guard, program, ...args) {
  const command = process.platform === "linux" && existsSync(setpriv) ? [...withUs, program] : [program];
  const child = spawn(command[0], [...command.slice(1), ...args], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (d) => { said += d; });
  child.said = () => said;
  running.push(child);
  for (const end = Date.now() + guard; Date.now() < end && child.exitCode === null && child.signalCode === null;) {
    try { if ((await fetch(url)).ok) return child; } catch { /* not yet */ }
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`${args[0]} does not answer: ${said}`);
}

/** stop ends all of them. */
export function stop() {
  for (const c of running.splice(0)) c.kill();
}

process.on("exit", stop);
for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]]) {
  process.on(signal, () => process.exit(128 + number));
}

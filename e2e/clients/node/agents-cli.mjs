// Runs the command-line agents in a folder and a home of their own, on loopback only.
import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Makes empty folders for one agent.
 * @param {string} name
 */
export function workspace(name) {
  const folder = new URL(`../../.cache/clients/${name}`, import.meta.url).pathname;
  rmSync(folder, { recursive: true, force: true });
  const home = join(folder, "home"), work = join(folder, "work");
  mkdirSync(home, { recursive: true });
  mkdirSync(work, { recursive: true });
  return { home, work };
}

/**
 * Runs a program of node_modules to its end and returns its standard output. Nothing but loopback is reached: every other
 * request would go to a proxy that is not there.
 * @param {string} program path below node_modules
 * @param {string[]} args
 * @param {{ home: string, work: string, env?: object, input?: string }} options
 */
export async function runProgram(program, args, { home, work, env = {}, input = "" }) {
  const child = spawn(new URL(`node_modules/${program}`, import.meta.url).pathname, args, { cwd: work, env: { PATH: process.env.PATH, HOME: home,
    HTTP_PROXY: "http://127.0.0.1:9", HTTPS_PROXY: "http://127.0.0.1:9", NO_PROXY: "127.0.0.1,localhost", ...env } });
  let out = "", log = "";
  child.stdout.on("data", (d) => { out += d; });
  child.stderr.on("data", (d) => { log += d; });
  child.stdin.end(input);
  const status = await new Promise((resolve, reject) => { child.on("close", resolve); child.on("error", reject); });
  if (status !== 0) throw new Error(`${program} ended with status ${status}: ${log}\n${out.slice(-2000)}`);
  return out;
}

/** The JSON documents in what a program printed, one a line. */
export const jsonLines = (out) => out.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));

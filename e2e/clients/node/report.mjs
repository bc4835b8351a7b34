// Runs named cases and reports each to the file that E2E_RESULTS names (see ../report).
import { appendFileSync } from "node:fs";
import { test } from "node:test";

const base = process.env.BASE_URL?.replace(/\/$/, "");

/** The chain's base URL as the client wants it, with /v1. */
export const baseURL = base && base + "/v1";

/** A PNG of one pixel, in base64. */
export const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** The model's turns that its echo tells of. */
export const assistantLines = (text) => text.split("\n").filter((line) => /^\d+ assistant:/.test(line));

/**
 * Declares a test.
 * @param {string} name
 * @param {string} proves one sentence
 * @param {() => Promise<void>} run
 * @param {{ needsServer?: boolean, needsWebSocket?: boolean }} [options] needsServer: skip it where no tier is the native server;
 * needsWebSocket: where the client's is not
 */
export function testCase(name, proves, run, { needsServer, needsWebSocket } = {}) {
  if (needsServer && process.env.E2E_SERVER === "0") {
    report({ case: name, proves, ok: true, skipped: "only a server tier can", seconds: 0 });
    return;
  }
  if (needsWebSocket && process.env.E2E_WEBSOCKET === "0") {
    report({ case: name, proves, ok: true, skipped: "the client's tier speaks no WebSocket", seconds: 0 });
    return;
  }
  const skip = !base && "BASE_URL is not set: run `make e2e-clients`, or `go run ./clients/run` from the folder e2e";
  test(name, { skip }, async () => {
    const start = performance.now();
    const result = { case: name, proves, ok: true };
    try {
      await run();
    } catch (error) {
      result.ok = false;
      result.error = String(error.stack ?? error).slice(0, 2000);
      throw error;
    } finally {
      result.seconds = (performance.now() - start) / 1000;
      report(result);
    }
  });
}

function report(result) {
  if (process.env.E2E_RESULTS) appendFileSync(process.env.E2E_RESULTS, JSON.stringify(result) + "\n");
}

// Questions to the server. A field that pages of other origins cannot send goes with each,
// and the token, which is never in an address.

const base = new URL("console/api/", document.baseURI);
const key = "antwort-console-token";

let token = "";
try { token = sessionStorage.getItem(key) || ""; } catch { /* it is asked for again, then */ }

export function setToken(text) {
  token = text;
  try { sessionStorage.setItem(key, text); } catch { /* likewise */ }
}

async function send(path, body, signal) {
  const headers = { "X-Antwort-Console": "1" };
  const had = token !== "";
  if (had) headers.Authorization = `Bearer ${token}`;
  if (body !== null && body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path, base), {
      method: headers["Content-Type"] ? "POST" : "GET", headers, signal, body: headers["Content-Type"] ? JSON.stringify(body) : undefined,
      cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    });
  } catch (e) {
    if (signal && signal.aborted) throw e;
    throw Object.assign(new Error("It is tried again every few seconds."), { status: 0 });
  }
  if (!answer.ok) {
    let problem = `the answer is ${answer.status}`;
    try { problem = (await answer.json()).problem || problem; } catch { /* the status has to do */ }
    throw Object.assign(new Error(problem), { status: answer.status, hadToken: had });
  }
  return answer;
}

/** ask returns the answer to a question; with a body it is posted. */
export async function ask(path, body) {
  return (await send(path, body)).json();
}

/** follow calls each(name, data) with every event of a stream until it ends. */
export async function follow(path, body, signal, each) {
  const reader = (await send(path, body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const [first, second] = rest.slice(0, end).split("\n", 2);
      rest = rest.slice(end + 2);
      each(first.slice(7), JSON.parse(second.slice(6)));
    }
  }
}

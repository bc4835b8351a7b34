// What the server tells all the time: samples of the last hour, and what is now.

const hour = 720;

/** The parts of a sample, by their place in its list. */
export const part = { at: 0, requests: 1, failures: 2, input: 3, output: 4, first50: 5, first95: 6, took50: 7, took95: 8, inFlight: 9, streams: 10, share: 11 };

/** shared adds which part of the requests has failed, in per cent. */
function shared(p) {
  p[part.share] = p[part.requests] > 0 ? Math.min(100, (100 * p[part.failures]) / p[part.requests]) : null;
  return p;
}

class Live {
  samples = [];
  now = null;
  backends = null;
  failures = null;
  flights = null;
  #watchers = new Set();

  /** watch calls back after each event, with its name, until what it returns is called. */
  watch(f) {
    this.#watchers.add(f);
    return () => this.#watchers.delete(f);
  }

  take(name, data) {
    switch (name) {
      case "hour": this.samples = (data.samples || []).map(shared); break;
      case "sample":
        this.samples.push(shared(data));
        if (this.samples.length > hour) this.samples.splice(0, this.samples.length - hour);
        break;
      case "now": this.now = data; break;
      case "backends": this.backends = data.routes; break;
      case "failures": this.failures = data; break;
      case "flights": this.flights = data; break;
      default: return;
    }
    for (const f of this.#watchers) f(name);
  }
}

export const live = new Live();

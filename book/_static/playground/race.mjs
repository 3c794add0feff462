/** Three nets that learn side by side, each in a worker, and what is known of each. */
import { WAYS } from "./ways.mjs";

export class Race {
  /** `work` is the worker's code as a function; `heard(way, message)` gets what the workers say. */
  constructor(work, heard) {
    const code = new Blob([`(${work})()`], { type: "text/javascript" }); // also where a page is a file
    Object.assign(this, { address: URL.createObjectURL(code), heard, workers: {}, known: {} });
  }

  get isRunning() {
    return Object.values(this.known).some(({ state }) => state === "learning");
  }

  get isOver() {
    return Object.values(this.known).every(({ state }) => state === "finished" || state === "cut off");
  }

  get hasLearned() {
    return Object.keys(this.known).length > 0;
  }

  /** Forget the nets of before and let three new ones learn. */
  start(job, depth, rates) {
    for (const way of Object.keys(WAYS)) {
      this.workers[way]?.terminate();
      const worker = new Worker(this.address), { frozen } = WAYS[way];
      worker.onmessage = ({ data }) => this.hear(way, data);
      worker.onerror = ({ message }) => this.hear(way, { kind: "failed", message });
      this.workers[way] = worker;
      this.known[way] = { state: "learning", update: 0, names: job.names };
      const settings = { frozen: way === "tuned" ? depth : frozen, rate: rates[way] ?? WAYS[way].rate };
      worker.postMessage({ kind: "learn", way, ...job, ...settings });
    }
  }

  hear(way, message) {
    const known = this.known[way];
    if (message.kind === "report") {
      Object.assign(known, { update: message.update, loss: message.loss, seconds: message.seconds });
      if (message.heldOut) known.score = message.heldOut;
      if (message.halfway) known.half = { update: message.update, ...message.heldOut };
      if (message.done && known.state === "learning") known.state = message.finished ? "finished" : "cut off";
    }
    if (message.kind === "failed") known.state = `failed: ${message.message}`;
    this.heard(way, message);
  }

  stop() {
    for (const [way, known] of Object.entries(this.known)) {
      if (known.state !== "learning") continue;
      known.state = "stopped";
      this.workers[way].postMessage({ kind: "stop" });
    }
  }

  /** Ask all three about a picture; `question` comes back with the answers. */
  ask(picture, question) {
    for (const worker of Object.values(this.workers)) worker.postMessage({ kind: "ask", picture, question });
  }

  save(way) {
    this.workers[way].postMessage({ kind: "save", names: this.known[way].names });
  }
}

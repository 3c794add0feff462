/** What runs beside the page: one worker for each net. It learns, breathes, and answers. */
import { writeSafetensors } from "./safetensors.mjs";
import { answer, startingNet, train } from "./training.mjs";
import { WAYS } from "./ways.mjs";

const BREATH = 25; // milliseconds; so soon it hears of a stop or a question

export function serve(scope) {
  let net = null, stopped = false;

  const handlers = {
    async learn({ way, classes, seed, letters, task, frozen, rate }) {
      net = startingNet(way, classes, seed, letters);
      const started = performance.now(), { most } = WAYS[way];
      let breathed = started;
      for (const report of train(net, { ...task, seed, frozen, rate, most })) {
        const now = performance.now(), breathe = now - breathed > BREATH;
        if (report.heldOut || breathe) scope.postMessage({ kind: "report", ...report, seconds: (now - started) / 1000 });
        if (!breathe) continue;
        await new Promise((resolve) => { setTimeout(resolve); });
        breathed = performance.now();
        if (stopped) return;
      }
    },
    stop() {
      stopped = true;
    },
    ask({ picture, question }) {
      if (net) scope.postMessage({ kind: "answer", question, chances: answer(net, picture) });
    },
    save({ names }) {
      const file = writeSafetensors(net.state(), { classes: JSON.stringify(names) });
      scope.postMessage({ kind: "saved", file });
    },
  };
  scope.onmessage = ({ data }) => handlers[data.kind](data);
}

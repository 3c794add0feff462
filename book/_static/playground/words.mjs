/** What the race has shown, in words, and how much of it luck could have done. */
export const NAMES = {
  scratch: "From scratch",
  frozen: "Frozen letters features + head",
  tuned: "Fine-tuned letters net",
};

/** What three nets that are done have shown; `known` is what the race knows of each. */
export function verdict(known) {
  const { of } = known.scratch.score, late = Object.keys(NAMES).filter((way) => known[way].state !== "finished");
  const end = late.length
    ? `All three have ended, but not finished: ${late.map((way) => NAMES[way].toLowerCase()).join(", ")}.`
    : "All three have finished.";
  if (!of) return `${end} No drawing was held out, so nobody knows how well they read new ones.`;
  const right = Object.fromEntries(Object.keys(NAMES).map((way) => [way, known[way].score.right]));
  const counts = Object.entries(NAMES).map(([way, name]) => `${name.toLowerCase()} ${right[way]}`);
  return `${end} Of ${of} held-out drawings: ${counts.join(", ")}. ${gain(Math.max(right.frozen, right.tuned), right.scratch, of)}`;
}

function gain(transfer, scratch, of) {
  const lead = transfer - scratch, share = (transfer + scratch) / 2 / of;
  const luck = 2 * Math.sqrt(2 * of * share * (1 - share)); // two standard errors of the difference
  if (lead < 0) return "From scratch is ahead: here the letters did not help.";
  if (lead === 0) return "From scratch is as good: here the letters saved work at most.";
  if (lead <= luck) return `The lead over scratch, ${lead}, is no more than luck can do with so few; hold out more drawings, or change the seed.`;
  return `Starting from letters leads by ${lead}, more than luck usually does.`;
}

/** What a net's card says about its learning. */
export function progress({ state, update, seconds, half, score }) {
  const run = `${update.toLocaleString("en")} updates, ${(seconds ?? 0).toFixed(1)}\u00a0s`;
  if (state === "finished") {
    const compared = score?.of ? `; ${half.right} right after half of them` : "";
    return `finished: ${run}${compared}`;
  }
  if (state === "cut off") return `not finished after ${run}: another rate may do better`;
  return state === "learning" && !update ? "starting" : `${state}: ${run}`;
}

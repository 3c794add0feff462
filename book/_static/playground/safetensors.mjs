/**
 * Safetensors files: eight bytes with the header's length, the header as JSON, then the numbers.
 * The names of the types and the layout are those of the format's specification.
 */
const TYPES = { F32: Float32Array, I64: BigInt64Array, U16: Uint16Array };

/** Return the file of a state {name: {data, shape}} as bytes. */
export function writeSafetensors(state, notes = {}) {
  const header = { __metadata__: notes }, parts = [];
  let length = 0;
  for (const [name, { data, shape }] of Object.entries(state)) {
    const dtype = Object.keys(TYPES).find((key) => data instanceof TYPES[key]);
    header[name] = { dtype, shape, data_offsets: [length, (length += data.byteLength)] };
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - (new TextEncoder().encode(text).length % 8)) % 8); // numbers aligned
  const start = new TextEncoder().encode(text);
  const file = new Uint8Array(8 + start.length + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(start.length), true);
  file.set(start, 8);
  let at = 8 + start.length;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** Return the state {name: {data, shape}} that a file's bytes hold. */
export function readSafetensors(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const state = {};
  delete header.__metadata__;
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    if (!TYPES[dtype]) throw new Error(`${name} has the type ${dtype}; only ${Object.keys(TYPES)} are read`);
    const bytes = file.slice(start + from, start + to); // a copy begins at an aligned address
    state[name] = { data: new TYPES[dtype](bytes.buffer), shape };
  }
  return state;
}

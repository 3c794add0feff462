/**
 * Pictures as PNG files in a zip file, both stored without compression: the pictures are small,
 * and what is left of the two formats is short enough to read. Other programs open them as usual.
 */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

/** A folder of pictures: files {path, bytes} for `zip`, laid out as load_image_folder reads it. */
export function pictureFiles(classes) {
  const folders = folderNames(classes.map(({ name }) => name));
  const split = classes.some(({ heldOut }) => heldOut.length);
  return classes.flatMap(({ pictures, heldOut }, k) =>
    [["train", pictures], ["val", heldOut]].flatMap(([side, frames]) =>
      frames.map((frame, i) => ({
        path: ["drawings", ...(split ? [side] : []), folders[k], `${String(i + 1).padStart(3, "0")}.png`].join("/"),
        bytes: png(frame, 32, 32),
      }))));
}

/** Class names as names of folders that every system takes, no two alike. */
export function folderNames(names) {
  const taken = new Set();
  return names.map((name) => {
    const plain = name.trim().replace(/[\\/:*?"<>|\u0000-\u001f]/g, "_").replace(/^[._]+|[. ]+$/g, "") || "class";
    let folder = plain;
    for (let i = 2; taken.has(folder.toLowerCase()); i++) folder = `${plain} ${i}`;
    taken.add(folder.toLowerCase()); // some systems take a and A for one
    return folder;
  });
}

/** A grey picture, numbers in [0, 1], as a PNG file. */
export function png(grey, width, height) {
  const rows = new Uint8Array(height * (width + 1)); // each begins with its filter: none
  for (let at = 0; at < grey.length; at++) {
    rows[at + 1 + Math.floor(at / width)] = Math.round(255 * Math.min(1, Math.max(0, grey[at])));
  }
  const header = joinedBytes([bigEndian(width), bigEndian(height), [8, 0, 0, 0, 0]]); // 8 bits, grey
  return joinedBytes([
    [137, 80, 78, 71, 13, 10, 26, 10],
    chunk("IHDR", header),
    chunk("IDAT", zlib(rows)),
    chunk("IEND", []),
  ]);
}

/** A zip file of files {path, bytes}. */
export function zip(files) {
  const parts = [], directory = [];
  let at = 0;
  for (const { path, bytes } of files) {
    const name = new TextEncoder().encode(path), size = little(bytes.length, 4);
    const common = joinedBytes([
      little(20, 2), little(0x0800, 2), little(0, 2), // version 2.0, names in UTF-8, stored
      little(0, 2), little(0x21, 2), // at midnight of 1 January 1980: the same drawings, the same file
      little(crc32(bytes), 4), size, size, little(name.length, 2), little(0, 2),
    ]);
    const local = joinedBytes([[80, 75, 3, 4], common, name, bytes]);
    directory.push(joinedBytes([
      [80, 75, 1, 2], little(20, 2), common, new Uint8Array(10), little(at, 4), name,
    ]));
    parts.push(local);
    at += local.length;
  }
  const listing = joinedBytes(directory), count = little(files.length, 2);
  const end = joinedBytes([
    [80, 75, 5, 6], new Uint8Array(4), count, count, little(listing.length, 4), little(at, 4), [0, 0],
  ]);
  return joinedBytes([...parts, listing, end]);
}

/** Zlib's format around stored blocks of at most 65,535 bytes. */
function zlib(bytes) {
  const parts = [[0x78, 0x01]];
  for (let start = 0; start < bytes.length || start === 0; start += 0xffff) {
    const block = bytes.subarray(start, start + 0xffff);
    const last = start + 0xffff >= bytes.length ? 1 : 0;
    parts.push([last], little(block.length, 2), little(~block.length & 0xffff, 2), block);
  }
  let low = 1, high = 0; // Adler's checksum
  for (const byte of bytes) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return joinedBytes([...parts, bigEndian(((high << 16) | low) >>> 0)]);
}

function chunk(kind, bytes) {
  const body = joinedBytes([new TextEncoder().encode(kind), bytes]);
  return joinedBytes([bigEndian(body.length - 4), body, bigEndian(crc32(body))]);
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function little(number, length) {
  return Array.from({ length }, (_, i) => (number >>> (8 * i)) & 255);
}

function bigEndian(number) {
  return little(number, 4).reverse();
}

function joinedBytes(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

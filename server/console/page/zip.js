// A zip file of a few texts, stored as they are (APPNOTE 6.3.10, sections 4.3.7 to 4.3.16).

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc(bytes) {
  let c = 0xffffffff;
  for (const b of bytes) c = table[(c ^ b) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

const le = (n, size) => Array.from({ length: size }, (_, i) => (n >>> (8 * i)) & 255);

/** zip returns a Blob of files, by their names. */
export function zip(files) {
  const coder = new TextEncoder();
  const parts = [];
  const central = [];
  let at = 0;
  for (const [name, text] of Object.entries(files)) {
    const path = coder.encode(name);
    const data = coder.encode(text);
    // version 2.0, names in UTF-8, stored, the first day that can be written
    const about = [...le(20, 2), ...le(0x800, 2), ...le(0, 2), ...le(0, 2), ...le(0x21, 2), ...le(crc(data), 4), ...le(data.length, 4), ...le(data.length, 4), ...le(path.length, 2), ...le(0, 2)];
    const local = [...le(0x04034b50, 4), ...about];
    parts.push(Uint8Array.from(local), path, data);
    central.push(Uint8Array.from([...le(0x02014b50, 4), ...le(20, 2), ...about, ...le(0, 2), ...le(0, 2), ...le(0, 2), ...le(0, 4), ...le(at, 4)]), path);
    at += local.length + path.length + data.length;
  }
  const size = central.reduce((n, p) => n + p.length, 0);
  const n = Object.keys(files).length;
  return new Blob([...parts, ...central, Uint8Array.from([...le(0x06054b50, 4), ...le(0, 4), ...le(n, 2), ...le(n, 2), ...le(size, 4), ...le(at, 4), ...le(0, 2)])], { type: "application/zip" });
}

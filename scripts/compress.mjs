// Writes a .br and a .gz beside every compressible file of a folder, unless they are there and younger.
// The signal server sends them as they are. Usage: node compress.mjs FOLDER
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const COMPRESSIBLE = new Set(['.css', '.ftl', '.html', '.js', '.json', '.mjs', '.svg', '.txt', '.wasm', '.webmanifest', '.xml']);
// Below this the headers outweigh what is saved.
const LEAST_BYTES = 256;

const encodings = [
  ['.br', (data) => promisify(brotliCompress)(data, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: data.length },
  })],
  ['.gz', (data) => promisify(gzip)(data, { level: 9 })],
];

const modified = async (path) => (await stat(path).catch(() => null))?.mtimeMs ?? -1;

async function compress(path) {
  const since = await modified(path);
  const data = await readFile(path);
  if (data.length < LEAST_BYTES) return;
  await Promise.all(encodings.map(async ([suffix, encode]) => {
    if (await modified(path + suffix) > since) return;
    await writeFile(path + suffix, await encode(data));
  }));
}

const folder = process.argv[2];
if (!folder) {
  console.error('usage: node compress.mjs FOLDER');
  process.exit(2);
}
const entries = await readdir(folder, { recursive: true, withFileTypes: true });
const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
const present = new Set(paths);
const packed = (path) => ['.br', '.gz'].includes(extname(path));
// Left over from files of an earlier build.
const orphans = paths.filter((path) => packed(path) && !present.has(path.slice(0, -3)));
await Promise.all(orphans.map((path) => rm(path)));
await Promise.all(paths.filter((path) => COMPRESSIBLE.has(extname(path))).map(compress));

// Verification per second in one thread: ours beside nostr-wasm and, natively, in turns so that a busy machine hurts
// both alike. `node run.mjs [pkg folders…]`; each folder is an output of `wasm-bindgen --target nodejs`.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { statSync } from 'node:fs';
import { initNostrWasm } from 'nostr-wasm';

const COUNT = 2000, PEOPLE = 200, ROUNDS = 9;
const require = createRequire(import.meta.url);
const folders = process.argv.slice(2);
const builds = folders.map((folder) => ({ folder, wasm: require(resolve(folder, 'verify_bench.js')) }));
const json = builds[0].wasm.make(COUNT, PEOPLE, 42n);
const events = JSON.parse(json);
const nostr = await initNostrWasm();

const subjects = [{
  name: 'nostr-wasm 0.1.0',
  run() { for (const event of events) nostr.verifyEvent(event); return COUNT; },
}];
for (const { folder, wasm } of builds) {
  const held = new wasm.Events(json);
  const size = statSync(resolve(folder, 'verify_bench_bg.wasm')).size;
  subjects.push({ name: folder, size, run: () => held.verify() });
  if (wasm.Verifier) {
    const verifier = new wasm.Verifier();
    subjects.push({ name: `${folder}, keys kept`, run: () => verifier.verify(held) });
    const bytes = wasm.encode(held);
    subjects.push({ name: `${folder}, keys kept, encoded`, run: () => verifier.verify_encoded(bytes) });
    subjects.push({ name: `${folder}, encoding alone`, run: () => (wasm.encode(held), COUNT) });
  }
}
for (const subject of subjects) subject.times = [];
for (let round = -1; round < ROUNDS; round++) {
  for (const subject of subjects) {
    const start = process.cpuUsage();
    const holds = subject.run();
    const spent = process.cpuUsage(start);
    if (holds !== COUNT) throw new Error(`${subject.name}: ${holds} of ${COUNT} hold`);
    // The first round compiles.
    if (round >= 0) subject.times.push((spent.user + spent.system) / 1e6);
  }
}
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const base = COUNT / median(subjects[0].times);
console.log('| build | per second (CPU time) | µs | beside nostr-wasm | wasm KB |\n|---|---:|---:|---:|---:|');
for (const { name, times, size } of subjects) {
  const rate = COUNT / median(times);
  console.log(`| ${name} | ${rate.toFixed(0)} | ${(1e6 / rate).toFixed(0)} | ${(rate / base).toFixed(2)}x | ${size ? (size / 1024).toFixed(0) : ''} |`);
}

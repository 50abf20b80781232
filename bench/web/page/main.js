// Measures Sazanami, @snort/worker-relay and nostr-wasm in one run, alternating. The page's script reads
// `window.figures` when `window.done` is set.
import { WorkerRelayInterface } from '@snort/worker-relay';
import init, { decode } from './ours/sazanami_bench_web.js';

const options = Object.fromEntries(new URLSearchParams(location.search));
const seed = Number(options.seed), size = Number(options.events), repeats = Number(options.repeats ?? 3);
const FOLLOWED = 200, QUIET = 50, QUERIES = 200, VERIFIED = 4000, WRITES = 200;
const DATABASE = 'ours.db';

window.figures = [];
const figure = (what, value, unit) => { window.figures.push({ what, value, unit }); console.log(what, value, unit); };
const stage = (name) => { window.stage = name; };
const median = (values) => percentile(values, 0.5);
const percentile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Client {
  #worker; #waiting = new Map(); #next = 0;
  constructor(script) {
    this.#worker = new Worker(script, { type: 'module' });
    this.#worker.onmessage = ({ data }) => {
      const [done, failed] = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) failed(new Error(data.error)); else done(data.result);
    };
    this.#worker.onerror = (error) => this.#waiting.forEach(([, failed]) => failed(new Error(error.message)));
  }
  call(call, ...args) {
    return new Promise((done, failed) => {
      const id = this.#next++;
      this.#waiting.set(id, [done, failed]);
      this.#worker.postMessage({ id, call, args });
    });
  }
  end() { this.#worker.terminate(); }
}

async function verifying(lines) {
  const ours = new Client('ours.worker.js'), theirs = new Client('nostr-wasm.worker.js');
  const part = lines.slice(0, VERIFIED), text = part.join('\n');
  const rates = { ours: [], theirs: [] };
  await ours.call('verify', part.slice(0, 500).join('\n'));
  await theirs.call('verify', part.slice(0, 500).join('\n'));
  for (let run = 0; run < repeats; run++) {
    rates.ours.push(part.length / await ours.call('verify', text) * 1e3);
    rates.theirs.push(part.length / await theirs.call('verify', text) * 1e3);
  }
  figure('web verify/ours, 1 worker', median(rates.ours), 'events/s');
  figure('web verify/nostr-wasm, 1 worker', median(rates.theirs), 'events/s');
  const count = navigator.hardwareConcurrency;
  const workers = [ours, ...Array.from({ length: count - 1 }, () => new Client('ours.worker.js'))];
  const share = Math.ceil(part.length / count);
  const parts = workers.map((_, n) => part.slice(n * share, (n + 1) * share).join('\n'));
  await Promise.all(workers.map((worker) => worker.call('verify', lines[0])));
  const together = [];
  for (let run = 0; run < repeats; run++) {
    // As above each measures without parsing; what matters is when the last one is done.
    const times = await Promise.all(workers.map((worker, n) => worker.call('verify', parts[n])));
    together.push(part.length / Math.max(...times) * 1e3);
  }
  figure(`web verify/ours, ${count} workers`, median(together), 'events/s');
  [...workers, theirs].forEach((client) => client.end());
}

// One at a time: all its databases share one folder of files, which their worker holds.
async function snort(events, run) {
  const worker = new Worker('snort/worker.mjs', { type: 'module' });
  const relay = new WorkerRelayInterface(worker);
  stage('worker-relay: opening');
  relay.timeout = 600_000;
  await relay.init({ databasePath: `snort-${run}.db` });
  // Without its files it would be in memory, and say so only on the console.
  if (await sizeOf('.opfs-sahpool') === undefined) throw new Error('worker-relay is not on OPFS');
  stage('worker-relay: storing');
  const begun = performance.now();
  await Promise.all(events.map((event) => relay.event(event)));
  // It answers before it writes, and writes 50 ms later at the earliest; the next answer comes after that.
  await sleep(60);
  stage('worker-relay: counting');
  const count = await relay.count(['REQ', 'count', {}]);
  const rate = events.length / (performance.now() - begun) * 1e3;
  if (count < events.length / 2) throw new Error(`worker-relay holds ${count} of ${events.length} events`);
  const bytes = await sizeOf('.opfs-sahpool');
  if (bytes < count * 300) throw new Error(`worker-relay keeps ${count} events in ${bytes} bytes: not on OPFS`);
  return { relay, rate, end: () => worker.terminate() };
}

// Bytes of the files below a folder of OPFS; undefined without the folder.
async function sizeOf(name) {
  const sum = async (folder) => {
    let bytes = 0;
    for await (const entry of folder.values()) {
      bytes += entry.kind === 'directory' ? await sum(entry) : (await entry.getFile()).size;
    }
    return bytes;
  };
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(name).catch(() => undefined);
  return folder && sum(folder);
}

async function remove(name) {
  const root = await navigator.storage.getDirectory();
  for (let tries = 0; ; tries++) {
    try {
      return await root.removeEntry(name, { recursive: true });
    } catch (error) {
      // A worker that was ended lets go of its files a little later.
      if (error.name === 'NotFoundError') return;
      if (tries === 50) throw error;
      await sleep(100);
    }
  }
}

async function timed(runs, run) {
  const times = [];
  for (let n = 0; n < runs; n++) {
    const begun = performance.now();
    await run(n);
    times.push(performance.now() - begun);
  }
  return times;
}

// A fresh database with everything loaded and nothing stored.
async function loaded(lines, name) {
  await remove('sazanami-bench');
  const client = new Client('ours.worker.js');
  await client.call('open', name, seed, size);
  return { client, count: await client.call('load', lines.join('\n')) };
}

async function stores(lines) {
  const verifiers = Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1));
  const rates = { inline: [], pooled: [], stored: [], snort: [] }, starts = [];
  const kinds = new Set(options.kinds.split(',').map(Number));
  const events = lines.map((line) => JSON.parse(line)).filter((event) => kinds.has(event.kind));
  let ours, theirs;
  for (let run = 0; run < repeats; run++) {
    theirs?.end();
    await remove('.opfs-sahpool');
    theirs = await snort(events, run);
    rates.snort.push(theirs.rate);

    ours?.end();
    const inline = await loaded(lines, 'a.db');
    stage('storing with verification in line');
    rates.inline.push(inline.count / await inline.client.call('put', true) * 1e3);
    inline.client.end();

    const stored = await loaded(lines, 'b.db');
    stage('storing without verification');
    rates.stored.push(stored.count / await stored.client.call('put', false) * 1e3);
    stored.client.end();

    const pooled = await loaded(lines, DATABASE);
    ours = pooled.client;
    stage('storing with verification by workers');
    const { took, starting } = await ours.call('putPooled', pooled.count, verifiers);
    rates.pooled.push(pooled.count / took * 1e3);
    starts.push(starting);
  }
  const relay = theirs.relay;
  figure('web verifiers', verifiers, 'workers');
  figure('web ingest/ours, verified by workers', median(rates.pooled), 'events/s');
  figure('web ingest/ours, verified in line', median(rates.inline), 'events/s');
  figure('web ingest/ours, unverified', median(rates.stored), 'events/s');
  figure('web ingest/@snort/worker-relay, unverified', median(rates.snort), 'events/s');
  figure('web bytes/ours', await sizeOf('sazanami-bench') / await ours.call('count'), 'bytes/event');
  figure('web bytes/@snort/worker-relay', await sizeOf('.opfs-sahpool') / events.length, 'bytes/event');
  figure('web verifier/start', median(starts), 'ms');

  stage('home timelines');
  await ours.call('follow', FOLLOWED, QUIET);
  for (const [reader, name] of [[0, 'dense'], [1, 'sparse']]) {
    const authors = (await ours.call('followed', seed, size, FOLLOWED, QUIET, reader === 1)).split('\n');
    const times = { ours: [], snort: [] };
    for (let part = 0; part < 4; part++) {
      times.ours.push(...await timed(QUERIES / 4, async () => decode(await ours.call('home', reader))));
      times.snort.push(...await timed(QUERIES / 4, () => relay.query(['REQ', 'home', { kinds: [1], authors, limit: 50 }])));
    }
    for (const [who, values] of Object.entries(times)) {
      const of = who === 'ours' ? 'ours' : '@snort/worker-relay';
      figure(`web home, ${name}/${of}/p50`, percentile(values, 0.5), 'ms');
      figure(`web home, ${name}/${of}/p99`, percentile(values, 0.99), 'ms');
    }
  }
  const notes = decode(await ours.call('home', 0));
  if (notes !== 50) throw new Error(`a page of ${notes} notes`);
  theirs.end();
  ours.end();

  stage('opening');
  const opens = [];
  for (let run = 0; run < 10; run++) {
    await sleep(300);
    const client = new Client('ours.worker.js');
    // The program is there; what is measured is the database.
    await client.call('followed', seed, 500, 1, 1, false);
    const begun = performance.now();
    await client.call('open', DATABASE, seed, size);
    await client.call('home', 0);
    opens.push(performance.now() - begun);
    client.end();
  }
  figure(`web open/${size}/p50`, median(opens), 'ms');

  ours = (await loaded([], 'single.db')).client;
  const single = lines.filter((line) => line.includes('"kind":1,')).slice(0, WRITES);
  stage('single writes');
  const writes = [];
  for (const line of single) writes.push(await ours.call('putOne', line));
  figure('web durable write/ours/p50', percentile(writes, 0.5), 'ms');
  figure('web durable write/ours/p99', percentile(writes, 0.99), 'ms');
  ours.end();
}

try {
  await init();
  const lines = (await (await fetch('corpus.jsonl')).text()).split('\n').filter(Boolean);
  await verifying(lines);
  await stores(lines);
} catch (error) {
  window.failed = `${error.message}\n${error.stack}`;
}
window.done = true;

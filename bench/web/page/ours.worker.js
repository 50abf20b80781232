// Sazanami in a dedicated worker: `{ id, call, args }` in, `{ id, result }` or `{ id, error }` out.
import init, { Bench, followed, verify_lines } from './ours/sazanami_bench_web.js';

const ready = init();
let bench;

// As the node does (core::node::verify): so many events in a job, so many jobs for each verifier.
const JOB = 64, AT_HAND = 8;

// Stores what was loaded, verified by workers of their own meanwhile. Answers milliseconds.
async function putPooled(count, verifiers) {
  const started = performance.now();
  const workers = Array.from({ length: verifiers }, () => new Worker('ours.verifier.js', { type: 'module' }));
  await Promise.all(workers.map((worker) => new Promise((ready) => { worker.onmessage = ready; })));
  const starting = performance.now() - started;
  const begun = performance.now();
  let given = 0, left = count;
  const give = (worker) => {
    if (given === count) return;
    const from = given;
    given = Math.min(count, given + JOB);
    const job = bench.job(from, given);
    worker.postMessage([from, job], [job.buffer]);
  };
  await new Promise((done, failed) => {
    for (const worker of workers) {
      worker.onerror = failed;
      worker.onmessage = ({ data: [from, holds] }) => {
        give(worker);
        left -= holds.length;
        try {
          bench.answered(from, holds);
          if (left === 0) { bench.store_verified(); done(); }
        } catch (error) { failed(error); }
      };
    }
    for (let n = 0; n < AT_HAND; n++) workers.forEach(give);
  });
  const took = performance.now() - begun;
  workers.forEach((worker) => worker.terminate());
  return { took, starting };
}

const calls = {
  async open(name, seed, events) { bench = await Bench.open(name, BigInt(seed), events); },
  load: (lines) => bench.load(lines),
  put: (verified) => bench.put(verified),
  putPooled,
  follow: (people, quiet) => bench.follow(people, quiet),
  home: (reader) => bench.home(BigInt(reader)),
  putOne: (line) => bench.put_one(line),
  followed: (seed, ...rest) => followed(BigInt(seed), ...rest),
  count: () => bench.count(),
  verify: (lines) => verify_lines(lines),
};

self.onmessage = async ({ data: { id, call, args } }) => {
  try {
    await ready;
    const result = await calls[call](...args);
    self.postMessage({ id, result }, result instanceof Uint8Array ? [result.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
};

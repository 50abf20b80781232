// Sazanami in a dedicated worker: `{ id, call, args }` in, `{ id, result }` or `{ id, error }` out.
import init, { Bench, followed, verify } from './ours/sazanami_bench_web.js';

const ready = init();
let bench;

const calls = {
  async open(name, seed, events) { bench = await Bench.open(name, BigInt(seed), events); },
  load: (lines) => bench.load(lines),
  put: (verified) => bench.put(verified),
  follow: (people, quiet) => bench.follow(people, quiet),
  home: (reader) => bench.home(BigInt(reader)),
  putOne: (line) => bench.put_one(line),
  followed: (seed, ...rest) => followed(BigInt(seed), ...rest),
  verify: (lines) => verify(lines),
};

self.onmessage = async ({ data: { id, call, args } }) => {
  try {
    await ready;
    self.postMessage({ id, result: await calls[call](...args) });
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
};

// A verifying worker: `[from, job]` in, `[from, holds]` out.
import init, { Verifier } from './ours/sazanami_bench_web.js';

await init();
const verifier = new Verifier();
self.onmessage = ({ data: [from, job] }) => {
  const holds = verifier.verify(job);
  self.postMessage([from, holds], [holds.buffer]);
};
self.postMessage([]);

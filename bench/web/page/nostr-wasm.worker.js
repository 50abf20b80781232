// nostr-wasm, verifying in a worker of its own as ours does.
import { initNostrWasm } from 'nostr-wasm';

const ready = initNostrWasm();

self.onmessage = async ({ data: { id, args: [lines] } }) => {
  const wasm = await ready;
  const events = lines.split('\n').filter(Boolean).map(JSON.parse);
  const begun = performance.now();
  for (const event of events) wasm.verifyEvent(event);
  self.postMessage({ id, result: performance.now() - begun });
};

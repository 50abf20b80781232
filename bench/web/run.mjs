// Serves the built page with a corpus and lets headless Chromium run it: node run.mjs SITE CORPUS SEED EVENTS KINDS
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';

const [site, corpus, seed, events, kinds, repeats = '3'] = process.argv.slice(2);
const LIMIT_MS = Number(process.env.LIMIT_SECONDS ?? 1_800) * 1_000;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  const file = path === '/corpus.jsonl' ? corpus : join(site, path === '/' ? 'index.html' : path);
  if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    // As the app is served; worker-relay's SQLite asks for it.
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  });
  createReadStream(file).pipe(response);
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const origin = `http://127.0.0.1:${server.address().port}`;

const profile = mkdtempSync(join(tmpdir(), 'sazanami-bench-'));
const driver = spawn('chromedriver', ['--port=0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const port = await new Promise((found, failed) => {
  let said = '';
  driver.stdout.on('data', (text) => {
    said += text;
    const match = said.match(/started successfully on port (\d+)/);
    if (match) found(match[1]);
  });
  driver.on('exit', () => failed(new Error(`chromedriver ended: ${said}`)));
});

async function ask(method, path, body) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(value.message);
  return value;
}

const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
  `--user-data-dir=${profile}`];
let failed;
try {
  const { sessionId } = await ask('POST', '/session', {
    capabilities: { alwaysMatch: { browserName: 'chrome', 'goog:chromeOptions': { args } } },
  });
  const session = `/session/${sessionId}`;
  try {
    await ask('POST', `${session}/url`, { url: `${origin}/?${new URLSearchParams({ seed, events, kinds, repeats })}` });
    const end = Date.now() + LIMIT_MS;
    let printed = 0;
    for (;;) {
      const script = 'return [window.done ?? false, window.failed ?? null, window.figures ?? [], window.stage ?? null]';
      const [done, error, figures, stage] = await ask('POST', `${session}/execute/sync`, { script, args: [] });
      figures.slice(printed).forEach((figure) => console.log(JSON.stringify(figure)));
      printed = figures.length;
      if (done || Date.now() > end) {
        failed = error ?? (done ? undefined : `over the time limit while ${stage}`);
        break;
      }
      await new Promise((wake) => setTimeout(wake, 500));
    }
  } finally {
    await ask('DELETE', session);
  }
} finally {
  driver.kill();
  server.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}
if (failed) {
  console.error(failed);
  process.exit(1);
}

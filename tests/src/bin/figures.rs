//! Prints Sazanami's figures as a table, on the built web app and this machine. Nothing here is asserted.
//!
//! `cargo run -p sazanami-tests --bin figures`

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use futures::{SinkExt, StreamExt};
use nostr::prelude::Keys;
use sazanami_core::node::api::{Command, Reply};
use sazanami_core::signaling::{ClientMessage, PROTOCOL_VERSION, ServerMessage, Topic, hello_proof};
use sazanami_core::store::Scope;
use sazanami_core::time::Millis;
use sazanami_tests::{Browser, NativePeer, SOON, Site, web_root};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[path = "figures/browsers.rs"]
mod browsers;

/// How much is measured.
#[derive(Parser)]
struct Args {
    /// Posts from one browser to the other
    #[arg(long, default_value_t = 100)]
    posts: usize,
    /// Posts that a newcomer has missed
    #[arg(long, default_value_t = 1_000)]
    missed: usize,
    /// Idle connections to the signal server
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Events that a new browser fetches from another one
    #[arg(long, default_value_t = 2_000)]
    events: usize,
    /// Measure only the last, and print it as `scripts/bench.sh` wants it
    #[arg(long)]
    bench: bool,
    /// Seconds that all of it may take
    #[arg(long, default_value_t = 1_800)]
    limit: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if !args.bench {
        println!("| figure | value |\n|---|---|");
    }
    timeout(Duration::from_secs(args.limit), measure(&args))
        .await
        .context("over the time limit")?
}

async fn measure(args: &Args) -> Result<()> {
    if args.bench {
        let rates = browsers::sync(args.events).await?;
        for (what, rate) in [
            ("native to browser", rates.from_native),
            ("browser to browser", rates.from_browser),
        ] {
            let figure = json!({
                "what": format!("web peers/{}, {what}", args.events), "value": rate, "unit": "events/s",
            });
            println!("{figure}");
        }
        return Ok(());
    }
    sizes(&web_root()?)?;
    starts_and_delivery(args.posts).await?;
    catching_up(args.missed).await?;
    let rates = browsers::sync(args.events).await?;
    row(
        &format!("{} events, native peer → new browser", args.events),
        format!("{:.0} events/s", rates.from_native),
    );
    row(
        &format!("{} events, browser → new browser", args.events),
        format!("{:.0} events/s", rates.from_browser),
    );
    idle_connections(args.connections).await
}

fn row(figure: &str, value: impl std::fmt::Display) {
    println!("| {figure} | {value} |");
}

/// What a first visit loads, raw and as it is sent.
fn sizes(folder: &Path) -> Result<()> {
    for kind in ["wasm", "js", "css"] {
        let mut sums = [0; 3];
        add_sizes(folder, kind, &mut sums)?;
        let [raw, gzip, brotli] = sums.map(|bytes| bytes as f64 / 1024.0);
        row(
            &format!("{kind}: raw / gzip / brotli"),
            format!("{raw:.0} / {gzip:.0} / {brotli:.0} KiB"),
        );
    }
    Ok(())
}

fn add_sizes(folder: &Path, kind: &str, sums: &mut [u64; 3]) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_sizes(&path, kind, sums)?;
        } else if path.extension().is_some_and(|extension| extension == kind) {
            for (sum, suffix) in sums.iter_mut().zip(["", ".gz", ".br"]) {
                let packed = path.with_extension(format!("{kind}{suffix}"));
                // A file too small to be packed is sent as it is.
                *sum += std::fs::metadata(&packed)
                    .or_else(|_| std::fs::metadata(&path))?
                    .len();
            }
        }
    }
    Ok(())
}

/// Milliseconds from the navigation until something is on the page, by the page's own clock.
const WHEN_SHOWN: &str = "
    const [selector, done] = arguments;
    const look = () => document.querySelector(selector) ? done(performance.now()) : requestAnimationFrame(look);
    look();";
/// The moment at which a text is on the page.
const WHEN_TEXT: &str = "
    const [text, done] = arguments;
    const shown = () => [...document.querySelectorAll('[data-testid=note]')].some(note => note.textContent.includes(text));
    const end = () => done(performance.timeOrigin + performance.now());
    if (shown()) return end();
    const observer = new MutationObserver(() => { if (shown()) { observer.disconnect(); end(); } });
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });";
/// Notes when a button is pressed.
const WATCH_CLICKS: &str = "document.addEventListener('click',
    () => { window.clickedAt = performance.timeOrigin + performance.now(); }, true);";

async fn starts_and_delivery(posts: usize) -> Result<()> {
    let site = Site::start().await?;
    let mut a = Browser::open(&site, "a").await?;
    let cold: f64 = a.script_async(WHEN_SHOWN, vec!["input".into()]).await?;
    row(
        "cold start (first visit) until a name can be given",
        format!("{cold:.0} ms"),
    );
    let begun = Instant::now();
    a.sign_up("A").await?;
    row(
        "from there to the timeline, typing by WebDriver included",
        format!("{} ms", begun.elapsed().as_millis()),
    );
    a.close().await?;
    a.reopen().await?;
    let warm: f64 = a.script_async(WHEN_SHOWN, vec!["textarea".into()]).await?;
    row(
        "warm start (browser opened again) until the timeline is usable",
        format!("{warm:.0} ms"),
    );
    a.reload().await?;
    let reload: f64 = a.script_async(WHEN_SHOWN, vec!["textarea".into()]).await?;
    row(
        "reload until the timeline is usable",
        format!("at most {reload:.0} ms"),
    );

    let b = Browser::open(&site, "b").await?;
    b.sign_up("B").await?;
    b.wait_for_live_peers(1).await?;
    a.wait_for_live_peers(1).await?;
    let bare = a.data_channel_round_trips(posts).await?;
    let _: Option<()> = a.script(WATCH_CLICKS, vec![]).await?;
    let mut times = Vec::new();
    for i in 0..posts {
        let text = format!("figure {i}.");
        let shown = b.script_async::<f64>(WHEN_TEXT, vec![text.clone().into()]);
        let posted = async {
            a.post(&text).await?;
            a.script::<f64>("return window.clickedAt;", vec![]).await
        };
        let (shown, posted) = tokio::try_join!(shown, posted)?;
        times.push(shown - posted);
    }
    row(
        &format!("Post pressed on A → visible on B, {posts} posts"),
        spread(&mut times.clone()),
    );
    row(
        "bare data channel round trip, same run",
        spread(&mut bare.clone()),
    );
    Ok(())
}

/// Median and 95th percentile.
fn spread(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get(((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1)));
    match (at(0.5), at(0.95)) {
        (Some(p50), Some(p95)) => format!("p50 {p50:.1} ms, p95 {p95:.1} ms"),
        _ => "nothing measured".to_owned(),
    }
}

async fn catching_up(missed: usize) -> Result<()> {
    let site = Site::start().await?;
    let mut peer = NativePeer::start(&site, "archive").await?;
    for i in 0..missed {
        peer.post(&format!("missed {i}")).await?;
    }
    let browser = Browser::open(&site, "newcomer").await?;
    browser.sign_up("New").await?;
    let begun = Instant::now();
    browser.wait_for_live_peers(1).await?;
    let took = begun.elapsed();
    let Reply::Network(network) = peer.ask(Command::Network).await? else {
        bail!("unexpected reply")
    };
    ensure!(!network.peers.is_empty(), "the newcomer has left");
    let newest = Command::Timeline {
        scope: Scope::Everyone,
        before: None,
        limit: 1,
    };
    let Reply::Page(page) = peer.ask(newest).await? else {
        bail!("unexpected reply")
    };
    for note in page.notes {
        browser.wait_for_note(&note.content).await?;
    }
    row(
        &format!("{missed} missed posts, from the timeline's opening to “live” (connecting included)"),
        format!("{:.1} s", took.as_secs_f64()),
    );
    Ok(())
}

async fn idle_connections(count: usize) -> Result<()> {
    let site = Site::start_without_web().await?;
    let before = site.process().resident_bytes()?;
    let mut open = Vec::new();
    for _ in 0..count {
        let (mut socket, _) = tokio_tungstenite::connect_async(site.web_socket()).await?;
        let session = Keys::generate();
        loop {
            let message = timeout(SOON, socket.next())
                .await?
                .context("the server hung up")??;
            let Message::Text(text) = message else { continue };
            let answer = match serde_json::from_str(&text)? {
                ServerMessage::Challenge { challenge, .. } => {
                    let proof = Box::new(hello_proof(&session, &challenge, now()));
                    ClientMessage::Hello {
                        version: PROTOCOL_VERSION,
                        proof,
                    }
                }
                ServerMessage::Welcome { .. } => ClientMessage::Join {
                    topic: Topic::lobby(),
                },
                ServerMessage::Members { .. } => break,
                other => bail!("the server says {other:?}"),
            };
            socket
                .send(Message::text(serde_json::to_string(&answer)?))
                .await?;
        }
        open.push(socket);
    }
    let after = site.process().resident_bytes()?;
    row(
        &format!("signal server's memory, none → {} idle connections", open.len()),
        format!(
            "{:.1} → {:.1} MiB ({:.1} KiB each, debug build)",
            before as f64 / 1_048_576.0,
            after as f64 / 1_048_576.0,
            after.saturating_sub(before) as f64 / 1024.0 / open.len().max(1) as f64
        ),
    );
    Ok(())
}

fn now() -> Millis {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Millis(since.as_millis().try_into().unwrap_or(u64::MAX))
}

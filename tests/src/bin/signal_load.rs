//! Loads a signal server and prints what it took as a table: memory of idle connections, and processor time, throughput
//! and delay of relayed messages. Nothing here is asserted. Linux only: it reads the server's `/proc`.
//!
//! `cargo run --release -p sazanami-tests --bin signal_load -- --server target/release/sazanami-signal`; with
//! `--rivals FOLDER`, where `npm install peer y-webrtc` was run, beside the servers of PeerJS and y-webrtc.
//!
//! Relaying is measured at saturation with a bounded number of messages under way: whoever gets one sends the next.

mod signal_load {
    pub(crate) mod protocol;
    pub(crate) mod server;
}

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use futures::future::try_join_all;
use futures::{SinkExt, StreamExt};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;

use self::signal_load::protocol::{self, Protocol, Socket};
use self::signal_load::server::Server;

/// What is measured.
#[derive(Parser)]
struct Args {
    /// The signal server's program, a release build
    #[arg(long, default_value = "target/release/sazanami-signal")]
    server: PathBuf,
    /// A folder whose `node_modules` has `peer` and `y-webrtc`
    #[arg(long)]
    rivals: Option<PathBuf>,
    /// Idle connections
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Rooms of 10 for relaying
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Messages under way in each room
    #[arg(long, default_value_t = 5)]
    flight: usize,
    /// Bytes of a message's content
    #[arg(long, default_value_t = 1_024)]
    bytes: usize,
    /// Seconds of relaying
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Members of a room.
const ROOM: usize = 10;
/// Connections being made at once.
const OPENING: usize = 64;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut servers = vec![(Protocol::Sazanami, args.server.clone())];
    if let Some(folder) = &args.rivals {
        servers.push((Protocol::PeerJs, folder.clone()));
        servers.push((Protocol::YWebrtc, folder.clone()));
    }
    println!("| server | idle | KiB each | messages/s | µs of processor each | p50 ms | p99 ms |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (protocol, program) in servers {
        let idle = idle(protocol, &program, args.idle)
            .await
            .context("idle connections")?;
        let load = relay(protocol, &program, &args).await.context("relaying")?;
        println!(
            "| {protocol} | {} | {idle:.1} | {:.0} | {:.1} | {:.2} | {:.2} |",
            args.idle, load.per_second, load.micros, load.p50, load.p99
        );
    }
    Ok(())
}

/// Resident KiB of the server for each connection.
async fn idle(protocol: Protocol, program: &std::path::Path, count: usize) -> Result<f64> {
    let server = Server::start(protocol, program).await?;
    // What is there only once: pools, tables, compiled code.
    drop(open(protocol, &server, 20).await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.resident_kib()?;
    let connections = open(protocol, &server, count).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = server.resident_kib()?;
    drop(connections);
    Ok((after - before) / count as f64)
}

/// Connections in rooms of [`ROOM`], in their order.
async fn open(protocol: Protocol, server: &Server, count: usize) -> Result<Vec<(String, Socket)>> {
    let opening = Semaphore::new(OPENING);
    let members = (0..count).map(|place| {
        let opening = &opening;
        async move {
            let _turn = opening.acquire().await?;
            protocol::join(protocol, server.address(), place / ROOM).await
        }
    });
    try_join_all(members).await
}

struct Load {
    per_second: f64,
    micros: f64,
    p50: f64,
    p99: f64,
}

async fn relay(protocol: Protocol, program: &std::path::Path, args: &Args) -> Result<Load> {
    let server = Server::start(protocol, program).await?;
    let mut members = open(protocol, &server, args.rooms * ROOM).await?;
    let names: Arc<Vec<String>> = Arc::new(members.iter().map(|(name, _)| name.clone()).collect());
    let measuring = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (place, (_, socket)) in members.drain(..).enumerate() {
        let (names, measuring) = (Arc::clone(&names), Arc::clone(&measuring));
        let (bytes, first) = (args.bytes, place % ROOM < args.flight);
        tasks.push(tokio::spawn(async move {
            member(protocol, socket, place, &names, bytes, first, start, &measuring).await
        }));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (cpu, begun) = (server.cpu_micros()?, Instant::now());
    measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    measuring.store(false, Ordering::Relaxed);
    let (cpu, took) = (server.cpu_micros()? - cpu, begun.elapsed());
    // The members end with their connections.
    drop(server);
    let mut delays = Vec::new();
    for task in tasks {
        delays.extend(task.await?);
    }
    delays.sort_unstable();
    anyhow::ensure!(!delays.is_empty(), "nothing was relayed");
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    let count = delays.len() as f64;
    Ok(Load {
        per_second: count / took.as_secs_f64(),
        micros: cpu / count,
        p50: at(0.5),
        p99: at(0.99),
    })
}

/// One member of a room, until its connection ends: the delays in µs of what it got while it was measured.
#[allow(clippy::too_many_arguments)]
async fn member(
    protocol: Protocol,
    mut socket: Socket,
    place: usize,
    names: &[String],
    bytes: usize,
    first: bool,
    start: Instant,
    measuring: &AtomicBool,
) -> Vec<u32> {
    let room = place / ROOM * ROOM;
    let mut turn = place;
    let mut delays = Vec::new();
    let mut send = first;
    loop {
        if send {
            // Somebody else of the room, each in turn.
            turn += 1;
            if (turn - place).is_multiple_of(ROOM) {
                turn += 1;
            }
            let to = &names[room + (turn - room) % ROOM];
            let text = protocol::message(protocol, to, place / ROOM, &content(start, place, bytes));
            if socket.send(Message::text(text)).await.is_err() {
                return delays;
            }
        }
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let sent = protocol::sent(&text);
                send = sent.is_some_and(|(_, sender)| protocol.is_next(sender, place, ROOM));
                if let Some((sent, _)) = sent
                    && measuring.load(Ordering::Relaxed)
                {
                    let delay = start.elapsed().as_micros() as u64 - sent;
                    delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
                }
            }
            Some(Ok(_)) => send = false,
            Some(Err(_)) | None => return delays,
        }
    }
}

/// When and by whom it was sent, filled up to its size.
fn content(start: Instant, place: usize, bytes: usize) -> String {
    let mut text = format!("<{:016}.{place:06}>", start.elapsed().as_micros());
    text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
    text
}

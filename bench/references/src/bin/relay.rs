//! Publishes the corpus to a relay (NIP-01) over WebSockets and prints how many events per second it accepted.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use futures::{SinkExt, StreamExt};
use nostr::prelude::Event;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// Events under way on one connection.
const IN_FLIGHT: usize = 500;

/// A relay's rate.
#[derive(Parser)]
struct Args {
    /// `ws://…`
    url: String,
    /// What to call it
    #[arg(long)]
    name: String,
    /// JSON lines
    #[arg(long)]
    corpus: PathBuf,
    /// How many events
    #[arg(long)]
    events: usize,
    /// Which kinds (all, when left out)
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<u16>,
    /// Connections at once
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let messages = Arc::new(read(&args)?);
    let begun = Instant::now();
    let share = messages.len().div_ceil(args.connections);
    let publishers: Vec<_> = (0..args.connections)
        .map(|place| {
            let from = (place * share).min(messages.len());
            let to = (from + share).min(messages.len());
            tokio::spawn(publish(args.url.clone(), messages.clone(), from, to))
        })
        .collect();
    let mut accepted = 0;
    for publisher in publishers {
        accepted += publisher.await??;
    }
    let rate = messages.len() as f64 / begun.elapsed().as_secs_f64();
    ensure!(
        accepted > messages.len() / 2,
        "only {accepted} of {} were accepted",
        messages.len()
    );
    let connections = match args.connections {
        1 => "1 connection".to_owned(),
        more => format!("{more} connections"),
    };
    println!(
        r#"{{"what":"relay/{}, {connections}","value":{rate:.1},"unit":"events/s"}}"#,
        args.name
    );
    Ok(())
}

async fn publish(url: String, messages: Arc<Vec<String>>, from: usize, to: usize) -> Result<usize> {
    let (socket, _) = connect_async(&url).await.with_context(|| url.clone())?;
    let (mut sink, mut stream) = socket.split();
    let (mut accepted, mut answered, mut sent) = (0, 0, 0);
    while answered < to - from {
        while sent < to - from && sent - answered < IN_FLIGHT {
            sink.feed(Message::text(messages[from + sent].clone())).await?;
            sent += 1;
        }
        sink.flush().await?;
        let Some(message) = stream.next().await else {
            bail!("the relay closed the connection after {answered} answers");
        };
        if let Message::Text(text) = message?
            && text.starts_with("[\"OK\"")
        {
            answered += 1;
            accepted += usize::from(text.contains(",true,"));
        }
    }
    Ok(accepted)
}

fn read(args: &Args) -> Result<Vec<String>> {
    let file = File::open(&args.corpus).context("the corpus")?;
    let mut messages = Vec::new();
    for line in BufReader::new(file).lines().take(args.events) {
        let line = line?;
        let event = Event::from_json(&line)?;
        if args.kinds.is_empty() || args.kinds.contains(&event.kind.as_u16()) {
            messages.push(format!("[\"EVENT\",{line}]"));
        }
    }
    Ok(messages)
}

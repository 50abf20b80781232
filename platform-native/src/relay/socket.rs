//! An open WebSocket: reads and writes at once, so that a client that sends without reading hinders only itself.

use std::ops::ControlFlow;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, StreamExt};
use sazanami_core::relay::{ClientEvent, ClientId, Nonsense, Request};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::Report;
use super::http::Socket;

/// Messages that are handed over at once: what is published together is verified and stored together.
const MAX_TOGETHER: usize = 128;
/// Their bytes, about.
const MAX_TOGETHER_BYTES: usize = 256 * 1024;
/// How long a client may take to read what is written to it.
const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// After which a client to which nothing was written is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Silence after which a client counts as gone: two pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(75);
/// How long closing may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Moves messages until either side ends.
pub(super) async fn run(
    socket: Socket,
    client: ClientId,
    texts: mpsc::UnboundedReceiver<Vec<String>>,
    reports: &mpsc::Sender<Report>,
) {
    let (sink, stream) = socket.split();
    tokio::select! {
        () = read(stream, client, reports) => {}
        () = write(sink, client, texts, reports) => {}
    }
}

async fn read(mut stream: SplitStream<Socket>, client: ClientId, reports: &mpsc::Sender<Report>) {
    while let Ok(Some(Ok(message))) = timeout(SILENCE_LIMIT, stream.next()).await {
        let (mut requests, mut bytes) = (Vec::new(), message.len());
        let mut flow = said(message, &mut requests);
        // What has arrived with it.
        while flow.is_continue() && requests.len() < MAX_TOGETHER && bytes < MAX_TOGETHER_BYTES {
            flow = match stream.next().now_or_never() {
                Some(Some(Ok(message))) => {
                    bytes += message.len();
                    said(message, &mut requests)
                }
                Some(_) => ControlFlow::Break(()),
                None => break,
            };
        }
        if !requests.is_empty() {
            let said = Report::Event(ClientEvent::Said { client, requests });
            if reports.send(said).await.is_err() {
                return;
            }
        }
        if flow.is_break() {
            return;
        }
    }
}

fn said(message: Message, requests: &mut Vec<Result<Request, Nonsense>>) -> ControlFlow<()> {
    match message {
        Message::Text(text) => requests.push(Request::parse(&text)),
        Message::Binary(_) => requests.push(Err(Nonsense::new("messages are text"))),
        Message::Close(_) => return ControlFlow::Break(()),
        // Pings are answered by the library.
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
    }
    ControlFlow::Continue(())
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    client: ClientId,
    mut texts: mpsc::UnboundedReceiver<Vec<String>>,
    reports: &mpsc::Sender<Report>,
) {
    loop {
        let texts = tokio::select! {
            texts = texts.recv() => texts,
            () = sleep(PING_INTERVAL) => {
                match timeout(WRITE_LIMIT, sink.send(Message::Ping(Vec::new().into()))).await {
                    Ok(Ok(())) => continue,
                    _ => return,
                }
            }
        };
        let Some(texts) = texts else {
            // The client sees the connection end either way.
            let _ = timeout(CLOSE_LIMIT, sink.close()).await;
            return;
        };
        let bytes = texts.iter().map(String::len).sum();
        let written = async {
            for text in texts {
                sink.feed(Message::text(text)).await?;
            }
            sink.flush().await
        };
        if !matches!(timeout(WRITE_LIMIT, written).await, Ok(Ok(()))) {
            return;
        }
        let drained = Report::Event(ClientEvent::Drained { client, bytes });
        if reports.send(drained).await.is_err() {
            return;
        }
    }
}

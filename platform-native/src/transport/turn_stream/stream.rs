//! One stream to a TURN server, from the first message for it until its socket is gone.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sazanami_core::transport::turn_stream::{MAX_TURN_MESSAGE, TurnJoiner, onto_turn_stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::TurnStreams;
use super::server::{self, Stream, Target};

/// How long one write may take: a path that takes nothing for so long is broken.
const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// How long the last words may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Messages that are written at once.
const BATCH: usize = 32;
const READ: usize = 16 * 1024;

/// A stream that is to be.
pub(super) struct Opening {
    pub(super) streams: Arc<TurnStreams>,
    /// The address that stands for the server.
    pub(super) stand_in: SocketAddr,
    pub(super) targets: Vec<Target>,
    pub(super) by_udp: watch::Receiver<u64>,
    /// What the socket sends; it ends with the socket.
    pub(super) sent: mpsc::Receiver<Vec<u8>>,
    pub(super) arrived: mpsc::Sender<(SocketAddr, Vec<u8>)>,
}

impl Opening {
    /// Waits for UDP, opens the stream, and carries messages both ways.
    pub(super) async fn run(mut self) {
        let mut last = None;
        let patience = self.streams.patience();
        let udp = timeout(patience, self.by_udp.changed());
        // Only what is sent last is of interest by then: the client repeats its first request.
        match hold(&mut self.sent, &mut last, udp).await {
            None | Some(Ok(_)) => return,
            Some(Err(_)) => {}
        }
        let open = server::open(
            std::mem::take(&mut self.targets),
            Arc::clone(&self.streams.ways.tls),
        );
        let Some(Some(stream)) = hold(&mut self.sent, &mut last, open).await else {
            tracing::debug!("no stream to a TURN server");
            return;
        };
        tracing::debug!("a stream to a TURN server is open");
        let (reader, mut writer) = tokio::io::split(stream);
        let Self {
            streams,
            stand_in,
            mut sent,
            arrived,
            ..
        } = self;
        let read = read(reader, arrived, stand_in, || {
            if !patience.is_zero() {
                streams.ways.udp_fails.store(true, Ordering::Relaxed);
            }
        });
        tokio::select! {
            () = write(&mut writer, last, &mut sent) => {
                // The client has released its allocation with its last words; the end of the stream says it again.
                let _ = timeout(CLOSE_LIMIT, writer.shutdown()).await;
            }
            () = read => {}
        }
    }
}

/// Does some work while messages come of which only the last one is kept; `None` when there will be no more.
async fn hold<T>(
    sent: &mut mpsc::Receiver<Vec<u8>>,
    last: &mut Option<Vec<u8>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            message = sent.recv() => *last = Some(message?),
        }
    }
}

/// Writes until there is no more to write, or it cannot be written.
async fn write(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    first: Option<Vec<u8>>,
    sent: &mut mpsc::Receiver<Vec<u8>>,
) {
    let mut messages = Vec::from_iter(first);
    loop {
        // What is no message of TURN does not belong here.
        let bytes: Vec<u8> = messages
            .drain(..)
            .filter_map(|message| onto_turn_stream(&message).ok())
            .flatten()
            .collect();
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if !matches!(timeout(WRITE_LIMIT, written).await, Ok(Ok(()))) {
            return;
        }
        if sent.recv_many(&mut messages, BATCH).await == 0 {
            return;
        }
    }
}

/// Reads until the stream ends or is none of TURN.
async fn read(
    mut reader: ReadHalf<Box<dyn Stream>>,
    arrived: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    stand_in: SocketAddr,
    mut works: impl FnMut(),
) {
    let mut joiner = TurnJoiner::new(MAX_TURN_MESSAGE);
    let mut bytes = vec![0; READ];
    let mut answered = false;
    loop {
        match reader.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            // A server begins with an answer, which is STUN: another protocol's words could be the length of
            // ChannelData that never comes.
            Ok(_) if !answered && bytes[0] > 0x3F => return,
            Ok(count) => joiner.push(&bytes[..count]),
        }
        loop {
            match joiner.next_message() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    answered = true;
                    works();
                    if arrived.send((stand_in, message.to_vec())).await.is_err() {
                        // The socket is gone; what it sent last is still to be written.
                        return std::future::pending().await;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a TURN server's stream");
                    return;
                }
            }
        }
    }
}

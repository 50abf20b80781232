//! The WebSocket shell: moves frames between a socket and a [`Connection`].
//!
//! There is no check of `Origin`. The check protects servers that know their users by cookies; this one knows a
//! session by a proof that its page must make itself, and relays only what is sealed. Another site's page could do
//! no more than any other client.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use sazanami_core::signaling::{self, ErrorCode, MAX_MESSAGE, ServerMessage};
use sazanami_core::time::Millis;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::ClientAddress;
use crate::connection::{Connection, Frame};
use crate::hub::Hub;
use crate::metrics::Limit;
use crate::outbox::{CloseReason, Next};

/// tungstenite reserves its read buffer per connection, 128 KiB by default; idle connections need next to nothing. A
/// message of 1 KiB still comes with one read.
const READ_BUFFER: usize = 2 * 1024;
/// Every message is flushed, so that collecting them before writing would only cost memory.
const WRITE_BUFFER: usize = 0;
/// Read up to this, so that a client slightly above [`MAX_MESSAGE`] is told so; more is not even read.
const MAX_READ: usize = 2 * MAX_MESSAGE;
/// How long to wait for the other side after closing: leaving at once with unread bytes would reset the connection,
/// and the last error would be lost.
const LINGER: Duration = Duration::from_secs(1);

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Accepts a WebSocket; `alive` is held until its task has ended.
pub(crate) fn accept(
    upgrade: WebSocketUpgrade,
    hub: Arc<Hub>,
    address: ClientAddress,
    alive: mpsc::Sender<()>,
) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_READ)
        .max_message_size(MAX_READ)
        .max_frame_size(MAX_READ)
        .on_upgrade(move |mut socket| async move {
            let challenge = signaling::challenge(hub.id(), rand::random());
            match Connection::open(Arc::clone(&hub), address, challenge, now()) {
                Ok(connection) => serve(&mut socket, connection, &hub).await,
                Err(reason) => turn_away(&mut socket, reason, hub.limits().write_timeout).await,
            }
            drop(alive);
        })
}

async fn serve(socket: &mut WebSocket, mut connection: Connection, hub: &Hub) {
    let write_timeout = hub.limits().write_timeout;
    let outbox = Arc::clone(connection.outbox());
    let mut timer = std::pin::pin!(sleep_until(after(connection.deadline())));
    loop {
        tokio::select! {
            // What is to be written first: an error must go out before its close, and a client that sends faster than
            // it reads waits for itself.
            biased;
            next = outbox.next() => match next {
                Next::Message(text) => {
                    let sent = tokio::select! {
                        sent = timeout(write_timeout, socket.send(Message::Text(text))) => Some(sent),
                        () = outbox.overflowed() => None,
                    };
                    if !matches!(sent, Some(Ok(Ok(())))) {
                        if let Some(Err(_)) = sent {
                            hub.metrics().strike(Limit::WriteTimeout);
                        }
                        tracing::debug!("a connection did not take what was written to it");
                        return;
                    }
                }
                Next::Close(reason) => {
                    tracing::debug!(reason = reason.text(), "closing a connection");
                    // Out of the hub first: the polite end below may take a second.
                    drop(connection);
                    return close(socket, reason, write_timeout).await;
                }
            },
            received = socket.recv() => {
                if read(received, &mut connection).is_break() {
                    return;
                }
            }
            () = &mut timer => connection.timeout(now()),
        }
        timer.as_mut().reset(after(connection.deadline()));
    }
}

fn read(received: Option<Result<Message, axum::Error>>, connection: &mut Connection) -> ControlFlow<()> {
    let message = match received {
        Some(Ok(message)) => message,
        Some(Err(error)) if is_too_large(&error) => {
            connection.handle(Frame::TooLarge, now());
            return ControlFlow::Continue(());
        }
        Some(Err(_)) | None => return ControlFlow::Break(()),
    };
    match &message {
        Message::Text(text) => connection.handle(Frame::Text(text), now()),
        Message::Binary(bytes) => connection.handle(Frame::Binary(bytes.len()), now()),
        Message::Ping(bytes) | Message::Pong(bytes) => connection.handle(Frame::Control(bytes.len()), now()),
        Message::Close(_) => return ControlFlow::Break(()),
    }
    ControlFlow::Continue(())
}

/// axum hides tungstenite's error type, but not its words.
fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
}

/// There is no room: says so and leaves.
async fn turn_away(socket: &mut WebSocket, reason: CloseReason, write_timeout: Duration) {
    if reason == CloseReason::Full {
        let code = ErrorCode::TooManyConnections;
        let error = ServerMessage::Error {
            code,
            message: reason.text().to_owned(),
        };
        let text = serde_json::to_string(&error).expect("every message has a JSON form");
        if !matches!(
            timeout(write_timeout, socket.send(Message::Text(text.into()))).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
    close(socket, reason, write_timeout).await;
}

async fn close(socket: &mut WebSocket, reason: CloseReason, write_timeout: Duration) {
    if reason == CloseReason::SlowReader {
        return;
    }
    let frame = CloseFrame {
        code: reason.code(),
        reason: reason.text().into(),
    };
    if matches!(
        timeout(write_timeout, socket.send(Message::Close(Some(frame)))).await,
        Ok(Ok(()))
    ) {
        let _ = timeout(LINGER, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

fn after(deadline: Millis) -> Instant {
    // Never in the past by much: a deadline that has passed must still let the loop run.
    Instant::now() + Duration::from_millis(deadline.0.saturating_sub(now().0).max(1))
}

//! TURN over TCP (RFC 8656 §3.1), for clients whose network lets no UDP through: each connection is a client of the
//! same protocol, under its real address, and relayed traffic stays UDP.
//!
//! The `turn` crate handles datagrams: [`Streams`] gives it the messages of all connections as such.

use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sazanami_core::transport::turn_stream::{TurnJoiner, onto_turn_stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, interval_at, timeout};
use webrtc_util::Conn;

use super::listener::Gate;
use crate::address::ClientAddress;
use crate::limits::Limits;
use crate::lock;
use crate::metrics::Limit;

/// What the `turn` crate reads at once.
const MAX_MESSAGE: usize = 1_500;
/// How long a connection may be without an allocation.
const TIME_TO_ALLOCATE: Duration = Duration::from_secs(10);
/// Messages of all connections that wait for the `turn` crate; more are not read.
const MAX_ARRIVED: usize = 256;
/// Messages that wait for one connection; more are dropped, as on UDP.
const MAX_WAITING: usize = 128;
/// Messages that are written at once.
const BATCH: usize = 32;
/// Pause after an accept that failed for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// All connections, as one socket.
pub(crate) struct Streams {
    local_addr: SocketAddr,
    open: Arc<Open>,
    arrived: tokio::sync::Mutex<mpsc::Receiver<(SocketAddr, Vec<u8>)>>,
    accepting: AbortHandle,
}

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Open {
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

#[derive(Debug)]
struct Connection {
    waiting: mpsc::Sender<Vec<u8>>,
    /// Dropped with the connection.
    alive: watch::Sender<()>,
}

impl Open {
    /// Ends when a client's connection does, and at once where there is none.
    pub(crate) fn end_of(&self, client: SocketAddr) -> watch::Receiver<()> {
        let connections = lock(&self.connections);
        let alive = connections
            .get(&client)
            .map(|connection| connection.alive.subscribe());
        alive.unwrap_or_else(|| watch::channel(()).1)
    }
}

impl Streams {
    /// Must be called where tokio runs.
    pub(crate) fn new(listener: TcpListener, gate: Gate, limits: &Limits) -> std::io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (arrives, arrived) = mpsc::channel(MAX_ARRIVED);
        let open = Arc::new(Open::default());
        let acceptor = Acceptor {
            gate,
            open: Arc::clone(&open),
            arrives,
            most: limits.turn_streams,
            most_per_address: limits.turn_streams_per_address,
            write_timeout: limits.write_timeout,
        };
        let accepting = tokio::spawn(accept(listener, Arc::new(acceptor))).abort_handle();
        Ok(Self {
            local_addr,
            open,
            arrived: tokio::sync::Mutex::new(arrived),
            accepting,
        })
    }

    pub(crate) fn open(&self) -> Arc<Open> {
        Arc::clone(&self.open)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What every connection needs.
struct Acceptor {
    gate: Gate,
    open: Arc<Open>,
    arrives: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    most: usize,
    most_per_address: usize,
    write_timeout: Duration,
}

/// Accepts until it is aborted, and with it all connections.
async fn accept(listener: TcpListener, acceptor: Arc<Acceptor>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    if let Some(waiting) = acceptor.admit(client) {
                        let acceptor = Arc::clone(&acceptor);
                        tasks.spawn(async move { acceptor.serve(stream, client, waiting).await });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection for TURN");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

impl Acceptor {
    /// Notes a connection, unless there are too many.
    fn admit(&self, client: SocketAddr) -> Option<mpsc::Receiver<Vec<u8>>> {
        let metrics = self.gate.clients().metrics();
        // An allocation of an earlier connection from the same port would belong to this one.
        if self.gate.clients().has_allocation(client) {
            return None;
        }
        let mut connections = lock(&self.open.connections);
        let address = ClientAddress::from(client.ip());
        let of_address = connections
            .keys()
            .filter(|it| ClientAddress::from(it.ip()) == address)
            .count();
        for (count, most, limit) in [
            (connections.len(), self.most, Limit::TurnStreams),
            (of_address, self.most_per_address, Limit::TurnStreamsPerAddress),
        ] {
            if count >= most {
                metrics.strike(limit);
                return None;
            }
        }
        let (waiting, to_write) = mpsc::channel(MAX_WAITING);
        let alive = watch::Sender::new(());
        connections.insert(client, Connection { waiting, alive });
        metrics.turn_streams.add(1);
        Some(to_write)
    }

    async fn serve(&self, stream: TcpStream, client: SocketAddr, waiting: mpsc::Receiver<Vec<u8>>) {
        let _here = Here {
            acceptor: self,
            client,
        };
        // A message must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        tokio::select! {
            () = self.read(reader, client) => {}
            () = write(writer, waiting, self.write_timeout) => {}
            () = self.without_allocation(client) => {}
        }
    }

    /// Reads until the connection ends, or sends what is no TURN.
    async fn read(&self, mut reader: OwnedReadHalf, client: SocketAddr) {
        let mut joiner = TurnJoiner::new(MAX_MESSAGE);
        let mut bytes = vec![0; 4 * 1024];
        loop {
            match reader.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(count) => joiner.push(&bytes[..count]),
            }
            loop {
                match joiner.next_message() {
                    Ok(Some(message)) => {
                        if !self.gate.lets_in(message, client, crate::ws::now()) {
                            continue;
                        }
                        if self.arrives.send((client, message.to_vec())).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }

    /// Ends when the client is here without an allocation for too long.
    async fn without_allocation(&self, client: SocketAddr) {
        let mut looks = interval_at(Instant::now() + TIME_TO_ALLOCATE, TIME_TO_ALLOCATE);
        loop {
            looks.tick().await;
            if !self.gate.clients().has_allocation(client) {
                return;
            }
        }
    }
}

/// A connection's place; given back when this is dropped.
struct Here<'a> {
    acceptor: &'a Acceptor,
    client: SocketAddr,
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        lock(&self.acceptor.open.connections).remove(&self.client);
        self.acceptor.gate.clients().metrics().turn_streams_ended.add(1);
    }
}

/// Writes until the client takes nothing any more.
async fn write(mut writer: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>, limit: Duration) {
    let mut messages = Vec::new();
    while waiting.recv_many(&mut messages, BATCH).await > 0 {
        let bytes: Vec<u8> = messages
            .drain(..)
            .filter_map(|message| onto_turn_stream(&message).ok())
            .flatten()
            .collect();
        if !matches!(timeout(limit, writer.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
}

#[async_trait]
impl Conn for Streams {
    async fn connect(&self, _: SocketAddr) -> Result<(), webrtc_util::Error> {
        Err(webrtc_util::Error::Other("a listener".to_owned()))
    }

    async fn recv(&self, buf: &mut [u8]) -> Result<usize, webrtc_util::Error> {
        Ok(self.recv_from(buf).await?.0)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), webrtc_util::Error> {
        loop {
            let arrived = self.arrived.lock().await.recv().await;
            let (client, message) = arrived.ok_or(webrtc_util::Error::ErrUseClosedNetworkConn)?;
            if let Some(room) = buf.get_mut(..message.len()) {
                room.copy_from_slice(&message);
                return Ok((message.len(), client));
            }
        }
    }

    async fn send(&self, _: &[u8]) -> Result<usize, webrtc_util::Error> {
        Err(webrtc_util::Error::Other("a listener".to_owned()))
    }

    async fn send_to(&self, buf: &[u8], client: SocketAddr) -> Result<usize, webrtc_util::Error> {
        if let Some(connection) = lock(&self.open.connections).get(&client) {
            // Full: lost, as on UDP.
            let _ = connection.waiting.try_send(buf.to_vec());
        }
        Ok(buf.len())
    }

    fn local_addr(&self) -> Result<SocketAddr, webrtc_util::Error> {
        Ok(self.local_addr)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> Result<(), webrtc_util::Error> {
        // Closed when dropped; the `turn` crate also calls this at the end of each allocation.
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

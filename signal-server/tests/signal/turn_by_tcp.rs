//! The embedded TURN over TCP, through a real TURN client on a framed stream.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use sazanami_core::transport::turn_stream::{TurnJoiner, onto_turn_stream};
use sazanami_signal::metrics::Limit;
use sazanami_signal::{Config, Rate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use turn::client::Client;
use webrtc_util::Conn;

use crate::harness::{TestServer, until, within};
use crate::turn::{client_on, credentials, relays};

/// A stream as the client's socket.
struct Framed {
    server: SocketAddr,
    local: SocketAddr,
    reader: Mutex<(OwnedReadHalf, TurnJoiner)>,
    writer: Mutex<OwnedWriteHalf>,
}

impl Framed {
    async fn connect(server: &TestServer) -> Arc<Self> {
        let server = server.turn.unwrap();
        let stream = TcpStream::connect(server).await.unwrap();
        let local = stream.local_addr().unwrap();
        let (reader, writer) = stream.into_split();
        Arc::new(Self {
            server,
            local,
            reader: Mutex::new((reader, TurnJoiner::new(2_000))),
            writer: Mutex::new(writer),
        })
    }
}

fn ended() -> webrtc_util::Error {
    webrtc_util::Error::ErrUseClosedNetworkConn
}

#[async_trait]
impl Conn for Framed {
    async fn connect(&self, _: SocketAddr) -> Result<(), webrtc_util::Error> {
        Ok(())
    }

    async fn recv(&self, buf: &mut [u8]) -> Result<usize, webrtc_util::Error> {
        Ok(self.recv_from(buf).await?.0)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), webrtc_util::Error> {
        let mut reader = self.reader.lock().await;
        let (stream, joiner) = &mut *reader;
        loop {
            if let Some(message) = joiner.next_message().map_err(|_| ended())? {
                buf[..message.len()].copy_from_slice(message);
                return Ok((message.len(), self.server));
            }
            let mut bytes = [0; 500];
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return Err(ended()),
                Ok(count) => joiner.push(&bytes[..count]),
            }
        }
    }

    async fn send(&self, buf: &[u8]) -> Result<usize, webrtc_util::Error> {
        self.send_to(buf, self.server).await
    }

    async fn send_to(&self, buf: &[u8], _: SocketAddr) -> Result<usize, webrtc_util::Error> {
        let bytes = onto_turn_stream(buf).unwrap();
        // In two pieces, as a stream may bring them.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut writer = self.writer.lock().await;
        writer.write_all(first).await.map_err(|_| ended())?;
        tokio::task::yield_now().await;
        writer.write_all(second).await.map_err(|_| ended())?;
        Ok(buf.len())
    }

    fn local_addr(&self) -> Result<SocketAddr, webrtc_util::Error> {
        Ok(self.local)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.server)
    }

    async fn close(&self) -> Result<(), webrtc_util::Error> {
        let _ = self.writer.lock().await.shutdown().await;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

async fn client(server: &TestServer, credentials: &(String, String)) -> (Arc<Framed>, Client) {
    let stream = Framed::connect(server).await;
    let client = client_on(stream.clone(), server, &credentials.0, &credentials.1).await;
    (stream, client)
}

#[tokio::test]
async fn a_relay_by_tcp_carries_both_ways_and_ends_with_the_connection() {
    let server = TestServer::start().await;
    let metrics = server.hub.metrics();
    let credentials = credentials(&server).await;
    let (stream, client) = client(&server, &credentials).await;
    let relay = within("an allocation", client.allocate()).await.unwrap();
    relays(&relay).await;
    let seen = within("a binding", client.send_binding_request()).await.unwrap();
    assert_eq!(seen, stream.local, "the real address");
    assert_eq!((metrics.turn_allocations.get(), metrics.turn_ended.get()), (1, 0));
    assert_eq!(
        (metrics.turn_streams.get(), metrics.turn_streams_ended.get()),
        (1, 0)
    );
    // Without a word of the protocol: a client that is gone must not hold a port for ten minutes.
    stream.close().await.unwrap();
    until("the allocation has ended", || metrics.turn_ended.get() == 1).await;
    assert_eq!(metrics.turn_streams_ended.get(), 1);
}

#[tokio::test]
async fn quotas_are_those_of_udp_and_tcp_together() {
    let mut config = Config::on_any_port();
    config.limits.allocations_per_address = 2;
    config.limits.turn_requests_per_address = Rate::new(40.0, 0.0);
    let server = TestServer::with(config).await;
    let credentials = credentials(&server).await;
    let udp = crate::turn::client(&server, &credentials.0, &credentials.1).await;
    let _first = within("by UDP", udp.allocate()).await.unwrap();
    let (_kept, tcp) = client(&server, &credentials).await;
    let _second = within("by TCP", tcp.allocate()).await.unwrap();
    let (_kept, third) = client(&server, &credentials).await;
    assert!(within("a refusal", third.allocate()).await.is_err());
    let metrics = server.hub.metrics();
    assert_eq!(metrics.struck(Limit::AllocationsPerAddress), 1);
}

#[tokio::test]
async fn connections_are_limited_and_what_is_no_turn_is_closed() {
    let mut config = Config::on_any_port();
    config.limits.turn_streams_per_address = 2;
    let server = TestServer::with(config).await;
    let metrics = server.hub.metrics();
    let address = server.turn.unwrap();
    let connect = async || within("a connection", TcpStream::connect(address)).await.unwrap();
    let closed = async |mut stream: TcpStream| {
        let mut bytes = [0; 10];
        let end = within("the end of a connection", stream.read(&mut bytes)).await;
        assert!(!matches!(end, Ok(1..)), "it is closed without an answer");
    };
    let (first, second) = (connect().await, connect().await);
    until("both are in", || metrics.turn_streams.get() == 2).await;
    closed(connect().await).await;
    assert_eq!(metrics.struck(Limit::TurnStreamsPerAddress), 1);
    for (mut stream, noise) in [
        (first, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        // ChannelData of 65,535 bytes.
        (second, vec![0x40, 0, 0xFF, 0xFF]),
    ] {
        stream.write_all(&noise).await.unwrap();
        closed(stream).await;
    }
    until("there is room again", || metrics.turn_streams_ended.get() == 2).await;
    let credentials = credentials(&server).await;
    let (_stream, client) = client(&server, &credentials).await;
    relays(&within("an allocation", client.allocate()).await.unwrap()).await;
}

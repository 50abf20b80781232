//! A server in this process, and a WebSocket peer to talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sazanami_core::Keys;
use sazanami_core::signaling::{ClientMessage, ErrorCode, ServerMessage, SessionId, hello_proof};
use sazanami_core::time::Millis;
use sazanami_signal::hub::Hub;
use sazanami_signal::{Config, Server};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("no end of: {what}"))
}

/// Waits for a condition that nothing announces.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) turn: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) hub: Arc<Hub>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(Config::on_any_port()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let server = Server::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: server.local_addr(),
            turn: server.turn_addr(),
            metrics: server.metrics_addr(),
            hub: server.hub(),
            stop: Some(stop),
            task: tokio::spawn(server.serve(async move {
                let _ = stopped.await;
            })),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        within(path, reqwest::get(self.url(path))).await.unwrap()
    }

    pub(crate) fn begin_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    pub(crate) async fn stop(&mut self) {
        self.begin_to_stop();
        within("the server's end", &mut self.task).await.unwrap();
    }
}

pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) keys: Keys,
}

impl Peer {
    /// Connected, and nothing else.
    pub(crate) async fn connect(server: &TestServer) -> Self {
        let url = format!("ws://{}/ws", server.address);
        let (socket, _) = within("connecting", tokio_tungstenite::connect_async(url))
            .await
            .unwrap();
        Self {
            socket,
            keys: Keys::generate(),
        }
    }

    /// Connected and welcomed.
    pub(crate) async fn welcomed(server: &TestServer) -> Self {
        Self::welcomed_as(server, Keys::generate()).await
    }

    pub(crate) async fn welcomed_as(server: &TestServer, keys: Keys) -> Self {
        let mut peer = Self {
            keys,
            ..Self::connect(server).await
        };
        let challenge = peer.challenge().await;
        peer.hello(&challenge).await;
        assert_eq!(
            peer.receive().await,
            ServerMessage::Welcome { servers: Vec::new() }
        );
        peer
    }

    pub(crate) async fn challenge(&mut self) -> String {
        match self.receive().await {
            ServerMessage::Challenge { challenge, .. } => challenge,
            other => panic!("not a challenge: {other:?}"),
        }
    }

    pub(crate) async fn hello(&mut self, challenge: &str) {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        let proof = hello_proof(&self.keys, challenge, Millis(now.as_millis() as u64));
        self.say(&ClientMessage::Hello {
            version: 1,
            proof: Box::new(proof),
        })
        .await;
    }

    pub(crate) fn session(&self) -> SessionId {
        SessionId(self.keys.public_key())
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage) {
        self.send(Message::text(serde_json::to_string(message).unwrap()))
            .await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        within("sending", self.socket.send(message)).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> ServerMessage {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a message: {other:?}"),
        }
    }

    pub(crate) async fn error(&mut self) -> ErrorCode {
        match self.receive().await {
            ServerMessage::Error { code, .. } => code,
            other => panic!("not an error: {other:?}"),
        }
    }

    /// The next frame; nothing when the connection has ended, however.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        within("a frame", self.socket.next()).await?.ok()
    }

    /// The code that the server closes with.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(_) => {}
                None => panic!("ended without a close frame"),
            }
        }
    }

    pub(crate) async fn is_served(&mut self) {
        self.say(&ClientMessage::Ping).await;
        assert_eq!(self.receive().await, ServerMessage::Pong);
    }
}

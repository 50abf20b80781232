//! The connection to the signal server: carries out [`SignalCommand`]s. It decides nothing; the node says when to
//! connect again.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::Url;
use sazanami_core::node::{Input, SignalCommand, SignalEvent};
use sazanami_core::signaling::{IceServers, MAX_MESSAGE};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Messages that wait to be sent or to be read.
const MAX_QUEUE: usize = 256;
/// How long a handshake, a request, or sending one message may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Largest answer of `/turn`.
const MAX_ICE_SERVERS: usize = 64 * 1024;

/// A signal server's address: where `/ws` and `/turn` are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalUrl {
    socket: Url,
    turn: Url,
}

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signal server's address looks like https://example.org or http://127.0.0.1:8080, not {0:?}")]
pub struct BadSignalUrl(String);

impl std::str::FromStr for SignalUrl {
    type Err = BadSignalUrl;

    fn from_str(text: &str) -> Result<Self, BadSignalUrl> {
        let bad = || BadSignalUrl(text.to_owned());
        let base = Url::parse(text).map_err(|_| bad())?;
        let scheme = match base.scheme() {
            "http" => "ws",
            "https" => "wss",
            _ => return Err(bad()),
        };
        let at = |name: &str| {
            let mut url = base.clone();
            url.set_query(None);
            url.set_fragment(None);
            url.path_segments_mut()
                .map_err(|()| bad())?
                .pop_if_empty()
                .push(name);
            Ok(url)
        };
        let (mut socket, turn) = (at("ws")?, at("turn")?);
        socket.set_scheme(scheme).map_err(|()| bad())?;
        Ok(Self { socket, turn })
    }
}

/// Carries out what the node wants of the signal server. Dropping it closes the connection.
pub struct SignalClient {
    runtime: Handle,
    url: SignalUrl,
    http: reqwest::Client,
    connection: Option<mpsc::Sender<String>>,
    /// Which connection is the present one: events of earlier ones are stale.
    number: u64,
    reports: mpsc::Receiver<(u64, Input)>,
    report: mpsc::Sender<(u64, Input)>,
}

impl SignalClient {
    /// A client that is not connected yet; its tasks run on `runtime`.
    pub fn new(runtime: Handle, url: SignalUrl) -> Self {
        let (report, reports) = mpsc::channel(MAX_QUEUE);
        Self {
            runtime,
            url,
            http: reqwest::Client::new(),
            connection: None,
            number: 0,
            reports,
            report,
        }
    }

    /// Carries out a command; its effects come from [`SignalClient::next`].
    pub fn execute(&mut self, command: SignalCommand) {
        match command {
            SignalCommand::Connect => {
                self.number += 1;
                let (sender, outgoing) = mpsc::channel(MAX_QUEUE);
                self.connection = Some(sender);
                let report = Report {
                    number: self.number,
                    sender: self.report.clone(),
                };
                self.runtime
                    .spawn(connection(self.url.socket.clone(), outgoing, report));
            }
            SignalCommand::Send(text) => {
                let Some(connection) = &self.connection else {
                    return;
                };
                // A full queue means that the server does not read: the task sees its sender gone and reports.
                if connection.try_send(text).is_err() {
                    self.connection = None;
                }
            }
            SignalCommand::Close => {
                self.connection = None;
                self.number += 1;
            }
            SignalCommand::FetchIceServers => {
                let (http, url, report) = (self.http.clone(), self.url.turn.clone(), self.report.clone());
                self.runtime.spawn(async move {
                    let result = match tokio::time::timeout(LIMIT, ice_servers(http, url)).await {
                        Ok(result) => result,
                        Err(_) => Err(format!("no answer within {} seconds", LIMIT.as_secs())),
                    };
                    // When the client is gone, nobody wants them.
                    let _ = report.send((0, Input::IceServers(result))).await;
                });
            }
        }
    }

    /// What happened next, for the node. May be dropped and called again.
    pub async fn next(&mut self) -> Input {
        loop {
            match self.reports.recv().await {
                Some((number, input)) if number == 0 || number == self.number => return input,
                Some(_) => {}
                // Unreachable while `report` is held; waiting is the honest answer.
                None => std::future::pending().await,
            }
        }
    }
}

struct Report {
    number: u64,
    sender: mpsc::Sender<(u64, Input)>,
}

impl Report {
    async fn send(&self, event: SignalEvent) -> Result<(), String> {
        self.sender
            .send((self.number, Input::Signal(event)))
            .await
            .map_err(|_| "stopping".to_owned())
    }
}

async fn connection(url: Url, outgoing: mpsc::Receiver<String>, report: Report) {
    let reason = match talk(url, outgoing, &report).await {
        Ok(()) => "closed".to_owned(),
        Err(reason) => reason,
    };
    let _ = report.send(SignalEvent::Closed(reason)).await;
}

async fn talk(url: Url, mut outgoing: mpsc::Receiver<String>, report: &Report) -> Result<(), String> {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .max_write_buffer_size(8 * MAX_MESSAGE)
        .write_buffer_size(0);
    let connect = tokio_tungstenite::connect_async_with_config(url.as_str(), Some(limits), true);
    let (mut socket, _) = within(connect).await?;
    report.send(SignalEvent::Opened).await?;
    loop {
        tokio::select! {
            text = outgoing.recv() => match text {
                Some(text) => within(socket.send(Message::text(text))).await?,
                None => {
                    // The server sees the connection end either way.
                    let _ = within(socket.close(None)).await;
                    return Ok(());
                }
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    report.send(SignalEvent::Message(text.as_str().to_owned())).await?;
                }
                // Pings are answered by the library; nothing else is of interest.
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
            },
        }
    }
}

async fn within<T, E: std::fmt::Display>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", LIMIT.as_secs())),
    }
}

async fn ice_servers(http: reqwest::Client, url: Url) -> Result<IceServers, String> {
    let words = |error: reqwest::Error| error.without_url().to_string();
    let mut response = http.get(url).send().await.map_err(words)?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("the server answered {status}"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        if body.len() + chunk.len() > MAX_ICE_SERVERS {
            return Err("the answer is too large".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_derived_from_the_base() {
        let url: SignalUrl = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!(
            (url.socket.as_str(), url.turn.as_str()),
            ("ws://127.0.0.1:8080/ws", "http://127.0.0.1:8080/turn")
        );
        let url: SignalUrl = "https://example.org/nami/?x=1".parse().unwrap();
        assert_eq!(url.socket.as_str(), "wss://example.org/nami/ws");
        assert_eq!(url.turn.as_str(), "https://example.org/nami/turn");
        for bad in ["", "127.0.0.1:8080", "ftp://example.org", "http://"] {
            assert!(bad.parse::<SignalUrl>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_reported() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{free}").parse().unwrap();
            let mut client = SignalClient::new(Handle::current(), url);
            client.execute(SignalCommand::Connect);
            assert!(matches!(
                client.next().await,
                Input::Signal(SignalEvent::Closed(_))
            ));
            client.execute(SignalCommand::FetchIceServers);
            assert!(matches!(client.next().await, Input::IceServers(Err(_))));
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_is_reported() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::AsyncWriteExt;
                stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .await
                    .unwrap();
            }
        });
        let mut client = SignalClient::new(Handle::current(), url);
        client.execute(SignalCommand::Connect);
        assert!(matches!(
            client.next().await,
            Input::Signal(SignalEvent::Closed(_))
        ));
    }

    #[tokio::test]
    async fn messages_go_both_ways_and_a_closed_connection_is_silent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let heard = socket.next().await.unwrap().unwrap();
            socket.send(heard).await.unwrap();
            while let Some(Ok(_)) = socket.next().await {}
        });
        let mut client = SignalClient::new(Handle::current(), url);
        client.execute(SignalCommand::Connect);
        assert!(matches!(client.next().await, Input::Signal(SignalEvent::Opened)));
        client.execute(SignalCommand::Send("さざなみ".to_owned()));
        let Input::Signal(SignalEvent::Message(text)) = client.next().await else {
            panic!("no echo")
        };
        assert_eq!(text, "さざなみ");
        client.execute(SignalCommand::Close);
        tokio::time::timeout(LIMIT, server)
            .await
            .expect("the server sees it end")
            .unwrap();
        // The next thing heard is of the next connection, not the end of the last.
        client.execute(SignalCommand::FetchIceServers);
        assert!(matches!(client.next().await, Input::IceServers(Err(_))));
    }
}

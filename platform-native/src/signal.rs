//! The connections to signal servers: carries out [`SignalCommand`]s. It decides nothing; the node says when to
//! connect again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sazanami_core::node::{Input, ServerId, SignalCommand, SignalEvent};
use sazanami_core::signaling::{IceServers, MAX_MESSAGE, ServerUrl};
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

/// Carries out what the node wants of signal servers. Dropping it closes the connections.
pub struct SignalClient {
    runtime: Handle,
    http: reqwest::Client,
    connections: BTreeMap<ServerId, Connection>,
    /// Of the newest connection.
    number: u64,
    reports: mpsc::Receiver<Report>,
    report: mpsc::Sender<Report>,
}

struct Connection {
    /// Events of earlier connections to the same server are stale.
    number: u64,
    /// Taken away when the server does not read: the task sees it gone and reports.
    outgoing: Option<mpsc::Sender<String>>,
}

struct Report {
    server: ServerId,
    what: Reported,
}

enum Reported {
    Event(u64, SignalEvent),
    IceServers(Result<IceServers, String>),
}

impl SignalClient {
    /// A client that is not connected yet; its tasks run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        let (report, reports) = mpsc::channel(MAX_QUEUE);
        Self {
            runtime,
            http: client(),
            connections: BTreeMap::new(),
            number: 0,
            reports,
            report,
        }
    }

    /// Carries out a command; its effects come from [`SignalClient::next`].
    pub fn execute(&mut self, server: ServerId, command: SignalCommand) {
        match command {
            SignalCommand::Connect(url) => {
                self.number += 1;
                let (sender, outgoing) = mpsc::channel(MAX_QUEUE);
                let number = self.number;
                self.connections.insert(
                    server,
                    Connection {
                        number,
                        outgoing: Some(sender),
                    },
                );
                let reporter = Reporter {
                    server,
                    number,
                    sender: self.report.clone(),
                };
                self.runtime.spawn(connection(url, outgoing, reporter));
            }
            SignalCommand::Send(text) => {
                let Some(connection) = self.connections.get_mut(&server) else {
                    return;
                };
                let sent = connection
                    .outgoing
                    .as_ref()
                    .map(|outgoing| outgoing.try_send(text));
                if matches!(sent, Some(Err(_))) {
                    connection.outgoing = None;
                }
            }
            SignalCommand::Close => drop(self.connections.remove(&server)),
            SignalCommand::FetchIceServers(url) => {
                let (http, report) = (self.http.clone(), self.report.clone());
                self.runtime.spawn(async move {
                    let result = match tokio::time::timeout(LIMIT, ice_servers(http, url.turn())).await {
                        Ok(result) => result,
                        Err(_) => Err(format!("no answer within {} seconds", LIMIT.as_secs())),
                    };
                    let what = Reported::IceServers(result);
                    // When the client is gone, nobody wants them.
                    let _ = report.send(Report { server, what }).await;
                });
            }
        }
    }

    /// What happened next, for the node. May be dropped and called again.
    pub async fn next(&mut self) -> Input {
        loop {
            let Some(Report { server, what }) = self.reports.recv().await else {
                // Unreachable while `report` is held; waiting is the honest answer.
                std::future::pending().await
            };
            match what {
                Reported::IceServers(result) => return Input::IceServers(server, result),
                Reported::Event(number, event)
                    if self.connections.get(&server).map(|now| now.number) == Some(number) =>
                {
                    return Input::Signal(server, event);
                }
                Reported::Event(..) => {}
            }
        }
    }
}

/// A server that sends elsewhere would have this device ask what it cannot ask itself: things in its network.
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap_or_default()
}

struct Reporter {
    server: ServerId,
    number: u64,
    sender: mpsc::Sender<Report>,
}

impl Reporter {
    async fn send(&self, event: SignalEvent) -> Result<(), String> {
        let report = Report {
            server: self.server,
            what: Reported::Event(self.number, event),
        };
        self.sender.send(report).await.map_err(|_| "stopping".to_owned())
    }
}

async fn connection(url: ServerUrl, outgoing: mpsc::Receiver<String>, report: Reporter) {
    let reason = match talk(url, outgoing, &report).await {
        Ok(()) => "closed".to_owned(),
        Err(reason) => reason,
    };
    let _ = report.send(SignalEvent::Closed(reason)).await;
}

async fn talk(url: ServerUrl, mut outgoing: mpsc::Receiver<String>, report: &Reporter) -> Result<(), String> {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .max_write_buffer_size(8 * MAX_MESSAGE)
        .write_buffer_size(0);
    let connect = tokio_tungstenite::connect_async_with_config(url.socket(), Some(limits), true);
    let (mut socket, _) = tokio::select! {
        connected = within(connect) => connected?,
        // Nothing is sent before it is open: this says that it is not wanted any more.
        _ = outgoing.recv() => return Ok(()),
    };
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

async fn ice_servers(http: reqwest::Client, url: String) -> Result<IceServers, String> {
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

    const SERVER: ServerId = ServerId(3);

    #[tokio::test]
    async fn a_server_that_is_not_there_is_reported() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for scheme in ["http", "https"] {
            let url: ServerUrl = format!("{scheme}://{free}").parse().unwrap();
            let mut client = SignalClient::new(Handle::current());
            client.execute(SERVER, SignalCommand::Connect(url.clone()));
            assert!(matches!(
                client.next().await,
                Input::Signal(SERVER, SignalEvent::Closed(_))
            ));
            client.execute(SERVER, SignalCommand::FetchIceServers(url.clone()));
            assert!(matches!(client.next().await, Input::IceServers(SERVER, Err(_))));
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_is_reported() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: ServerUrl = format!("https://{}", listener.local_addr().unwrap())
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
        let mut client = SignalClient::new(Handle::current());
        client.execute(SERVER, SignalCommand::Connect(url.clone()));
        assert!(matches!(
            client.next().await,
            Input::Signal(SERVER, SignalEvent::Closed(_))
        ));
    }

    #[tokio::test]
    async fn messages_go_both_ways_and_a_closed_connection_is_silent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: ServerUrl = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let heard = socket.next().await.unwrap().unwrap();
            socket.send(heard).await.unwrap();
            while let Some(Ok(_)) = socket.next().await {}
        });
        let mut client = SignalClient::new(Handle::current());
        client.execute(SERVER, SignalCommand::Connect(url.clone()));
        assert!(matches!(
            client.next().await,
            Input::Signal(SERVER, SignalEvent::Opened)
        ));
        client.execute(SERVER, SignalCommand::Send("さざなみ".to_owned()));
        let Input::Signal(SERVER, SignalEvent::Message(text)) = client.next().await else {
            panic!("no echo")
        };
        assert_eq!(text, "さざなみ");
        client.execute(SERVER, SignalCommand::Close);
        tokio::time::timeout(LIMIT, server)
            .await
            .expect("the server sees it end")
            .unwrap();
        // The next thing heard is of the next connection, not the end of the last.
        client.execute(SERVER, SignalCommand::FetchIceServers(url.clone()));
        assert!(matches!(client.next().await, Input::IceServers(SERVER, Err(_))));
    }
}

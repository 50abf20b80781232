//! Plain Nostr over WebSockets (see [`sazanami_core::relay`]): accepts connections, hands what clients say to the node, and
//! writes what it answers. It decides nothing but how many sockets there may be and how long each may take.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sazanami_core::node::Input;
use sazanami_core::relay::{ClientCommand, ClientEvent, ClientId, HostAddress};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

mod http;
mod socket;

/// Sockets at once.
const MAX_CONNECTIONS: usize = 512;
/// Sockets of one address, unless it is this machine, where a proxy may stand for many.
const MAX_PER_ADDRESS: usize = 32;
/// Reports that wait for the node; connections wait when it is busy, and with them their clients.
const MAX_REPORTS: usize = 64;
/// After accept(2) failed: most likely there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection says.
enum Report {
    Opened {
        client: ClientId,
        address: IpAddr,
        outgoing: Outgoing,
    },
    Event(ClientEvent),
}

/// Texts for a client. How much of it there is at once, the node bounds.
type Outgoing = mpsc::UnboundedSender<Vec<String>>;

/// A relay; dropping it closes its connections.
pub struct Relay {
    reports: mpsc::Receiver<Report>,
    open: BTreeMap<ClientId, Outgoing>,
    accepting: AbortHandle,
}

/// Takes the address.
///
/// # Errors
/// When somebody else has it.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Relay {
    /// Accepts connections from now on; their tasks run on `runtime`.
    ///
    /// # Errors
    /// When the operating system does not let it.
    pub fn start(listener: std::net::TcpListener, runtime: &Handle) -> io::Result<Self> {
        let (sender, reports) = mpsc::channel(MAX_REPORTS);
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            reports,
            open: BTreeMap::new(),
            accepting: runtime.spawn(accept(listener, sender)).abort_handle(),
        })
    }

    /// Carries out what the node wants.
    pub fn execute(&mut self, command: ClientCommand) {
        match command {
            ClientCommand::Send { client, texts } => {
                // One that is gone is reported by its task.
                if let Some(outgoing) = self.open.get(&client) {
                    let _ = outgoing.send(texts);
                }
            }
            // Its task writes what is left, sees that nothing follows, and closes.
            ClientCommand::Close { client } => drop(self.open.remove(&client)),
        }
    }

    /// What happened next, for the node. May be dropped and called again.
    pub async fn next(&mut self) -> Input {
        let event = match self.reports.recv().await {
            Some(Report::Opened {
                client,
                address,
                outgoing,
            }) => {
                self.open.insert(client, outgoing);
                ClientEvent::Opened { client, address }
            }
            Some(Report::Event(event)) => {
                if let ClientEvent::Closed { client } = &event {
                    self.open.remove(client);
                }
                event
            }
            // It accepts for as long as this is here.
            None => std::future::pending().await,
        };
        Input::Client(event)
    }

    /// Closes all connections: their node is gone.
    pub fn close_all(&mut self) {
        self.open.clear();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections. When it is aborted, so are they.
async fn accept(listener: TcpListener, reports: mpsc::Sender<Report>) {
    let mut tasks = JoinSet::new();
    let mut counts: BTreeMap<HostAddress, usize> = BTreeMap::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let host = HostAddress::from(peer.ip());
                    let count = counts.entry(host).or_default();
                    // When full, the stream is dropped: the client sees a reset rather than silence.
                    if tasks.len() < MAX_CONNECTIONS && (*count < MAX_PER_ADDRESS || peer.ip().is_loopback()) {
                        *count += 1;
                        number += 1;
                        let connection = connection(stream, peer.ip(), ClientId(number), reports.clone());
                        tasks.spawn(async move {
                            connection.await;
                            host
                        });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a client");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = tasks.join_next() => {
                if let Ok(host) = ended
                    && let Some(count) = counts.get_mut(&host)
                {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(&host);
                    }
                }
            }
        }
    }
}

async fn connection(
    stream: tokio::net::TcpStream,
    peer: IpAddr,
    client: ClientId,
    reports: mpsc::Sender<Report>,
) {
    // Small messages must not wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let Some((socket, address)) = http::upgraded(stream, peer).await else {
        return;
    };
    let (outgoing, texts) = mpsc::unbounded_channel();
    let opened = Report::Opened {
        client,
        address,
        outgoing,
    };
    if reports.send(opened).await.is_ok() {
        socket::run(socket, client, texts, &reports).await;
        // Without a node nobody wants to know.
        let _ = reports.send(Report::Event(ClientEvent::Closed { client })).await;
    }
}

//! A node on a thread of its own: its store blocks, and neither a window nor a network task may wait for it.
//!
//! The thread owns node, transport and signal client, takes what happens one after the other, and carries out what
//! the node wants. The interface is at the other end of two bounded channels.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sazanami_core::identity::Vault;
use sazanami_core::media::{BlobError, DEFAULT_BUDGET};
use sazanami_core::node::api::{Change, FromNode, Request};
use sazanami_core::node::{self, Config, Input, Node, Output};
use sazanami_core::signaling::ServerUrl;
use sazanami_core::store::{SqliteStore, StoreError};
use sazanami_core::time::Millis;
use sazanami_core::transport::{Route, Transport};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::blobs;
use crate::place::Place;
use crate::recovery;
use crate::relay::Relay;
use crate::signal::SignalClient;
use crate::transport::WebRtcTransport;
use crate::verifiers::{self, Verifiers};

/// Requests that wait for the node.
const MAX_REQUESTS: usize = 256;
/// Messages that wait for the interface; the node waits when it does not read.
const MAX_MESSAGES: usize = 1024;
/// The longest sleep: a wall clock that is set back must not silence the node.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// How long closing the links may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// What a node runs on.
pub struct Options {
    /// The database file; media are kept in a folder beside it.
    pub database: PathBuf,
    /// Where the secret key is kept.
    pub vault: Box<dyn Vault>,
    /// The signal servers, beside those that the person adds.
    pub servers: Vec<ServerUrl>,
    /// Which candidates links may use, whoever is at the other end; `None`: what the person has chosen for each ring.
    pub route: Option<Route>,
    /// Where plain Nostr is answered, if anywhere: made by [`crate::relay::listen`].
    pub relay: Option<std::net::TcpListener>,
}

/// A node that could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The folder of media cannot be opened.
    #[error("the folder of media cannot be opened: {0}")]
    Media(#[from] BlobError),
    /// The node itself could not start: the secret key cannot be read, or the store.
    #[error(transparent)]
    Node(#[from] node::StartError),
    /// The operating system gives no thread or no randomness.
    #[error("the operating system refused: {0}")]
    System(String),
}

/// The way to a running node. Dropping it stops the node without waiting for it.
pub struct NodeThread {
    requests: mpsc::Sender<Request>,
    /// Dropped or used, it stops the node.
    stop: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl NodeThread {
    /// Starts a node; answers when it is ready, with what it says to the interface from then on. Its network tasks
    /// run on `runtime`, which must have more than one thread or be driven by somebody.
    ///
    /// # Errors
    /// When the store or the vault cannot be opened.
    pub async fn start(
        options: Options,
        runtime: Handle,
    ) -> Result<(Self, mpsc::Receiver<FromNode>), StartError> {
        let (requests, incoming) = mpsc::channel(MAX_REQUESTS);
        let (outgoing, messages) = mpsc::channel(MAX_MESSAGES);
        let (started, ready) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (finished, done) = oneshot::channel();
        let work = move || {
            let Options {
                database,
                vault,
                servers,
                route,
                relay: listener,
            } = options;
            let way = Way { servers, route };
            let opened = runtime.block_on(open(&database, way, vault, listener.is_some()));
            let opened = opened.and_then(|(node, verifiers)| {
                let relay = listener.map(|listener| Relay::start(listener, &runtime));
                let relay = relay
                    .transpose()
                    .map_err(|error| StartError::System(error.to_string()))?;
                Ok((node, verifiers, relay))
            });
            match opened {
                Ok((node, verifiers, relay)) => {
                    let _inside = runtime.enter();
                    // Nobody waiting for the start means that nobody is left to send requests either.
                    let _ = started.send(Ok(()));
                    tracing::debug!(route = ?node.config().route, "node started");
                    let shell = Shell {
                        node,
                        verifiers,
                        transport: WebRtcTransport::new(runtime.clone()),
                        signal: SignalClient::new(runtime.clone()),
                        relay,
                        place: Place::new(),
                        interface: outgoing,
                        may_recover: true,
                    };
                    runtime.block_on(live(shell, &database, incoming, stopping));
                }
                Err(error) => drop(started.send(Err(error))),
            }
            let _ = finished.send(());
        };
        std::thread::Builder::new()
            .name("node".to_owned())
            .spawn(work)
            .map_err(|error| StartError::System(error.to_string()))?;
        ready
            .await
            .map_err(|_| StartError::System("the node's thread ended".to_owned()))??;
        Ok((Self { requests, stop, done }, messages))
    }

    /// Where requests go.
    pub fn requests(&self) -> mpsc::Sender<Request> {
        self.requests.clone()
    }

    /// Stops the node and waits until it has: links closed, database closed.
    pub async fn stopped(self) {
        // Errors mean that the thread is gone already.
        let _ = self.stop.send(());
        let _ = self.done.await;
    }
}

/// How a node gets to others.
struct Way {
    servers: Vec<ServerUrl>,
    route: Option<Route>,
}

type Started = (Node<SqliteStore>, Verifiers);

async fn open(
    database: &Path,
    way: Way,
    vault: Box<dyn Vault>,
    clients: bool,
) -> Result<Started, StartError> {
    let (store, _) = recovery::open(database, now()).await?;
    match start(database, store, way, vault, clients) {
        Err(StartError::Node(node::StartError::Store(error))) if error.damaged => {
            // It is closed by now: the next start finds it mended.
            recovery::reopen_damaged(database, now()).await?;
            Err(StartError::Node(node::StartError::Store(error)))
        }
        started => started,
    }
}

fn start(
    database: &Path,
    mut store: SqliteStore,
    way: Way,
    vault: Box<dyn Vault>,
    clients: bool,
) -> Result<Started, StartError> {
    if clients {
        // They ask by tag.
        store.index_tags()?;
    }
    let mut seed = [0; 32];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut seed)
        .map_err(|error| StartError::System(error.to_string()))?;
    let config = Config {
        servers: way.servers,
        route: way.route,
        verifiers: verifiers::count(),
        seed,
    };
    let verifiers =
        Verifiers::start(config.verifiers).map_err(|error| StartError::System(error.to_string()))?;
    let blobs = blobs::open(&database.with_file_name("media"), DEFAULT_BUDGET)?;
    let node = Node::new(config, store, vault, now())?.with_blobs(Box::new(blobs));
    Ok((node, verifiers))
}

/// Runs the node until it is to stop; a database that is found damaged is put together again once.
async fn live(
    mut shell: Shell,
    database: &Path,
    mut requests: mpsc::Receiver<Request>,
    mut stopping: oneshot::Receiver<()>,
) {
    while shell.run(&mut requests, &mut stopping).await == Ending::Damaged {
        let config = shell.node.config();
        let way = Way {
            servers: config.servers.clone(),
            route: config.route,
        };
        let Shell {
            node,
            transport,
            signal: server,
            mut relay,
            place,
            interface,
            ..
        } = shell;
        drop(server);
        relay.iter_mut().for_each(Relay::close_all);
        transport.shutdown(CLOSE_LIMIT).await;
        let (store, vault) = node.into_parts();
        drop(store);
        let mended = recovery::reopen_damaged(database, now()).await;
        let (node, verifiers) = match mended
            .map_err(StartError::from)
            .and_then(|(store, _)| start(database, store, way, vault, relay.is_some()))
        {
            Ok(started) => started,
            // The interface hears that the node has stopped.
            Err(error) => return tracing::error!(%error, "the damaged database cannot be put together again"),
        };
        // Whatever is shown was read before.
        let _ = interface.send(FromNode::Changed(Change::Me)).await;
        shell = Shell {
            node,
            // A fresh pool: jobs are numbered anew.
            verifiers,
            transport: WebRtcTransport::new(Handle::current()),
            signal: SignalClient::new(Handle::current()),
            relay,
            place,
            interface,
            may_recover: false,
        };
    }
    shell.stop().await;
}

/// Why a shell ended.
#[derive(PartialEq, Eq)]
enum Ending {
    Stopped,
    Damaged,
}

struct Shell {
    node: Node<SqliteStore>,
    verifiers: Verifiers,
    transport: WebRtcTransport,
    signal: SignalClient,
    relay: Option<Relay>,
    place: Place,
    interface: mpsc::Sender<FromNode>,
    /// Not twice in one run: what is damaged again at once is no accident of the disk.
    may_recover: bool,
}

impl Shell {
    async fn run(
        &mut self,
        requests: &mut mpsc::Receiver<Request>,
        stopping: &mut oneshot::Receiver<()>,
    ) -> Ending {
        loop {
            while let Some(output) = self.node.poll_output() {
                match output {
                    Output::Transport(command) => self.transport.execute(command),
                    Output::Signal(server, command) => self.signal.execute(server, command),
                    Output::Verify(job) => self.verifiers.execute(job),
                    Output::Client(command) => {
                        if let Some(relay) = &mut self.relay {
                            relay.execute(command);
                        }
                    }
                    // The node waits for an interface that does not read, and does without one that is gone.
                    Output::Interface(message) => tokio::select! {
                        _ = self.interface.send(message) => {}
                        _ = &mut *stopping => return Ending::Stopped,
                    },
                }
            }
            if self.may_recover && self.node.is_damaged() {
                return Ending::Damaged;
            }
            let sleep = self.node.next_tick().0.saturating_sub(now().0);
            let input = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Input::Request(request),
                    None => return Ending::Stopped,
                },
                _ = &mut *stopping => return Ending::Stopped,
                event = poll_fn(|cx| self.transport.poll_event(cx)) => Input::Transport(event),
                input = self.signal.next() => input,
                input = self.verifiers.next() => input,
                input = self.place.next() => input,
                input = async {
                    match &mut self.relay {
                        Some(relay) => relay.next().await,
                        None => std::future::pending().await,
                    }
                } => input,
                () = tokio::time::sleep(Duration::from_millis(sleep).min(MAX_SLEEP)) => Input::Tick,
            };
            self.node.handle(input, now());
        }
    }

    async fn stop(self) {
        drop((self.signal, self.relay));
        self.transport.shutdown(CLOSE_LIMIT).await;
    }
}

/// The wall clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

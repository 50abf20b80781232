//! A peer of the tests that can say anything: introduced and greeted as an honest one (by core's own node), with a
//! data channel of its own into which a scenario puts whatever bytes it likes.

mod link;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures::{SinkExt, StreamExt};
use nostr::prelude::Keys;
use sazanami_core::identity::MemoryVault;
use sazanami_core::node::api::{Command, Request};
use sazanami_core::node::{Config, Input, Node, Output, ServerId, SignalCommand, SignalEvent};
use sazanami_core::signaling::IceServers;
use sazanami_core::store::MemoryStore;
use sazanami_core::sync::Message;
use sazanami_core::sync::frame::{self, Joiner};
use sazanami_core::time::Millis;
use sazanami_core::transport::{LinkId, Route, TransportCommand, TransportEvent};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::Site;
use link::{LinkHandle, Said};

/// Its only server.
const SERVER: ServerId = ServerId(0);

/// The peer. Nothing happens but while one of its calls waits.
pub struct RawPeer {
    node: Node<MemoryStore>,
    keys: Keys,
    server: String,
    ice: IceServers,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    links: HashMap<LinkId, LinkHandle>,
    /// What each other side subscribed to live, by its own name for it.
    subscriptions: HashMap<LinkId, String>,
    joiners: HashMap<LinkId, Joiner>,
    closed: Vec<LinkId>,
    report: mpsc::Sender<TransportEvent>,
    events: mpsc::Receiver<TransportEvent>,
    /// Set while it attacks: its node says nothing of its own.
    mute: bool,
}

impl RawPeer {
    /// A peer with a fresh key, that introduces itself under `name`.
    ///
    /// # Errors
    /// When the site gives no ICE servers, or the name is none.
    pub async fn new(site: &Site, name: &str) -> Result<Self> {
        Self::with_keys(site, name, Keys::generate()).await
    }

    /// The same of a person who was there before: another session.
    ///
    /// # Errors
    /// As [`RawPeer::new`].
    pub async fn with_keys(site: &Site, name: &str, keys: Keys) -> Result<Self> {
        let (report, events) = mpsc::channel(1024);
        let seed: [u8; 32] = Keys::generate().secret_key().as_secret_bytes().try_into()?;
        let vault = Box::new(MemoryVault(Some(keys.clone())));
        let mut node = Node::new(
            Config {
                servers: vec![site.address().parse()?],
                route: Some(Route::Any),
                verifiers: 0,
                seed,
            },
            MemoryStore::new(),
            vault,
            now(),
        )?;
        let command = Command::Rename {
            name: name.to_owned(),
        };
        node.handle(
            Input::Request(Request {
                id: 1,
                key: None,
                command,
            }),
            now(),
        );
        Ok(Self {
            node,
            keys,
            server: site.web_socket(),
            ice: site.ice_servers().await?,
            socket: None,
            links: HashMap::new(),
            subscriptions: HashMap::new(),
            joiners: HashMap::new(),
            closed: Vec::new(),
            report,
            events,
            mute: false,
        })
    }

    /// Its key.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Waits until the other side of some link has subscribed: it takes this peer for an honest one.
    ///
    /// # Errors
    /// When nobody does in time.
    pub async fn meet(&mut self, limit: Duration) -> Result<Vec<(LinkId, String)>> {
        let met = self.run(limit, |peer| !peer.subscriptions.is_empty()).await;
        met.context("the raw peer met nobody")?;
        Ok(self
            .subscriptions
            .iter()
            .map(|(link, id)| (*link, id.clone()))
            .collect())
    }

    /// From now on its node says nothing of its own.
    pub fn mute(&mut self) {
        self.mute = true;
    }

    /// Puts bytes into a link as one frame, of any size and content.
    ///
    /// # Errors
    /// When the link is over.
    pub async fn send_frame(&mut self, link: LinkId, bytes: Vec<u8>) -> Result<()> {
        let link = self.links.get(&link).context("the link is over")?;
        link.say(Said::Frame(bytes)).await
    }

    /// Says a text as an honest peer would, split into frames.
    ///
    /// # Errors
    /// When the link is over.
    pub async fn send_text(&mut self, link: LinkId, text: &str) -> Result<()> {
        for frame in frame::split(text) {
            self.send_frame(link, frame).await?;
        }
        Ok(())
    }

    /// Puts a WebRTC text message into a link, which the protocol does not use.
    ///
    /// # Errors
    /// When the link is over.
    pub async fn send_string(&mut self, link: LinkId, text: &str) -> Result<()> {
        let link = self.links.get(&link).context("the link is over")?;
        link.say(Said::Text(text.to_owned())).await
    }

    /// Waits until the other side has closed a link.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_for_close(&mut self, link: LinkId, limit: Duration) -> Result<()> {
        self.run(limit, |peer| peer.closed.contains(&link))
            .await
            .context("the other side keeps the link")
    }

    async fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        while !done(self) {
            timeout_at(end, self.step())
                .await
                .map_err(|_| anyhow!("not within {limit:?}"))??;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<()> {
        while let Some(output) = self.node.poll_output() {
            self.carry_out(output).await?;
        }
        let tick = Duration::from_millis(self.node.next_tick().since(now()).as_millis().try_into()?);
        tokio::select! {
            event = self.events.recv() => {
                let event = event.context("this side keeps a sender")?;
                self.look_at(&event);
                self.node.handle(Input::Transport(event), now());
            }
            message = next_message(&mut self.socket) => {
                let event = match message {
                    Some(Ok(WsMessage::Text(text))) => SignalEvent::Message(text.to_string()),
                    Some(Ok(_)) => return Ok(()),
                    Some(Err(error)) => bail!("the signal server: {error}"),
                    None => bail!("the signal server hung up"),
                };
                self.node.handle(Input::Signal(SERVER, event), now());
            }
            () = sleep(tick) => self.node.handle(Input::Tick, now()),
        }
        Ok(())
    }

    async fn carry_out(&mut self, output: Output) -> Result<()> {
        match output {
            Output::Interface(_) | Output::Verify(_) | Output::Client(_) => {}
            Output::Signal(_, SignalCommand::Connect(_)) => {
                self.socket = Some(tokio_tungstenite::connect_async(&self.server).await?.0);
                self.node
                    .handle(Input::Signal(SERVER, SignalEvent::Opened), now());
            }
            Output::Signal(_, SignalCommand::Send(text)) => {
                let socket = self.socket.as_mut().context("connected before it sends")?;
                socket.send(WsMessage::text(text)).await?;
            }
            Output::Signal(_, SignalCommand::Close) => self.socket = None,
            Output::Signal(_, SignalCommand::FetchIceServers(_)) => {
                self.node
                    .handle(Input::IceServers(SERVER, Ok(self.ice.clone())), now());
            }
            Output::Transport(TransportCommand::Connect { link, options }) => {
                self.links
                    .insert(link, LinkHandle::start(link, options, self.report.clone()));
            }
            Output::Transport(TransportCommand::Signal { link, signal }) => {
                if let Some(link) = self.links.get(&link) {
                    // Its end is reported by itself.
                    let _ = link.say(Said::Signal(signal)).await;
                }
            }
            Output::Transport(TransportCommand::Send { link, frame }) => {
                if let Some(link) = self.links.get(&link).filter(|_| !self.mute) {
                    let _ = link.say(Said::Frame(frame)).await;
                }
            }
            // It has one path for all its life.
            Output::Transport(TransportCommand::Restart { .. }) => {}
            // Kept open while it attacks, whatever its own node thinks.
            Output::Transport(TransportCommand::Close { link }) => {
                if !self.mute {
                    self.links.remove(&link);
                }
            }
        }
        Ok(())
    }

    /// Notes what a scenario asks about.
    fn look_at(&mut self, event: &TransportEvent) {
        match event {
            TransportEvent::Frame { link, frame } => {
                let Ok(Some(text)) = self.joiners.entry(*link).or_default().push(frame) else {
                    return;
                };
                if let Ok(Message::Req { id, filter }) = Message::parse(&text)
                    && filter.ids.is_none()
                {
                    self.subscriptions.insert(*link, id);
                }
            }
            TransportEvent::Closed { link, reason } => {
                tracing::debug!(%link, ?reason, "closed");
                self.closed.push(*link);
                self.links.remove(link);
                self.subscriptions.remove(link);
            }
            _ => {}
        }
    }
}

async fn next_message(
    socket: &mut Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
) -> Option<Result<WsMessage, tokio_tungstenite::tungstenite::Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

fn now() -> Millis {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Millis(since.as_millis().try_into().unwrap_or(u64::MAX))
}

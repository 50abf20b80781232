//! Links to peers over WebRTC (`webrtc` crate), each driven by a task of its own.
//!
//! [`WebRtcTransport`] keeps the send buffers' accounts and hands out events; [`link`] negotiates and watches one
//! peer connection; [`channel`] moves frames between its data channel and the transport; [`peer`] builds peer
//! connections, on a [`runtime`] with room for bursts; [`turn_stream`] lets them reach TURN over TCP and TLS.

mod channel;
mod link;
mod peer;
mod runtime;
mod turn_stream;

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{
    CloseReason, ConnectOptions, LinkId, MAX_FRAME, SEND_BUFFER, SendError, Transport, TransportEvent,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events of all links that wait to be fetched; past it the links stop reading, and their peers stop sending.
const MAX_EVENTS: usize = 256;
/// Signals that wait for a link's task; an honest peer sends about a dozen.
const MAX_ORDERS: usize = 256;
/// Frames that wait for a link's channel: [`SEND_BUFFER`] bounds their bytes, this the number of tiny ones.
const MAX_WAITING_FRAMES: usize = 16 * 1024;

/// What a link's task is told.
enum Order {
    Signal(PeerSignal),
    Restart(Vec<IceServer>),
}

/// The native transport. Needs a tokio runtime to spawn its links on.
pub struct WebRtcTransport {
    runtime: Handle,
    links: HashMap<LinkId, Link>,
    tasks: JoinSet<()>,
    events: mpsc::Receiver<TransportEvent>,
    report: mpsc::Sender<TransportEvent>,
    /// Events made here, before those of the tasks.
    own: VecDeque<TransportEvent>,
    waker: Option<Waker>,
    ways: turn_stream::Ways,
}

/// The transport's side of a link. Dropping it ends the link's task.
struct Link {
    orders: mpsc::Sender<Order>,
    frames: mpsc::Sender<Vec<u8>>,
    open: bool,
    waiting: usize,
}

impl WebRtcTransport {
    /// A transport without links, whose tasks run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        let (report, events) = mpsc::channel(MAX_EVENTS);
        Self {
            runtime,
            links: HashMap::new(),
            tasks: JoinSet::new(),
            events,
            report,
            own: VecDeque::new(),
            waker: None,
            ways: turn_stream::Ways::new(),
        }
    }

    /// Closes all links so that the peers know at once, and waits for it at most `limit`.
    pub async fn shutdown(mut self, limit: Duration) {
        self.links.clear();
        // Tasks that wait to report something must not wait for ever.
        self.events.close();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("links took too long to close");
        }
    }

    fn order(&mut self, link: LinkId, order: Order) {
        let Some(state) = self.links.get(&link) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = state.orders.try_send(order) {
            self.links.remove(&link);
            let reason = CloseReason::Failed("too many signals at once".to_owned());
            self.push(TransportEvent::Closed { link, reason });
        }
    }

    fn push(&mut self, event: TransportEvent) {
        self.own.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Keeps the accounts; `None` for an event of a link that is over.
    fn account(&mut self, event: TransportEvent) -> Option<TransportEvent> {
        match &event {
            TransportEvent::Opened { link } => self.links.get_mut(link)?.open = true,
            TransportEvent::Drained { link, bytes } => {
                let link = self.links.get_mut(link)?;
                link.waiting = link.waiting.saturating_sub(*bytes);
            }
            TransportEvent::Closed { link, .. } => drop(self.links.remove(link)?),
            TransportEvent::Signal { link, .. }
            | TransportEvent::Frame { link, .. }
            | TransportEvent::Path { link, .. }
            | TransportEvent::Ice { link, .. } => {
                self.links.get(link)?;
            }
        }
        Some(event)
    }
}

impl Drop for WebRtcTransport {
    fn drop(&mut self) {
        // The links' tasks see their channels gone and close their connections; aborted, they could not.
        self.tasks.detach_all();
    }
}

impl Transport for WebRtcTransport {
    fn connect(&mut self, id: LinkId, options: ConnectOptions) {
        if self.links.contains_key(&id) {
            return;
        }
        while self.tasks.try_join_next().is_some() {}
        let (orders, incoming) = mpsc::channel(MAX_ORDERS);
        let (frames, outgoing) = mpsc::channel(MAX_WAITING_FRAMES);
        self.links.insert(
            id,
            Link {
                orders,
                frames,
                open: false,
                waiting: 0,
            },
        );
        let task = link::run(
            id,
            options,
            self.ways.clone(),
            incoming,
            outgoing,
            self.report.clone(),
        );
        self.tasks.spawn_on(task, &self.runtime);
    }

    fn signal(&mut self, link: LinkId, signal: PeerSignal) {
        self.order(link, Order::Signal(signal));
    }

    fn restart(&mut self, link: LinkId, ice_servers: Vec<IceServer>) {
        self.order(link, Order::Restart(ice_servers));
    }

    fn send(&mut self, link: LinkId, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > MAX_FRAME {
            return Err(SendError::TooLarge);
        }
        let state = self
            .links
            .get_mut(&link)
            .filter(|link| link.open)
            .ok_or(SendError::NotOpen)?;
        let bytes = frame.len();
        if state.waiting + bytes > SEND_BUFFER {
            return Err(SendError::Full);
        }
        match state.frames.try_send(frame) {
            Ok(()) => {
                state.waiting += bytes;
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => Err(SendError::Full),
            // The task has ended; its `Closed` is on the way.
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SendError::NotOpen),
        }
    }

    fn close(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.push(TransportEvent::Closed {
                link,
                reason: CloseReason::Local,
            });
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        if let Some(event) = self.own.pop_front() {
            return Poll::Ready(event);
        }
        while let Poll::Ready(Some(event)) = self.events.poll_recv(cx) {
            if let Some(event) = self.account(event) {
                return Poll::Ready(event);
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

//! A [`Transport`] within one process, for tests, the simulation and demonstrations.
//!
//! All transports of one [`MemoryHub`] can reach each other. Links open the way real ones do: by an offer and an
//! answer that somebody carries between the two, negotiated by the same [`Negotiation`]. Frames wait at the receiver
//! until it polls them and count against the sender's buffer until then, so back-pressure is real. There is no clock
//! here, so a link that is never answered waits until it is closed.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::negotiation::{Action, Input, Negotiation, Outcome};
use crate::signaling::{IceServer, PeerSignal};
use crate::transport::{
    CloseReason, ConnectOptions, LinkId, MAX_FRAME, Path, PathKind, SEND_BUFFER, SendError, Transport,
    TransportEvent,
};

/// Frames that may wait on a link; empty ones would otherwise wait without limit.
const MAX_WAITING_FRAMES: usize = 16 * 1024;

/// Connects the [`MemoryTransport`]s made by it. Cheap to clone.
#[derive(Clone, Default)]
pub struct MemoryHub(Rc<RefCell<Hub>>);

impl MemoryHub {
    /// A hub without transports.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new transport that can reach all others of this hub.
    pub fn transport(&self) -> MemoryTransport {
        let mut hub = self.0.borrow_mut();
        let id = hub.next_endpoint;
        hub.next_endpoint += 1;
        hub.endpoints.insert(id, Endpoint::default());
        MemoryTransport {
            hub: self.0.clone(),
            id,
        }
    }
}

/// One peer's transport within a [`MemoryHub`]. Dropping it closes its links.
pub struct MemoryTransport {
    hub: Rc<RefCell<Hub>>,
    id: u64,
}

/// A link's end: which transport, which of its links.
type End = (u64, LinkId);

#[derive(Default)]
struct Hub {
    next_endpoint: u64,
    endpoints: HashMap<u64, Endpoint>,
}

#[derive(Default)]
struct Endpoint {
    links: HashMap<LinkId, Link>,
    events: VecDeque<TransportEvent>,
    waker: Option<Waker>,
}

impl Endpoint {
    fn push(&mut self, event: TransportEvent) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Link {
    negotiation: Negotiation,
    /// The end that the remote description names.
    remote: Option<End>,
    open: bool,
    waiting_bytes: usize,
    waiting_frames: usize,
}

impl Hub {
    fn link(&mut self, (endpoint, link): End) -> Option<&mut Link> {
        self.endpoints.get_mut(&endpoint)?.links.get_mut(&link)
    }

    fn push(&mut self, endpoint: u64, event: TransportEvent) {
        if let Some(endpoint) = self.endpoints.get_mut(&endpoint) {
            endpoint.push(event);
        }
    }

    fn negotiate(&mut self, end: End, input: Input) {
        let Some(link) = self.link(end) else { return };
        link.negotiation.handle(input);
        while let Some(action) = self.link(end).and_then(|link| link.negotiation.poll()) {
            match action {
                Action::Send(signal) => self.push(end.0, TransportEvent::Signal { link: end.1, signal }),
                Action::Fail(reason) => self.end(end, CloseReason::Failed(reason)),
                action => {
                    let outcome = self.carry_out(end, action);
                    if let Some(link) = self.link(end) {
                        link.negotiation.finished(outcome);
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, end: End, action: Action) -> Outcome {
        match action {
            Action::Offer | Action::Answer => Outcome::Local(describe(end)),
            Action::Rollback | Action::AddCandidate(_) | Action::RestartIce => Outcome::Done,
            Action::SetRemote(PeerSignal::Offer(sdp)) => self.set_remote(end, &sdp, false),
            Action::SetRemote(PeerSignal::Answer(sdp)) => self.set_remote(end, &sdp, true),
            Action::SetRemote(PeerSignal::Candidate { .. }) | Action::Send(_) | Action::Fail(_) => {
                Outcome::Done
            }
        }
    }

    fn set_remote(&mut self, end: End, sdp: &str, answer: bool) -> Outcome {
        let Some(remote) = parse(sdp).filter(|remote| *remote != end) else {
            return Outcome::Failed("the description is not one of this kind of transport".to_owned());
        };
        if self.link(remote).is_none() {
            return Outcome::Failed("the other side is gone".to_owned());
        }
        if let Some(link) = self.link(end) {
            link.remote = Some(remote);
        }
        if answer {
            if self.link(end).is_some_and(|link| link.open) {
                // The answer to a restart: the path is the same.
                return Outcome::Done;
            }
            let agreed = self
                .link(remote)
                .is_some_and(|other| other.remote == Some(end) && !other.open);
            if !agreed {
                return Outcome::Failed("the other side is connected elsewhere".to_owned());
            }
            for (endpoint, id) in [end, remote] {
                if let Some(link) = self.link((endpoint, id)) {
                    link.open = true;
                }
                self.push(endpoint, TransportEvent::Opened { link: id });
                let path = Path {
                    kind: PathKind::Direct,
                    rtt_ms: Some(0),
                };
                self.push(endpoint, TransportEvent::Path { link: id, path });
            }
        }
        Outcome::Done
    }

    /// Ends a link here, and at the other side when that is bound to it.
    fn end(&mut self, end: End, reason: CloseReason) {
        let Some(endpoint) = self.endpoints.get_mut(&end.0) else {
            return;
        };
        let Some(link) = endpoint.links.remove(&end.1) else {
            return;
        };
        if reason == CloseReason::Local {
            endpoint.events.retain(|event| link_of(event) != end.1);
        }
        endpoint.push(TransportEvent::Closed { link: end.1, reason });
        let other = link.remote.or_else(|| self.bound_to(end));
        if let Some(other) = other
            && self.link(other).is_some_and(|other| other.remote == Some(end))
        {
            let reason = if link.open {
                CloseReason::Remote
            } else {
                failed("the other side is gone")
            };
            self.end(other, reason);
        }
    }

    fn bound_to(&self, end: End) -> Option<End> {
        self.endpoints.iter().find_map(|(endpoint, state)| {
            let (link, _) = state.links.iter().find(|(_, link)| link.remote == Some(end))?;
            Some((*endpoint, *link))
        })
    }

    /// A frame left for its receiver: its bytes no longer wait at the sender.
    fn taken(&mut self, receiver: End, bytes: usize) {
        let Some(sender) = self.link(receiver).and_then(|link| link.remote) else {
            return;
        };
        let Some(link) = self.link(sender) else { return };
        link.waiting_bytes = link.waiting_bytes.saturating_sub(bytes);
        link.waiting_frames = link.waiting_frames.saturating_sub(1);
        if bytes == 0 {
            return;
        }
        let Some(endpoint) = self.endpoints.get_mut(&sender.0) else {
            return;
        };
        // Reports that were not fetched yet grow into one, so that their number stays small.
        for event in &mut endpoint.events {
            if let TransportEvent::Drained {
                link,
                bytes: reported,
            } = event
                && *link == sender.1
            {
                *reported += bytes;
                return;
            }
        }
        endpoint.push(TransportEvent::Drained {
            link: sender.1,
            bytes,
        });
    }
}

impl Transport for MemoryTransport {
    fn connect(&mut self, link: LinkId, options: ConnectOptions) {
        let mut hub = self.hub.borrow_mut();
        let Some(endpoint) = hub.endpoints.get_mut(&self.id) else {
            return;
        };
        endpoint.links.entry(link).or_insert_with(|| Link {
            negotiation: Negotiation::new(options.polite),
            remote: None,
            open: false,
            waiting_bytes: 0,
            waiting_frames: 0,
        });
        if options.offer {
            hub.negotiate((self.id, link), Input::Needed);
        }
    }

    fn signal(&mut self, link: LinkId, signal: PeerSignal) {
        self.hub
            .borrow_mut()
            .negotiate((self.id, link), Input::Remote(signal));
    }

    fn send(&mut self, link: LinkId, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > MAX_FRAME {
            return Err(SendError::TooLarge);
        }
        let mut hub = self.hub.borrow_mut();
        let Some(state) = hub.link((self.id, link)).filter(|link| link.open) else {
            return Err(SendError::NotOpen);
        };
        let Some((endpoint, remote)) = state.remote else {
            return Err(SendError::NotOpen);
        };
        if state.waiting_bytes + frame.len() > SEND_BUFFER || state.waiting_frames >= MAX_WAITING_FRAMES {
            return Err(SendError::Full);
        }
        state.waiting_bytes += frame.len();
        state.waiting_frames += 1;
        hub.push(endpoint, TransportEvent::Frame { link: remote, frame });
        Ok(())
    }

    fn restart(&mut self, link: LinkId, _: Vec<IceServer>) {
        self.hub.borrow_mut().negotiate((self.id, link), Input::Restart);
    }

    fn close(&mut self, link: LinkId) {
        self.hub.borrow_mut().end((self.id, link), CloseReason::Local);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        let mut hub = self.hub.borrow_mut();
        let Some(endpoint) = hub.endpoints.get_mut(&self.id) else {
            return Poll::Pending;
        };
        let Some(event) = endpoint.events.pop_front() else {
            endpoint.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if let TransportEvent::Frame { link, frame } = &event {
            hub.taken((self.id, *link), frame.len());
        }
        Poll::Ready(event)
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        let mut hub = self.hub.borrow_mut();
        let links: Vec<LinkId> = hub
            .endpoints
            .get(&self.id)
            .map(|endpoint| endpoint.links.keys().copied().collect())
            .unwrap_or_default();
        for link in links {
            hub.end((self.id, link), CloseReason::Local);
        }
        hub.endpoints.remove(&self.id);
    }
}

fn failed(reason: &str) -> CloseReason {
    CloseReason::Failed(reason.to_owned())
}

fn link_of(event: &TransportEvent) -> LinkId {
    match event {
        TransportEvent::Signal { link, .. }
        | TransportEvent::Opened { link }
        | TransportEvent::Frame { link, .. }
        | TransportEvent::Drained { link, .. }
        | TransportEvent::Path { link, .. }
        | TransportEvent::Ice { link, .. }
        | TransportEvent::Closed { link, .. } => *link,
    }
}

/// What stands in for an SDP: the name of the end.
fn describe((endpoint, link): End) -> String {
    format!("memory {endpoint} {}", link.0)
}

fn parse(sdp: &str) -> Option<End> {
    let (endpoint, link) = sdp.strip_prefix("memory ")?.split_once(' ')?;
    Some((endpoint.parse().ok()?, LinkId(link.parse().ok()?)))
}

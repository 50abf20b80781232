//! Links to peers over the browser's `RTCPeerConnection`.
//!
//! It exists only on the page, so the transport lives there and executes the commands of the node in the worker. Each
//! link is a task of its own ([`link`]) that owns its connection, channel and listeners; dropping the task ends all
//! of them. Frames travel on one data channel that both sides declare beforehand, so that none is ever missed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::channel::mpsc;
use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{
    CloseReason, ConnectOptions, LinkId, MAX_FRAME, SEND_BUFFER, SendError, Transport, TransportEvent,
};
use wasm_bindgen_futures::spawn_local;

mod connection;
mod link;
mod path;

use connection::Happening;

/// Bytes of received frames that may wait for [`Transport::poll_event`] on one link. A data channel has no way to
/// slow a sender down, so a link past this is closed.
const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// The browser's transport.
pub struct WebTransport {
    links: BTreeMap<LinkId, Handle>,
    sink: mpsc::UnboundedSender<TransportEvent>,
    events: mpsc::UnboundedReceiver<TransportEvent>,
}

/// What the transport keeps of a link.
struct Handle {
    happenings: mpsc::UnboundedSender<Happening>,
    shared: Rc<Shared>,
}

/// What a link's task and the transport share.
#[derive(Default)]
struct Shared {
    /// The channel while frames can be sent.
    channel: RefCell<Option<web_sys::RtcDataChannel>>,
    /// This side has closed it: nothing can be sent any more, whatever the channel still reports.
    closing: Cell<bool>,
    /// Bytes accepted and not yet reported as drained.
    outstanding: Cell<usize>,
    /// Bytes received and not yet polled.
    unread: Cell<usize>,
}

impl Shared {
    /// Bytes that have left the send buffer since the last report.
    fn take_drained(&self) -> usize {
        let buffered = self
            .channel
            .borrow()
            .as_ref()
            .map_or(0, |channel| channel.buffered_amount() as usize);
        let drained = self.outstanding.get().saturating_sub(buffered);
        self.outstanding.set(self.outstanding.get() - drained);
        drained
    }

    /// Asks for `bufferedamountlow` at the next useful moment: half way down while much is waiting, at the end
    /// otherwise. The event fires only on crossing, so whoever calls this looks at the amount afterwards.
    fn arm(&self) {
        if let Some(channel) = self.channel.borrow().as_ref() {
            let half = SEND_BUFFER as u32 / 2;
            channel.set_buffered_amount_low_threshold(if channel.buffered_amount() > half {
                half
            } else {
                0
            });
        }
    }
}

impl WebTransport {
    /// A transport without links.
    pub fn new() -> Self {
        let (sink, events) = mpsc::unbounded();
        Self {
            links: BTreeMap::new(),
            sink,
            events,
        }
    }
}

impl Default for WebTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for WebTransport {
    fn connect(&mut self, link: LinkId, options: ConnectOptions) {
        if self.links.contains_key(&link) {
            return;
        }
        let (happenings, inbox) = mpsc::unbounded();
        let shared = Rc::new(Shared::default());
        self.links.insert(
            link,
            Handle {
                happenings: happenings.clone(),
                shared: shared.clone(),
            },
        );
        spawn_local(link::run(
            link,
            options,
            happenings,
            inbox,
            shared,
            self.sink.clone(),
        ));
    }

    fn signal(&mut self, link: LinkId, signal: PeerSignal) {
        if let Some(handle) = self.links.get(&link) {
            // Fails when the link is just ending.
            let _ = handle.happenings.unbounded_send(Happening::Signal(signal));
        }
    }

    fn restart(&mut self, link: LinkId, ice_servers: Vec<IceServer>) {
        if let Some(handle) = self.links.get(&link) {
            let _ = handle.happenings.unbounded_send(Happening::Restart(ice_servers));
        }
    }

    fn send(&mut self, link: LinkId, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > MAX_FRAME {
            return Err(SendError::TooLarge);
        }
        let handle = self.links.get(&link).ok_or(SendError::NotOpen)?;
        let shared = &handle.shared;
        let channel = shared.channel.borrow().clone().ok_or(SendError::NotOpen)?;
        if shared.closing.get() || channel.ready_state() != web_sys::RtcDataChannelState::Open {
            return Err(SendError::NotOpen);
        }
        if shared.outstanding.get() + frame.len() > SEND_BUFFER {
            return Err(SendError::Full);
        }
        channel
            .send_with_u8_array(&frame)
            .map_err(|_| SendError::NotOpen)?;
        shared.outstanding.set(shared.outstanding.get() + frame.len());
        shared.arm();
        Ok(())
    }

    fn close(&mut self, link: LinkId) {
        if let Some(handle) = self.links.get(&link) {
            handle.shared.closing.set(true);
            let _ = handle
                .happenings
                .unbounded_send(Happening::Close(CloseReason::Local));
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        let Poll::Ready(Some(event)) = self.events.poll_next_unpin(cx) else {
            return Poll::Pending;
        };
        match &event {
            TransportEvent::Frame { link, frame } => {
                if let Some(handle) = self.links.get(link) {
                    handle
                        .shared
                        .unread
                        .set(handle.shared.unread.get().saturating_sub(frame.len()));
                }
            }
            TransportEvent::Closed { link, .. } => {
                self.links.remove(link);
            }
            _ => {}
        }
        Poll::Ready(event)
    }
}

impl Drop for WebTransport {
    fn drop(&mut self) {
        for handle in self.links.values() {
            let _ = handle
                .happenings
                .unbounded_send(Happening::Close(CloseReason::Local));
        }
    }
}

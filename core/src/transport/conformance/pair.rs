//! Two transports under test, the carrier between them, and what they have reported.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;

use super::{CloseReason, ConnectOptions, LinkId, PeerSignal, SendError, Transport, TransportEvent};
use crate::transport::Path;

/// One of the two; `A` is the polite one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A = 0,
    B = 1,
}

pub(super) use Side::{A, B};

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            A => B,
            B => A,
        }
    }

    /// The same link has another id at each side, as in real life.
    pub(super) fn link(self, n: u64) -> LinkId {
        match self {
            A => LinkId(n),
            B => LinkId(1000 + n),
        }
    }

    fn number(self, link: LinkId) -> u64 {
        match self {
            A => link.0,
            B => link.0.saturating_sub(1000),
        }
    }
}

#[derive(Default)]
struct Record {
    offered: bool,
    opened: bool,
    path: Option<Path>,
    frames: Vec<Vec<u8>>,
    drained: usize,
    closed: Option<CloseReason>,
    /// Offers made here.
    offers: usize,
    /// Answers made here.
    answers: usize,
}

pub(super) struct Pair<'o, T> {
    pub(super) case: &'static str,
    transports: [T; 2],
    options: &'o dyn Fn(bool, bool) -> ConnectOptions,
    records: [HashMap<u64, Record>; 2],
    /// Links whose other side is made when the offer arrives.
    answered_here: Vec<u64>,
}

impl<'o, T: Transport> Pair<'o, T> {
    pub(super) fn new(
        case: &'static str,
        a: T,
        b: T,
        options: &'o dyn Fn(bool, bool) -> ConnectOptions,
    ) -> Self {
        Self {
            case,
            transports: [a, b],
            options,
            records: Default::default(),
            answered_here: Vec::new(),
        }
    }

    pub(super) fn transport(&mut self, side: Side) -> &mut T {
        &mut self.transports[side as usize]
    }

    /// Connects one side only.
    pub(super) fn connect_one(&mut self, side: Side, n: u64, offer: bool) {
        self.records[side as usize].insert(n, Record::default());
        let options = (self.options)(side == A, offer);
        self.transport(side).connect(side.link(n), options);
    }

    /// Connects the offerer; the other side follows when the offer reaches it.
    pub(super) fn connect(&mut self, n: u64, offerer: Side) {
        self.answered_here.push(n);
        self.connect_one(offerer, n, true);
    }

    /// Both sides offer at once.
    pub(super) fn connect_both(&mut self, n: u64) {
        self.connect_one(A, n, true);
        self.connect_one(B, n, true);
    }

    pub(super) async fn open(&mut self, n: u64) {
        self.connect(n, A);
        self.until("both ends open", |p| p.opened(A, n) && p.opened(B, n))
            .await;
    }

    pub(super) fn send(&mut self, side: Side, n: u64, frame: Vec<u8>) -> Result<(), SendError> {
        self.transport(side).send(side.link(n), frame)
    }

    pub(super) fn restart(&mut self, side: Side, n: u64) {
        self.transport(side).restart(side.link(n), Vec::new());
    }

    pub(super) fn close(&mut self, side: Side, n: u64) {
        self.transport(side).close(side.link(n));
    }

    pub(super) fn offers(&self, side: Side, n: u64) -> usize {
        self.record(side, n).map_or(0, |record| record.offers)
    }

    pub(super) fn answers(&self, side: Side, n: u64) -> usize {
        self.record(side, n).map_or(0, |record| record.answers)
    }

    fn record(&self, side: Side, n: u64) -> Option<&Record> {
        self.records[side as usize].get(&n)
    }

    pub(super) fn connected(&self, side: Side, n: u64) -> bool {
        self.record(side, n).is_some()
    }

    pub(super) fn offered(&self, side: Side, n: u64) -> bool {
        self.record(side, n).is_some_and(|r| r.offered)
    }

    pub(super) fn opened(&self, side: Side, n: u64) -> bool {
        self.record(side, n).is_some_and(|r| r.opened)
    }

    pub(super) fn path(&self, side: Side, n: u64) -> Option<Path> {
        self.record(side, n).and_then(|r| r.path)
    }

    pub(super) fn frames(&self, side: Side, n: u64) -> &[Vec<u8>] {
        self.record(side, n).map_or(&[], |r| &r.frames)
    }

    pub(super) fn drained(&self, side: Side, n: u64) -> usize {
        self.record(side, n).map_or(0, |r| r.drained)
    }

    pub(super) fn closed(&self, side: Side, n: u64) -> Option<&CloseReason> {
        self.record(side, n).and_then(|r| r.closed.as_ref())
    }

    /// Steps until the condition holds.
    pub(super) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        tracing::debug!(case = self.case, what, "waiting");
        while !condition(self) {
            self.step().await;
        }
    }

    /// Takes one event of either side.
    pub(super) async fn step(&mut self) {
        let [a, b] = &mut self.transports;
        let (side, event) = poll_fn(|cx| {
            if let Poll::Ready(event) = a.poll_event(cx) {
                return Poll::Ready((A, event));
            }
            b.poll_event(cx).map(|event| (B, event))
        })
        .await;
        self.take(side, event);
    }

    fn take(&mut self, side: Side, event: TransportEvent) {
        let case = self.case;
        match event {
            TransportEvent::Signal { link, signal } => {
                let n = self.live(side, link, "a signal");
                let offer = matches!(signal, PeerSignal::Offer(_));
                if matches!(signal, PeerSignal::Answer(_)) {
                    self.update(side, n).answers += 1;
                }
                if offer {
                    let record = self.update(side, n);
                    record.offered = true;
                    record.offers += 1;
                }
                let other = side.other();
                if offer && !self.connected(other, n) && self.answered_here.contains(&n) {
                    self.connect_one(other, n, false);
                }
                if self.connected(other, n) {
                    self.transport(other).signal(other.link(n), signal);
                }
            }
            TransportEvent::Opened { link } => {
                let n = self.live(side, link, "Opened");
                let record = self.update(side, n);
                assert!(!record.opened, "{case}: opened twice");
                record.opened = true;
            }
            TransportEvent::Frame { link, frame } => {
                let n = self.live(side, link, "a frame");
                let record = self.update(side, n);
                assert!(record.opened, "{case}: a frame before Opened");
                record.frames.push(frame);
            }
            TransportEvent::Drained { link, bytes } => {
                let n = self.live(side, link, "Drained");
                self.update(side, n).drained += bytes;
            }
            TransportEvent::Path { link, path } => {
                let n = self.live(side, link, "Path");
                self.update(side, n).path = Some(path);
            }
            TransportEvent::Ice { link, .. } => {
                let n = self.live(side, link, "Ice");
                assert!(self.opened(side, n), "{case}: Ice before Opened");
            }
            TransportEvent::Closed { link, reason } => {
                tracing::debug!(case, ?side, %link, ?reason, "closed");
                let n = self.live(side, link, "Closed");
                self.update(side, n).closed = Some(reason);
            }
        }
    }

    /// The number of a link that exists and has not closed.
    fn live(&self, side: Side, link: LinkId, what: &str) -> u64 {
        let n = side.number(link);
        let Some(record) = self.record(side, n) else {
            panic!(
                "{}: {what} of {link} at {side:?}, which was never connected",
                self.case
            )
        };
        assert!(
            record.closed.is_none(),
            "{}: {what} of {link} at {side:?} after Closed",
            self.case
        );
        n
    }

    fn update(&mut self, side: Side, n: u64) -> &mut Record {
        self.records[side as usize].entry(n).or_default()
    }
}

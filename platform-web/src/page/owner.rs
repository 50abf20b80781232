//! The node while this tab owns it: its worker, its connections, and everything that moves between them.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{Fuse, LocalBoxFuture};
use futures::{FutureExt, StreamExt, select};
use gloo_timers::future::sleep;
use sazanami_core::node::api::{FromNode, Request};
use sazanami_core::node::{Input, Output};
use sazanami_core::transport::{LinkId, Route, Transport, TransportEvent};

use super::budget::Affordable;
use super::locks::Guard;
use super::node::NodeWorker;
use super::place;
use super::signal::SignalShell;
use crate::bridge::{FromWorker, State, ToWorker};
use crate::dom::Listener;
use crate::transport::WebTransport;

/// How long the worker may take to load its script and open its databases.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to put damaged ones together again: each of a million signatures is verified.
const RECOVERY_LIMIT: Duration = Duration::from_secs(3600);
/// Before the files are tried again that somebody holds: the worker itself has tried for some seconds.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of one link's frames that may wait for the worker. A peer that sends more than was asked for is cut off.
const MAX_IN_FLIGHT: usize = 4 * 1024 * 1024;

/// What the session is to know.
// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
pub(super) enum Event {
    /// The node answers; why nothing is durable, where it is not.
    Started(Option<String>),
    /// The node says something to the interface.
    Told(FromNode),
    /// Somebody holds the database's files and does not share them; it is tried again.
    Busy,
    /// The database was found damaged, and is being put together again.
    Damaged,
    /// The node is not this tab's any more.
    Robbed,
    /// It could not start, or broke, and why.
    Failed(String),
}

/// The node, and what it needs of the page. Dropping it ends both at once: the database stands it. The lock goes last,
/// so that the next owner finds the files free.
pub(super) struct Owner {
    worker: Option<NodeWorker>,
    from_worker: mpsc::UnboundedSender<FromWorker>,
    inbox: mpsc::UnboundedReceiver<FromWorker>,
    happened: mpsc::UnboundedReceiver<Input>,
    route: Option<Route>,
    transport: WebTransport,
    signal: SignalShell,
    budget: Affordable,
    flow: Flow,
    started: bool,
    /// The database was put aside once: what is damaged again is no accident of the disk.
    was_damaged: bool,
    limit: Fuse<LocalBoxFuture<'static, ()>>,
    _place: Vec<Listener>,
    /// `None` where there are no locks: then the database's own files decide.
    guard: Option<Guard>,
}

impl Owner {
    /// Starts the worker.
    pub(super) fn start(route: Option<Route>, guard: Option<Guard>) -> Result<Self, String> {
        let (from_worker, inbox) = mpsc::unbounded();
        let (inputs, happened) = mpsc::unbounded();
        let place = place::watch(&inputs);
        let budget = Affordable::watch(inputs.clone());
        Ok(Self {
            worker: Some(NodeWorker::start(from_worker.clone())?),
            from_worker,
            inbox,
            happened,
            route,
            transport: WebTransport::new(),
            signal: SignalShell::new(inputs),
            budget,
            flow: Flow::default(),
            started: false,
            was_damaged: false,
            limit: limit(START_LIMIT),
            _place: place,
            guard,
        })
    }

    /// Asks the node, which has started.
    pub(super) fn ask(&mut self, request: Request) {
        self.post(&ToWorker::Input(Input::Request(request)));
    }

    /// Another tab asks whether this one lives: the worker is to know too.
    pub(super) fn lives(&self) {
        self.post(&ToWorker::Alive);
    }

    /// The person sees another tab of this profile.
    pub(super) fn seen_elsewhere(&self) {
        self.budget.seen_elsewhere();
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        self.budget.tick();
    }

    /// Moves what there is to move, until the session is to know something. Nothing is lost when it is not waited for any
    /// more.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let input = select! {
                message = self.inbox.select_next_some() => match self.heard(message) {
                    Some(event) => return event,
                    None => continue,
                },
                event = poll_fn(|cx| self.transport.poll_event(cx)).fuse() => match self.flow.count(&event) {
                    Ok(()) => Input::Transport(event),
                    Err(link) => {
                        self.transport.close(link);
                        continue;
                    }
                },
                input = self.happened.select_next_some() => input,
                () = &mut self.limit => {
                    if self.worker.is_none() {
                        if let Err(reason) = self.restart() {
                            return Event::Failed(reason);
                        }
                        continue;
                    }
                    if self.started {
                        continue;
                    }
                    return Event::Failed("the worker did not start in time".to_owned());
                }
                () = Box::pin(stolen(self.guard.as_mut())).fuse() => return Event::Robbed,
            };
            self.post(&ToWorker::Input(input));
        }
    }

    fn restart(&mut self) -> Result<(), String> {
        self.worker = Some(NodeWorker::start(self.from_worker.clone())?);
        self.limit = limit(START_LIMIT);
        Ok(())
    }

    fn post(&self, message: &ToWorker) {
        if let Some(worker) = &self.worker
            && let Err(reason) = worker.post(message)
        {
            let failed = FromWorker::State(State::Failed(reason));
            // The receiver is this one's.
            let _ = self.from_worker.unbounded_send(failed);
        }
    }

    fn heard(&mut self, message: FromWorker) -> Option<Event> {
        match message {
            FromWorker::Listening => self.post(&ToWorker::Start { route: self.route }),
            FromWorker::State(State::Recovering) => self.limit = limit(RECOVERY_LIMIT),
            FromWorker::State(State::Damaged) if self.was_damaged => {
                return Some(Event::Failed("the database was damaged again".to_owned()));
            }
            FromWorker::State(State::Damaged) => {
                self.was_damaged = true;
                self.worker = None;
                self.started = false;
                self.transport = WebTransport::new();
                return Some(match self.restart() {
                    Ok(()) => Event::Damaged,
                    Err(reason) => Event::Failed(reason),
                });
            }
            FromWorker::State(State::Ready) => return Some(self.has_started(None)),
            FromWorker::State(State::Ephemeral(reason)) => return Some(self.has_started(Some(reason))),
            FromWorker::State(State::Busy(reason)) => {
                tracing::warn!(reason, "somebody holds the database");
                self.worker = None;
                self.limit = limit(BUSY_PAUSE);
                return Some(Event::Busy);
            }
            FromWorker::State(State::Failed(reason)) => return Some(Event::Failed(reason)),
            FromWorker::Output(Output::Interface(message)) => return Some(Event::Told(message)),
            FromWorker::Output(Output::Signal(server, command)) => self.signal.execute(server, command),
            FromWorker::Output(Output::Transport(command)) => self.transport.execute(command),
            // The worker keeps these for itself.
            FromWorker::Output(Output::Verify(_) | Output::Client(_)) => {}
            FromWorker::Handled(frames) => self.flow.handled(frames),
            FromWorker::LetGo => return Some(Event::Robbed),
        }
        None
    }

    fn has_started(&mut self, ephemeral: Option<String>) -> Event {
        self.started = true;
        self.limit = Fuse::terminated();
        self.budget.tell();
        Event::Started(ephemeral)
    }
}

fn limit(duration: Duration) -> Fuse<LocalBoxFuture<'static, ()>> {
    sleep(duration).boxed_local().fuse()
}

/// Waits until the lock is stolen, where there is one.
async fn stolen(guard: Option<&mut Guard>) {
    match guard {
        Some(guard) => guard.lost().await,
        None => futures::future::pending().await,
    }
}

/// Counts the frames on their way to the worker.
#[derive(Default)]
struct Flow {
    frames: VecDeque<(LinkId, usize)>,
    bytes: BTreeMap<LinkId, usize>,
}

impl Flow {
    /// Counts an event's frame, or names the link that has too many under way.
    fn count(&mut self, event: &TransportEvent) -> Result<(), LinkId> {
        if let TransportEvent::Frame { link, frame } = event {
            let bytes = self.bytes.entry(*link).or_default();
            if *bytes + frame.len() > MAX_IN_FLIGHT {
                return Err(*link);
            }
            *bytes += frame.len();
            self.frames.push_back((*link, frame.len()));
        }
        Ok(())
    }

    /// The worker has handled so many more frames.
    fn handled(&mut self, frames: u32) {
        for _ in 0..frames {
            let Some((link, length)) = self.frames.pop_front() else {
                return;
            };
            if let Some(bytes) = self.bytes.get_mut(&link) {
                *bytes = bytes.saturating_sub(length);
                if *bytes == 0 {
                    self.bytes.remove(&link);
                }
            }
        }
    }
}

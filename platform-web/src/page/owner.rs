//! The tab that owns the store: its worker, its connections, and everything that moves between them.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, StreamExt, select};
use gloo_timers::future::sleep;
use sazanami_app::SessionState;
use sazanami_core::node::api::{Command, FromNode, Request};
use sazanami_core::node::{Input, Output};
use sazanami_core::transport::{LinkId, Route, Transport, TransportEvent};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::budget::Affordable;
use super::locks::Guard;
use super::node::NodeWorker;
use super::session::Ports;
use super::signal::SignalShell;
use super::window;
use crate::bridge::{FromWorker, State, ToWorker};
use crate::dom::{Listener, has};
use crate::transport::WebTransport;

/// How long the worker may take to load its script and open its databases.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to put damaged ones together again: each of a million signatures is verified.
const RECOVERY_LIMIT: Duration = Duration::from_secs(3600);
/// How long it may take to close them; less than another tab waits before it takes the lock by force.
const RELEASE_LIMIT: Duration = Duration::from_secs(4);
/// Bytes of one link's frames that may wait for the worker. A peer that sends more than was asked for is cut off.
const MAX_IN_FLIGHT: usize = 4 * 1024 * 1024;

/// How ownership ended.
pub(super) enum End {
    /// Another tab has the store.
    Elsewhere,
    /// The worker could not start, or broke.
    Failed(String),
    /// The database was found damaged, and put aside for the next worker to put together again.
    Damaged,
}

/// Runs the node until this tab no longer owns the store; one whose database is found damaged is started once more.
pub(super) async fn run(route: Route, ports: &mut Ports, mut guard: Option<Guard>) -> End {
    match serve(route, ports, guard.as_mut()).await {
        // Once: what is damaged again is no accident of the disk.
        End::Damaged => {
            ports.tell(SessionState::Starting);
            serve(route, ports, guard.as_mut()).await
        }
        end => end,
    }
    // The lock ends after the worker: the next owner finds the files free.
}

/// Runs the node in a worker.
async fn serve(route: Route, ports: &mut Ports, guard: Option<&mut Guard>) -> End {
    let (from_worker, inbox) = mpsc::unbounded();
    let worker = match NodeWorker::start(from_worker) {
        Ok(worker) => worker,
        Err(reason) => return End::Failed(reason),
    };
    let (inputs, happened) = mpsc::unbounded();
    let online = Listener::new(&window(), "online", {
        let inputs = inputs.clone();
        move |_| drop(inputs.unbounded_send(Input::Online))
    });
    let budget = Affordable::watch(inputs.clone());
    let locked = guard.is_some();
    let mut owner = Owner {
        worker,
        transport: WebTransport::new(),
        signal: SignalShell::new(inputs),
        budget,
        asked: BTreeMap::new(),
        flow: Flow::default(),
        started: false,
        locked,
    };
    let end = owner.live(route, ports, inbox, happened, stolen(guard)).await;
    for id in owner.asked.keys() {
        ports.refuse(*id);
    }
    drop(online);
    end
}

struct Owner {
    worker: NodeWorker,
    transport: WebTransport,
    signal: SignalShell,
    budget: Affordable,
    /// Requests that the node has not answered, and whether they make an identity.
    asked: BTreeMap<u64, bool>,
    flow: Flow,
    started: bool,
    locked: bool,
}

impl Owner {
    async fn live(
        &mut self,
        route: Route,
        ports: &mut Ports,
        mut inbox: mpsc::UnboundedReceiver<FromWorker>,
        mut happened: mpsc::UnboundedReceiver<Input>,
        stolen: impl Future<Output = ()>,
    ) -> End {
        let mut start_limit = sleep(START_LIMIT).fuse();
        let mut stolen = pin!(stolen.fuse());
        loop {
            let input = select! {
                message = inbox.select_next_some() => {
                    if matches!(message, FromWorker::State(State::Recovering)) {
                        start_limit = sleep(RECOVERY_LIMIT).fuse();
                    }
                    if let Some(end) = self.heard(message, route, ports) {
                        return end;
                    }
                    continue;
                }
                event = poll_fn(|cx| self.transport.poll_event(cx)).fuse() => match self.flow.count(&event) {
                    Ok(()) => Input::Transport(event),
                    Err(link) => {
                        self.transport.close(link);
                        continue;
                    }
                },
                input = happened.select_next_some() => input,
                // The node answers from its start on; until then requests wait in their channel.
                request = next_if(self.started, &mut ports.requests).fuse() => self.request(request),
                () = start_limit => {
                    if self.started {
                        continue;
                    }
                    return End::Failed("the worker did not start in time".to_owned());
                }
                () = ports.asked.select_next_some() => return self.release(inbox).await,
                _ = ports.take_overs.select_next_some() => continue,
                () = stolen => return End::Elsewhere,
            };
            if let Err(reason) = self.worker.post(&ToWorker::Input(input)) {
                return End::Failed(reason);
            }
        }
    }

    fn request(&mut self, request: Request) -> Input {
        let makes_identity = matches!(request.command, Command::SignUp { .. } | Command::Import { .. });
        self.asked.insert(request.id, makes_identity);
        Input::Request(request)
    }

    fn heard(&mut self, message: FromWorker, route: Route, ports: &Ports) -> Option<End> {
        match message {
            FromWorker::Listening => {
                return self
                    .worker
                    .post(&ToWorker::Start { route })
                    .err()
                    .map(End::Failed);
            }
            FromWorker::State(State::Recovering) => {}
            FromWorker::State(State::Damaged) => return Some(End::Damaged),
            FromWorker::State(State::Ready) => {
                self.started = true;
                self.budget.tell();
                ports.tell(SessionState::Ready);
            }
            FromWorker::State(State::Ephemeral(reason)) => {
                self.started = true;
                self.budget.tell();
                ports.tell(SessionState::Ephemeral(reason));
            }
            // Where there are no locks, the files themselves say that another tab is the owner.
            FromWorker::State(State::Busy(_)) if !self.locked => return Some(End::Elsewhere),
            FromWorker::State(State::Busy(reason) | State::Failed(reason)) => {
                return Some(End::Failed(reason));
            }
            FromWorker::Output(Output::Interface(message)) => {
                self.answered(&message);
                ports.events.push(message);
            }
            FromWorker::Output(Output::Signal(command)) => self.signal.execute(command),
            FromWorker::Output(Output::Transport(command)) => self.transport.execute(command),
            // The worker keeps these for itself.
            FromWorker::Output(Output::Verify(_)) => {}
            FromWorker::Handled(frames) => self.flow.handled(frames),
            FromWorker::Released => return Some(End::Elsewhere),
        }
        None
    }

    fn answered(&mut self, message: &FromNode) {
        if let FromNode::Reply { id, result } = message
            && self.asked.remove(id) == Some(true)
            && result.is_ok()
        {
            ask_for_persistence();
        }
    }

    /// Has the worker close its databases, so that the next owner finds them at rest.
    async fn release(&mut self, mut inbox: mpsc::UnboundedReceiver<FromWorker>) -> End {
        if self.worker.post(&ToWorker::Release).is_ok() {
            let released = async {
                while let Some(message) = inbox.next().await {
                    if matches!(
                        message,
                        FromWorker::Released | FromWorker::State(State::Failed(_))
                    ) {
                        return;
                    }
                }
            };
            // A worker that does not answer is terminated all the same: the databases stand crashes.
            select! {
                () = released.fuse() => {}
                () = sleep(RELEASE_LIMIT).fuse() => {}
            }
        }
        End::Elsewhere
    }
}

/// The next item, once there may be one.
async fn next_if<T>(ready: bool, stream: &mut mpsc::UnboundedReceiver<T>) -> T {
    if ready && let Some(item) = stream.next().await {
        return item;
    }
    futures::future::pending().await
}

/// Waits until the lock is stolen, where there is one.
async fn stolen(guard: Option<&mut Guard>) {
    match guard {
        Some(guard) => guard.lost().await,
        None => futures::future::pending().await,
    }
}

/// Asks the browser not to evict the store, now that there is a key to lose. Nobody waits for the answer: browsers
/// decide silently or ask the person.
fn ask_for_persistence() {
    let navigator = window().navigator();
    if !has(&navigator, "storage") {
        return;
    }
    if let Ok(answer) = navigator.storage().persist() {
        spawn_local(async move {
            if !JsFuture::from(answer)
                .await
                .is_ok_and(|granted| granted.is_truthy())
            {
                web_sys::console::info_1(
                    &"sazanami: the browser may evict this store when space is short".into(),
                );
            }
        });
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

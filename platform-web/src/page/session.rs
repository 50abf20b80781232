//! This tab among the others of its profile.
//!
//! ```text
//!            lock granted, or stolen from an owner that hangs
//!   Guest ────────────────────────────────────────────────────▶ Owner
//!     ▲  ◀──────────────── lock stolen, node failed ────────────  │
//!     └── wakes ──  Asleep  ◀── the browser freezes or hides the page
//! ```
//!
//! A guest waits for the store's lock and speaks to the owner's worker meanwhile; an owner has the worker. Whichever it is,
//! requests go through one [`Tab`], which outlives both, so that the interface notices nothing of a change. The browser lets
//! go of the lock when the owner closes or crashes. One that it freezes lets go by itself, at the last moment: a frozen
//! worker would keep the database's files. One that hangs is found out by [`Tab`]; its worker hears
//! [`ToAll::LetGo`], even while its page hangs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{Fuse, LocalBoxFuture, pending};
use futures::{FutureExt, StreamExt, select};
use gloo_timers::future::sleep;
use sazanami_app::{NodeEvents, NodePort, SessionState};
use sazanami_core::node::api::{Command, FromNode, Request};
use sazanami_core::tabs::{Standing, Tab, TabId, TabOutput, ToAll, ToTab};
use sazanami_core::time::Millis;
use sazanami_core::transport::Route;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::life::{self, Life};
use super::locks::{self, Guard};
use super::owner::{Event, Owner};
use super::{node, window};
use crate::channel::{Channel, OnLine, Public};
use crate::clock::now;
use crate::dom::has;
use crate::random::random;

/// The lock.
const NAME: &str = "sazanami-store";
/// Between two signs of life: one serves all who ask.
const BETWEEN: Duration = Duration::from_millis(150);
/// A node that fails again within this is not started again before the person comes back to the tab.
const FAILURES: Duration = Duration::from_secs(60);
/// A page that is younger has the newest build there is.
const FRESH: Duration = Duration::from_secs(30);

/// Runs the session for the life of the page.
pub(super) async fn run(route: Option<Route>, port: NodePort, states: mpsc::UnboundedSender<SessionState>) {
    let (tell_life, life) = mpsc::unbounded();
    let (tell_heard, heard) = mpsc::unbounded();
    let _watch = life::Watch::start(&tell_life);
    let NodePort { requests, events } = port;
    let id = match random() {
        Ok(id) => TabId(u64::from_le_bytes(id)),
        Err(reason) => return drop(states.unbounded_send(SessionState::Failed(reason))),
    };
    let mut session = Session {
        route,
        id,
        tab: Tab::new(id, life::visible(), now()),
        role: Role::Asleep,
        build: node::script().unwrap_or_default(),
        opened: now(),
        requests,
        events,
        states,
        state: None,
        identities: BTreeSet::new(),
        channels: None,
        tell_heard,
        heard,
        life,
        tick: Fuse::terminated(),
        alive: Millis(0),
        failed: None,
    };
    session.tell(SessionState::Starting);
    session.wake();
    while session.step().await {}
}

enum Role {
    /// Waits for the lock, if it wants it.
    Guest(Option<Turn>),
    Owner(Box<Owner>),
    Asleep,
}

/// Ends with the lock, or without it.
enum Turn {
    Waiting(locks::Waiting),
    Stealing(LocalBoxFuture<'static, Option<Guard>>),
}

/// What is heard from other tabs.
// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
enum Heard {
    All(Public),
    Line(ToTab),
}

struct Session {
    route: Option<Route>,
    id: TabId,
    tab: Tab,
    role: Role,
    build: String,
    opened: Millis,
    requests: mpsc::UnboundedReceiver<Request>,
    events: NodeEvents,
    states: mpsc::UnboundedSender<SessionState>,
    /// What the interface was told last.
    state: Option<SessionState>,
    /// Requests that make an identity.
    identities: BTreeSet<u64>,
    /// That of all and the own line; `None` where the browser has none, and while the page is asleep: what is said
    /// meanwhile would pile up.
    channels: Option<(Channel, Channel)>,
    tell_heard: mpsc::UnboundedSender<Heard>,
    heard: mpsc::UnboundedReceiver<Heard>,
    life: mpsc::UnboundedReceiver<Life>,
    tick: Fuse<LocalBoxFuture<'static, ()>>,
    /// When this owner has last shown that it lives.
    alive: Millis,
    failed: Option<Millis>,
}

impl Session {
    /// Takes one thing that happens; `false` when the interface is gone.
    async fn step(&mut self) -> bool {
        select! {
            life = self.life.select_next_some() => self.lives(life),
            heard = self.heard.select_next_some() => self.hear(heard),
            turn = Box::pin(self.role.next()).fuse() => match turn {
                Next::Turn(Some(guard), stolen) => self.own(Some(guard), stolen),
                Next::Turn(None, _) => self.queue(),
                Next::Owner(event) => self.owner_says(event),
            },
            request = self.requests.next() => match request {
                Some(request) => {
                    if matches!(request.command, Command::SignUp { .. } | Command::Import { .. }) {
                        self.identities.insert(request.id);
                    }
                    self.tab.ask(request, now());
                }
                None => return false,
            },
            () = &mut self.tick => {
                self.tab.tick(now());
                if let Role::Owner(owner) = &self.role {
                    owner.tick();
                }
                self.set_tick();
            }
        }
        self.settle();
        true
    }

    /// Carries out what the tab wants done.
    fn settle(&mut self) {
        while let Some(output) = self.tab.poll() {
            match output {
                TabOutput::SendAll(said) => self.say(said),
                TabOutput::Send(message) => {
                    if let Some((_, line)) = &self.channels {
                        line.post(&OnLine::ToNode(message));
                    }
                }
                TabOutput::Ask(request) => {
                    if let Role::Owner(owner) = &mut self.role {
                        owner.ask(request);
                    }
                }
                TabOutput::Tell(message) => {
                    if let FromNode::Reply { id, result } = &message
                        && self.identities.remove(id)
                        && result.is_ok()
                    {
                        ask_for_persistence();
                    }
                    self.events.push(message);
                }
                TabOutput::Answers(Standing { ephemeral: None }) => self.tell(SessionState::Ready),
                TabOutput::Answers(Standing {
                    ephemeral: Some(reason),
                }) => self.tell(SessionState::Ephemeral(reason)),
                TabOutput::Steal => self.steal(),
            }
        }
    }

    fn lives(&mut self, life: Life) {
        match life {
            Life::Visible(visible) => {
                self.tab.show(visible, now());
                self.set_tick();
                match &self.role {
                    // Those that are seen go first.
                    Role::Guest(Some(Turn::Waiting(_))) if !visible => self.queue(),
                    // It failed: perhaps it does not any more.
                    Role::Guest(None) if visible => self.queue(),
                    _ => {}
                }
            }
            Life::Sleeps => {
                // First of all: what the worker holds when it is frozen stays held.
                self.role = Role::Asleep;
                self.tab.disown(now());
                self.tab.leave();
                self.settle();
                self.channels = None;
                self.tick = Fuse::terminated();
            }
            Life::Wakes => {
                if matches!(self.role, Role::Asleep) {
                    self.wake();
                }
            }
        }
    }

    fn wake(&mut self) {
        let (all, line) = (self.tell_heard.clone(), self.tell_heard.clone());
        // The receiver lives as long as the page. What waits in it is bounded: by the heartbeats of some tabs, and by what
        // the node sends before it hears that it was taken.
        let all = Channel::all(move |message| drop(all.unbounded_send(Heard::All(message))));
        let line = Channel::line(self.id, move |message| {
            if let OnLine::ToTab(message) = message {
                drop(line.unbounded_send(Heard::Line(message)));
            }
        });
        self.channels = all.zip(line);
        self.queue();
        self.tab.tick(now());
        self.set_tick();
        self.settle();
    }

    /// Queues for the lock, behind those who wait already.
    fn queue(&mut self) {
        // Given up first: a tab does not wait behind itself.
        self.role = Role::Guest(None);
        match locks::queue(NAME) {
            Some(waiting) => self.role = Role::Guest(Some(Turn::Waiting(waiting))),
            // Without locks the database's own files decide.
            None => self.own(None, false),
        }
    }

    fn steal(&mut self) {
        if matches!(self.role, Role::Guest(Some(Turn::Waiting(_)))) {
            tracing::warn!("the tab that owns the node does not answer");
            self.role = Role::Guest(Some(Turn::Stealing(locks::steal(NAME).boxed_local())));
        }
    }

    fn own(&mut self, guard: Option<Guard>, stolen: bool) {
        if stolen {
            self.say(ToAll::LetGo);
        }
        self.tab.own();
        match Owner::start(self.route, guard) {
            Ok(owner) => {
                self.role = Role::Owner(Box::new(owner));
                self.say(ToAll::Alive);
                self.set_tick();
            }
            Err(reason) => self.fail(reason),
        }
    }

    fn owner_says(&mut self, event: Event) {
        match event {
            Event::Started(ephemeral) => self.tab.started(ephemeral, now()),
            Event::Told(message) => self.tab.told(message),
            Event::Busy => {
                // What is shown stays, and waits.
                if self.state == Some(SessionState::Starting) {
                    self.tell(SessionState::Elsewhere);
                }
            }
            Event::Damaged => {
                self.tab.own();
                self.tell(SessionState::Starting);
            }
            Event::Robbed => {
                self.tab.disown(now());
                self.queue();
                self.set_tick();
            }
            Event::Failed(reason) => self.fail(reason),
        }
    }

    /// The node could not start, or broke.
    fn fail(&mut self, reason: String) {
        let now = now();
        tracing::error!(reason, "the node has failed");
        self.role = Role::Guest(None);
        self.tab.disown(now);
        let again = self
            .failed
            .replace(now)
            .is_none_or(|failed| now.since(failed) > FAILURES);
        let answered = matches!(self.state, Some(SessionState::Ready | SessionState::Ephemeral(_)));
        if again && answered {
            // It did answer: once more, here or in another tab.
            self.queue();
        } else {
            self.tab.give_up();
            self.tell(SessionState::Failed(reason));
        }
        self.set_tick();
    }

    fn hear(&mut self, heard: Heard) {
        let now = now();
        match heard {
            Heard::Line(message) => self.tab.hear(message, now),
            Heard::All(message) if message.build != self.build => self.hear_other_build(message.said),
            Heard::All(Public { said, .. }) => {
                match (&self.role, said) {
                    (Role::Owner(owner), ToAll::Here { visible, .. }) => {
                        if visible {
                            owner.seen_elsewhere();
                        }
                        if now.since(self.alive) >= BETWEEN {
                            self.alive = now;
                            owner.lives();
                            self.say(ToAll::Alive);
                        }
                    }
                    // Those that are seen go first.
                    (Role::Guest(Some(Turn::Waiting(_))), ToAll::Shown) if !life::visible() => self.queue(),
                    _ => {}
                }
                self.tab.hear_all(said, now);
            }
        }
    }

    /// The owner has another build, from before or after an update of the site: nothing can be shared with it. The
    /// younger page has the newer one; the older page gets it by loading again.
    fn hear_other_build(&mut self, said: ToAll) {
        if !matches!(said, ToAll::Alive | ToAll::Started) || !matches!(self.role, Role::Guest(_)) {
            return;
        }
        if now().since(self.opened) < FRESH {
            self.steal();
        } else if let Err(error) = window().location().reload() {
            web_sys::console::error_2(&"sazanami: the page cannot be loaded again:".into(), &error);
        }
    }

    fn say(&self, said: ToAll) {
        if let Some((all, _)) = &self.channels {
            let build = self.build.clone();
            all.post(&Public { build, said });
        }
    }

    fn set_tick(&mut self) {
        // A hair more: a timer that is early would find nothing to do.
        let wait = self.tab.wait(now()) + Duration::from_millis(1);
        self.tick = sleep(wait).boxed_local().fuse();
    }

    fn tell(&mut self, state: SessionState) {
        if self.state.as_ref() != Some(&state) {
            self.state = Some(state.clone());
            // The tree lives as long as the page.
            let _ = self.states.unbounded_send(state);
        }
    }
}

/// What a role leads to.
// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
enum Next {
    /// The lock, if it was to be had, and whether it was stolen.
    Turn(Option<Guard>, bool),
    Owner(Event),
}

impl Role {
    async fn next(&mut self) -> Next {
        match self {
            Self::Guest(Some(Turn::Waiting(waiting))) => Next::Turn(waiting.granted().await, false),
            Self::Guest(Some(Turn::Stealing(theft))) => Next::Turn(theft.await, true),
            Self::Owner(owner) => Next::Owner(owner.next().await),
            Self::Guest(None) | Self::Asleep => pending().await,
        }
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

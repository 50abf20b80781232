//! Which tab has the node, and what the interface hears of it.
//!
//! A tab claims the store's Web Lock before it starts the worker. A tab that does not get it says so and waits for
//! the person to take over: it asks the owner, which closes its databases and lets go; an owner that does not answer
//! is frozen, and the lock is stolen from it.

use std::time::Duration;

use futures::channel::mpsc;
use futures::{StreamExt, select};
use sazanami_app::{NodeEvents, NodePort, SessionState};
use sazanami_core::node::api::{FromNode, Request, RequestError};
use sazanami_core::transport::Route;

use super::locks::{self, Claim, Tabs};
use super::owner::{self, End};

/// The lock and the channel between tabs.
const NAME: &str = "sazanami-store";
/// A reloaded page may ask before its predecessor's lock is free.
const START_PATIENCE: Duration = Duration::from_millis(1500);
/// How long an owner may take to close its databases.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(5);

/// Everything that the session listens to, besides its worker.
pub(super) struct Ports {
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    pub(super) events: NodeEvents,
    pub(super) states: mpsc::UnboundedSender<SessionState>,
    /// The person wants the store here.
    pub(super) take_overs: mpsc::UnboundedReceiver<()>,
    /// Another tab asks for the store.
    pub(super) asked: mpsc::UnboundedReceiver<()>,
}

impl Ports {
    pub(super) fn tell(&self, state: SessionState) {
        // The tree lives as long as the page.
        let _ = self.states.unbounded_send(state);
    }

    pub(super) fn refuse(&self, id: u64) {
        self.events.push(FromNode::Reply {
            id,
            result: Err(RequestError::Stopped),
        });
    }
}

/// Runs the session for the life of the page.
pub async fn run(
    route: Route,
    port: NodePort,
    states: mpsc::UnboundedSender<SessionState>,
    take_overs: mpsc::UnboundedReceiver<()>,
) {
    let (ask, asked) = mpsc::unbounded();
    let tabs = Tabs::join(NAME, move || drop(ask.unbounded_send(())));
    let NodePort { requests, events } = port;
    let mut ports = Ports {
        requests,
        events,
        states,
        take_overs,
        asked,
    };
    ports.tell(SessionState::Starting);
    let mut claim = locks::claim(NAME, START_PATIENCE).await;
    loop {
        let end = match claim {
            Claim::Held(guard) => owner::run(route, &mut ports, Some(guard)).await,
            // Without locks the database's own files decide.
            Claim::Unsupported => owner::run(route, &mut ports, None).await,
            Claim::Busy => End::Elsewhere,
        };
        ports.tell(match end {
            End::Elsewhere => SessionState::Elsewhere,
            End::Failed(reason) => SessionState::Failed(reason),
            End::Damaged => SessionState::Failed("the database was damaged again".to_owned()),
        });
        if !wanted(&mut ports).await {
            return;
        }
        ports.tell(SessionState::Starting);
        if let Some(tabs) = &tabs {
            tabs.ask();
        }
        claim = match locks::claim(NAME, HAND_OVER_LIMIT).await {
            Claim::Busy => locks::steal(NAME).await,
            claim => claim,
        };
    }
}

/// Waits until the person wants the store here; nothing can be answered meanwhile.
async fn wanted(ports: &mut Ports) -> bool {
    loop {
        select! {
            request = ports.requests.next() => match request {
                Some(request) => ports.refuse(request.id),
                None => return false,
            },
            take_over = ports.take_overs.next() => return take_over.is_some(),
            _ = ports.asked.next() => {}
        }
    }
}

//! What a platform gives the component tree: a node to talk to, how the session stands, and a few services.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::LocalBoxFuture;
use sazanami_core::node::api::{Change, Command, FromNode, Reply, Request, RequestError};
use sazanami_core::time::Millis;

/// Everything that a platform provides; the root context of the tree.
#[derive(Clone)]
pub struct Backend {
    /// The node.
    pub node: NodeClient,
    /// How the session stands, as it changes. Taken once, by the root component.
    pub session: Rc<RefCell<Option<mpsc::UnboundedReceiver<SessionState>>>>,
    /// Services of the platform.
    pub host: Rc<dyn Host>,
}

impl Backend {
    /// A backend, and the platform's ends of it.
    pub fn new(host: Rc<dyn Host>) -> (Self, NodePort, mpsc::UnboundedSender<SessionState>) {
        let (node, port) = NodeClient::new();
        let (states, session) = mpsc::unbounded();
        (
            Self {
                node,
                session: Rc::new(RefCell::new(Some(session))),
                host,
            },
            port,
            states,
        )
    }
}

/// How the session with the node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The node is opening its store.
    Starting,
    /// It answers, and what it keeps is durable.
    Ready,
    /// It answers, but keeps everything in memory: no durable storage here (private window, old browser). The
    /// reason is in the platform's words.
    Ephemeral(String),
    /// Somebody else has the store and does not share it: another tab that hangs, or one of a browser in which tabs
    /// cannot share. It is tried again and again.
    Elsewhere,
    /// The node could not start, in the platform's words.
    Failed(String),
}

/// What the tree needs from a platform besides the node.
pub trait Host: 'static {
    /// The person's languages, best first, as BCP 47 tags.
    fn languages(&self) -> Vec<String>;

    /// The clock.
    fn now(&self) -> Millis;

    /// Minutes to add to UTC for local time at `at`.
    fn utc_offset_minutes(&self, at: Millis) -> i32;

    /// Waits.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()>;

    /// Puts a text on the clipboard.
    fn copy(&self, text: String) -> LocalBoxFuture<'static, Result<(), String>>;

    /// Saves a text as a file where the person finds it; answers where, if the platform tells.
    fn save_file(
        &self,
        name: String,
        text: String,
    ) -> LocalBoxFuture<'static, Result<Option<String>, String>>;

    /// Sets the window's title.
    fn set_title(&self, title: &str);

    /// Sets the document's language and theme (`system`, `light` or `dark`): `lang` and `data-theme` on the root
    /// element.
    fn set_document(&self, language: &str, theme: &str);
}

/// The platform's end of a [`NodeClient`]: pass `requests` to the node, and what it says to `events`.
pub struct NodePort {
    /// What the tree asks.
    pub requests: mpsc::UnboundedReceiver<Request>,
    /// What the node answers and reports.
    pub events: NodeEvents,
}

/// Takes what the node says. Cheap to clone; used on the interface's own thread.
#[derive(Clone)]
pub struct NodeEvents(Rc<Shared>);

impl NodeEvents {
    /// Answers the request it belongs to, or tells everybody who listens for changes.
    pub fn push(&self, message: FromNode) {
        match message {
            FromNode::Reply { id, result } => {
                if let Some(waiting) = self.0.waiting.borrow_mut().remove(&id) {
                    // The component that asked may be gone.
                    let _ = waiting.send(result);
                }
            }
            FromNode::Changed(change) => {
                self.0
                    .listeners
                    .borrow_mut()
                    .retain(|listener| listener.unbounded_send(change.clone()).is_ok());
            }
        }
    }
}

struct Shared {
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Result<Reply, RequestError>>>>,
    listeners: RefCell<Vec<mpsc::UnboundedSender<Change>>>,
}

/// The tree's way to the node.
#[derive(Clone)]
pub struct NodeClient {
    shared: Rc<Shared>,
    requests: mpsc::UnboundedSender<Request>,
}

impl NodeClient {
    fn new() -> (Self, NodePort) {
        let (sender, requests) = mpsc::unbounded();
        let shared = Rc::new(Shared {
            next: Cell::new(1),
            waiting: RefCell::new(HashMap::new()),
            listeners: RefCell::new(Vec::new()),
        });
        let port = NodePort {
            requests,
            events: NodeEvents(shared.clone()),
        };
        (
            Self {
                shared,
                requests: sender,
            },
            port,
        )
    }

    /// Asks the node.
    ///
    /// # Errors
    /// What the node answers, or [`RequestError::Stopped`] when it is gone.
    pub async fn request(&self, command: Command) -> Result<Reply, RequestError> {
        let id = self.shared.next.get();
        self.shared.next.set(id + 1);
        let (sender, receiver) = oneshot::channel();
        self.shared.waiting.borrow_mut().insert(id, sender);
        if self
            .requests
            .unbounded_send(Request {
                id,
                key: None,
                command,
            })
            .is_err()
        {
            self.shared.waiting.borrow_mut().remove(&id);
            return Err(RequestError::Stopped);
        }
        receiver.await.unwrap_or(Err(RequestError::Stopped))
    }

    /// Every change from now on.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded();
        self.shared.listeners.borrow_mut().push(sender);
        receiver
    }
}

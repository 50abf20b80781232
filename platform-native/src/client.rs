//! Asks a node and hears of changes, from any task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sazanami_core::node::api::{Change, Command, FromNode, Reply, Request, RequestError};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::node_thread::NodeThread;

/// Changes that a listener may lag behind before it misses some and is told so.
const MAX_CHANGES: usize = 1024;

type Answer = Result<Reply, RequestError>;

#[derive(Default)]
struct Waiting {
    next: u64,
    /// `None` when the node has stopped.
    answers: Option<HashMap<u64, oneshot::Sender<Answer>>>,
}

/// The way to a node for tasks. Cheap to clone.
#[derive(Clone)]
pub struct NodeClient {
    requests: mpsc::Sender<Request>,
    waiting: Arc<Mutex<Waiting>>,
    changes: broadcast::WeakSender<Change>,
}

impl NodeClient {
    /// A client that reads what the node says. Must be called within a tokio runtime.
    pub fn new(node: &NodeThread, mut messages: mpsc::Receiver<FromNode>) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting {
            next: 1,
            answers: Some(HashMap::new()),
        }));
        let (changes, _) = broadcast::channel(MAX_CHANGES);
        let client = Self {
            requests: node.requests(),
            waiting: waiting.clone(),
            changes: changes.downgrade(),
        };
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                match message {
                    FromNode::Reply { id, result } => {
                        let asked = lock(&waiting)
                            .answers
                            .as_mut()
                            .and_then(|answers| answers.remove(&id));
                        if let Some(asked) = asked {
                            // Who asked may be gone.
                            let _ = asked.send(result);
                        }
                    }
                    // Nobody may be listening.
                    FromNode::Changed(change) => {
                        let _ = changes.send(change);
                    }
                }
            }
            lock(&waiting).answers = None;
        });
        client
    }

    /// Asks the node.
    ///
    /// # Errors
    /// What the node answers, or [`RequestError::Stopped`] when it is gone.
    pub async fn request(&self, command: Command) -> Answer {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut waiting = lock(&self.waiting);
            let id = waiting.next;
            waiting.next += 1;
            waiting
                .answers
                .as_mut()
                .ok_or(RequestError::Stopped)?
                .insert(id, sender);
            id
        };
        if self
            .requests
            .send(Request {
                id,
                key: None,
                command,
            })
            .await
            .is_err()
        {
            return Err(RequestError::Stopped);
        }
        answer.await.unwrap_or(Err(RequestError::Stopped))
    }

    /// Every change from now on; ends when the node stops.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        match self.changes.upgrade() {
            Some(changes) => changes.subscribe(),
            None => broadcast::channel(1).1,
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    // Nothing panics while it is held.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

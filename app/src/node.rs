//! The tree's way to the node: typed requests, and queries that refresh themselves when the node reports a change.

use std::rc::Rc;

use dioxus::prelude::*;
use futures::StreamExt;
use sazanami_core::node::api::{Change, Command, Network, Person, Reply, RequestError, Routes, Secret};
use sazanami_core::signaling::ServerUrl;
use sazanami_core::social::Ring;
use sazanami_core::store::{self, Cursor, Note, Page, Scope};
use sazanami_core::transport::Route;
use sazanami_core::{EventId, PublicKey};

use crate::backend::{Backend, Host, NodeClient};

/// The platform's services.
pub(crate) fn use_host() -> Rc<dyn Host> {
    use_hook(|| consume_context::<Backend>().host)
}

/// The node.
pub(crate) fn use_node() -> Node {
    use_hook(|| Node(consume_context::<Backend>().node))
}

/// The node, with one method per command.
#[derive(Clone)]
pub(crate) struct Node(NodeClient);

impl Node {
    async fn ask<T>(&self, command: Command, read: fn(Reply) -> Option<T>) -> Result<T, RequestError> {
        let reply = self.0.request(command).await?;
        read(reply).ok_or_else(|| {
            tracing::error!("the node's answer does not fit the question");
            RequestError::Stopped
        })
    }

    async fn done(&self, command: Command) -> Result<(), RequestError> {
        self.ask(command, |reply| matches!(reply, Reply::Done).then_some(()))
            .await
    }

    pub(crate) async fn me(&self) -> Result<Option<Person>, RequestError> {
        self.ask(Command::Me, read_me).await
    }

    pub(crate) async fn sign_up(&self, name: String) -> Result<Option<Person>, RequestError> {
        self.ask(Command::SignUp { name }, read_me).await
    }

    pub(crate) async fn import(&self, nsec: String) -> Result<Option<Person>, RequestError> {
        self.ask(Command::Import { nsec }, read_me).await
    }

    pub(crate) async fn secret(&self) -> Result<Secret, RequestError> {
        self.ask(Command::Secret, |reply| {
            if let Reply::Secret(secret) = reply {
                Some(secret)
            } else {
                None
            }
        })
        .await
    }

    pub(crate) async fn timeline(
        &self,
        scope: Scope,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, RequestError> {
        let command = Command::Timeline { scope, before, limit };
        self.ask(command, |reply| {
            if let Reply::Page(page) = reply {
                Some(page)
            } else {
                None
            }
        })
        .await
    }

    pub(crate) async fn person(&self, key: PublicKey) -> Result<Person, RequestError> {
        self.ask(Command::Person(key), read_person).await
    }

    pub(crate) async fn post(&self, text: String) -> Result<Note, RequestError> {
        self.ask(Command::Post { text }, |reply| {
            if let Reply::Posted(note) = reply {
                Some(note)
            } else {
                None
            }
        })
        .await
    }

    pub(crate) async fn delete(&self, id: EventId) -> Result<(), RequestError> {
        self.done(Command::Delete(id)).await
    }

    pub(crate) async fn follow(&self, person: PublicKey, follow: bool) -> Result<(), RequestError> {
        self.done(Command::Follow { person, follow }).await
    }

    pub(crate) async fn rename(&self, name: String) -> Result<(), RequestError> {
        self.done(Command::Rename { name }).await
    }

    pub(crate) async fn setting(&self, name: &str) -> Result<Option<String>, RequestError> {
        let command = Command::Setting(name.to_owned());
        self.ask(command, |reply| {
            if let Reply::Setting(value) = reply {
                Some(value)
            } else {
                None
            }
        })
        .await
    }

    pub(crate) async fn set_setting(&self, name: &str, value: Option<String>) -> Result<(), RequestError> {
        self.done(Command::SetSetting {
            name: name.to_owned(),
            value,
        })
        .await
    }

    pub(crate) async fn set_route(&self, ring: Ring, route: Route) -> Result<(), RequestError> {
        self.done(Command::SetRoute { ring, route }).await
    }

    pub(crate) async fn add_server(&self, url: String) -> Result<(), RequestError> {
        self.done(Command::AddServer(url)).await
    }

    pub(crate) async fn remove_server(&self, url: ServerUrl) -> Result<(), RequestError> {
        self.done(Command::RemoveServer(url)).await
    }

    /// Every change from now on.
    pub(crate) fn changes(&self) -> futures::channel::mpsc::UnboundedReceiver<Change> {
        self.0.changes()
    }
}

fn read_me(reply: Reply) -> Option<Option<Person>> {
    if let Reply::Me(me) = reply { Some(me) } else { None }
}

fn read_person(reply: Reply) -> Option<Person> {
    if let Reply::Person(person) = reply {
        Some(person)
    } else {
        None
    }
}

/// An answer that may be under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Loaded<T> {
    /// Not here yet.
    Loading,
    /// Here.
    Ready(T),
    /// It could not be had.
    Failed(RequestError),
}

/// A query's answer, kept fresh.
pub(crate) struct Query<T: 'static> {
    /// The answer.
    pub(crate) value: Signal<Loaded<T>>,
    task: UseFuture,
}

impl<T: 'static> Query<T> {
    /// Asks again, after a failure.
    pub(crate) fn retry(mut self) {
        self.task.restart();
    }
}

impl<T: 'static> Clone for Query<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for Query<T> {}

/// Asks now and again after every change that `concerns` it, one request at a time.
fn use_query<T: PartialEq + 'static>(
    command: Command,
    read: fn(Reply) -> Option<T>,
    concerns: impl Fn(&Change) -> bool + 'static,
) -> Query<T> {
    let node = use_node();
    let mut value = use_signal(|| Loaded::Loading);
    let concerns = use_hook(|| Rc::new(concerns));
    let task = use_future(move || {
        let (node, command, concerns) = (node.clone(), command.clone(), concerns.clone());
        async move {
            let mut changes = node.changes();
            loop {
                let answer = match node.ask(command.clone(), read).await {
                    Ok(answer) => Loaded::Ready(answer),
                    Err(error) => Loaded::Failed(error),
                };
                if *value.peek() != answer {
                    value.set(answer);
                }
                loop {
                    match changes.next().await {
                        Some(change) if change == Change::Everything || concerns(&change) => break,
                        Some(_) => {}
                        None => return,
                    }
                }
                // Whatever else has happened by now is in the next answer too.
                while changes.try_recv().is_ok() {}
            }
        }
    });
    Query { value, task }
}

/// The own identity.
pub(crate) fn use_me() -> Query<Option<Person>> {
    use_query(Command::Me, read_me, |change| {
        matches!(change, Change::Me | Change::Person(_))
    })
}

/// A person.
pub(crate) fn use_person(key: PublicKey) -> Query<Person> {
    use_query(Command::Person(key), read_person, move |change| match change {
        Change::Person(changed) => *changed == key,
        Change::Me => true,
        _ => false,
    })
}

/// The network as it is.
pub(crate) fn use_network() -> Query<Network> {
    let read = |reply| {
        if let Reply::Network(network) = reply {
            Some(network)
        } else {
            None
        }
    };
    use_query(Command::Network, read, |change| matches!(change, Change::Network))
}

/// Which way to people.
pub(crate) fn use_routes() -> Query<Routes> {
    let read = |reply| {
        if let Reply::Routes(routes) = reply {
            Some(routes)
        } else {
            None
        }
    };
    use_query(Command::Routes, read, |change| matches!(change, Change::Network))
}

/// Whether the disk or the quota is full.
pub(crate) fn use_storage_full() -> Query<bool> {
    let read = |reply| {
        if let Reply::Storage(report) = reply {
            Some(report.full)
        } else {
            None
        }
    };
    use_query(
        Command::Storage,
        read,
        |change| matches!(change, Change::Queries(queries) if queries.contains(&store::Query::Storage)),
    )
}

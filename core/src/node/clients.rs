//! Clients that speak plain Nostr to this peer (see [`crate::relay`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use nostr::prelude::Event;

use super::verify::Source;
use super::{Node, Output};
use crate::relay::client::is_fresh;
use crate::relay::host::Hosts;
use crate::relay::{Client, ClientCommand, ClientEvent, ClientId, Host, HostAddress, Nonsense, Request};
use crate::store::{Put, Store, StoreError};
use crate::sync::{Env, ReconcileSets};
use crate::time::Millis;

/// Connections at once; the platform keeps fewer open.
const MAX_CLIENTS: usize = 1_024;

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    all: BTreeMap<ClientId, (HostAddress, Client)>,
    hosts: Hosts,
    /// Apart from those of peers, so that clients cannot push them out.
    pub(super) sets: ReconcileSets,
}

impl Clients {
    fn get(&mut self, id: ClientId) -> Option<(&mut Client, &mut Host)> {
        let (address, client) = self.all.get_mut(&id)?;
        Some((client, self.hosts.get(*address)))
    }
}

impl<S: Store> Node<S> {
    pub(super) fn client_event(&mut self, event: ClientEvent, now: Millis) {
        match event {
            ClientEvent::Opened { client, address } => {
                let address = HostAddress::from(address);
                let clients = &mut self.clients;
                if clients.all.len() < MAX_CLIENTS && clients.hosts.enter(address, now).is_some() {
                    clients.all.insert(client, (address, Client::new(now)));
                } else {
                    self.outputs
                        .push_back(Output::Client(ClientCommand::Close { client }));
                }
            }
            ClientEvent::Said { client, requests } => {
                if let Err(error) = self.client_said(client, requests, now) {
                    // The client is not to blame; without a store there is nothing to answer.
                    self.store_failed(&error);
                    self.drop_client(client);
                }
            }
            ClientEvent::Drained { client, bytes } => {
                if let Some((client, _)) = self.clients.get(client) {
                    client.drained(bytes);
                }
            }
            ClientEvent::Closed { client } => self.forget_client(client),
        }
    }

    fn client_said(
        &mut self,
        id: ClientId,
        requests: Vec<Result<Request, Nonsense>>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let (mut new, mut history) = (Vec::new(), Vec::new());
        for request in requests {
            let Some((address, client)) = self.clients.all.get_mut(&id) else {
                return Ok(());
            };
            let host = self.clients.hosts.get(*address);
            let mut env = Env {
                store: &mut self.store,
                sets: &mut self.clients.sets,
                now,
            };
            let Some(event) = client.take(request, host, &mut env)? else {
                continue;
            };
            if !is_fresh(&event, now) {
                history.push(event);
            } else if self.admits_author(&event, now) {
                new.push(event);
            } else if let Some((client, _)) = self.clients.get(id) {
                client.refuse(&event, "rate-limited: its author writes too much");
            }
        }
        self.arrived(Source::Client(id), new, true, now)?;
        self.arrived(Source::Client(id), history, false, now)
    }

    /// Tells a client how storing what it published went.
    pub(super) fn client_stored(&mut self, id: ClientId, events: &[Event], outcomes: &[Put], now: Millis) {
        if let Some((client, host)) = self.clients.get(id) {
            client.stored(events, outcomes, host, now);
        }
    }

    /// Tells a client that the store has failed.
    pub(super) fn client_failed(&mut self, id: ClientId, events: &[Event]) {
        if let Some((client, _)) = self.clients.get(id) {
            for event in events {
                client.refuse(event, "error: it could not be stored");
            }
        }
    }

    /// Forwards a new event to whoever has subscribed to such.
    pub(super) fn forward_to_clients(&mut self, event: &Event) {
        let mut json: Option<Arc<str>> = None;
        for (_, client) in self.clients.all.values_mut() {
            if client.wants(event) {
                let json = json.get_or_insert_with(|| event.as_json().into());
                client.forward(event, json);
            }
        }
    }

    pub(super) fn tend_clients(&mut self, now: Millis) {
        for (_, client) in self.clients.all.values_mut() {
            client.tick(now);
        }
    }

    /// Sends what clients are to hear, as far as their windows reach, and closes those that have ended.
    pub(super) fn answer_clients(&mut self, now: Millis) {
        let (mut ended, mut failure) = (Vec::new(), None);
        for (id, (address, client)) in &mut self.clients.all {
            match client.poll(self.clients.hosts.get(*address), &self.store, now) {
                Ok(texts) if texts.is_empty() => {}
                Ok(texts) => {
                    let send = ClientCommand::Send { client: *id, texts };
                    self.outputs.push_back(Output::Client(send));
                }
                Err(error) => {
                    failure = Some(error);
                    ended.push(*id);
                }
            }
            if let Some(reason) = client.end_reason() {
                tracing::debug!(client = id.0, reason, "a client's connection ends");
                ended.push(*id);
            }
        }
        if let Some(error) = failure {
            self.store_failed(&error);
        }
        ended.into_iter().for_each(|id| self.drop_client(id));
    }

    fn drop_client(&mut self, client: ClientId) {
        self.forget_client(client);
        self.outputs
            .push_back(Output::Client(ClientCommand::Close { client }));
    }

    fn forget_client(&mut self, client: ClientId) {
        if let Some((address, _)) = self.clients.all.remove(&client) {
            self.clients.hosts.leave(address);
        }
    }
}

//! Which clients have allocations.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::address::ClientAddress;
use crate::lock;

/// Allocations by client.
#[derive(Debug)]
pub(crate) struct Clients {
    most_per_address: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose request is being handled. The `turn` crate handles one datagram after the other, and asks the
    /// authentication handler before it asks for a relay address: so this is who gets the next one.
    asking: Option<(SocketAddr, String)>,
    /// How many relay sockets each client has, and the username that it made them with.
    live: HashMap<SocketAddr, (String, usize)>,
    per_address: HashMap<ClientAddress, usize>,
}

/// One allocation; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    clients: Arc<Clients>,
    client: SocketAddr,
}

impl Clients {
    pub(crate) fn new(most_per_address: usize) -> Self {
        Self {
            most_per_address,
            state: Mutex::default(),
        }
    }

    /// Notes whose request is being handled.
    pub(crate) fn asks(&self, client: SocketAddr, username: &str) {
        lock(&self.state).asking = Some((client, username.to_owned()));
    }

    /// A lease for whoever asks; nothing when they have too many.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut state = lock(&self.state);
        let (client, username) = state.asking.clone()?;
        let count = state.per_address.entry(client.ip().into()).or_default();
        if *count >= self.most_per_address {
            return None;
        }
        *count += 1;
        state.live.entry(client).or_insert((username, 0)).1 += 1;
        Some(Lease {
            clients: Arc::clone(self),
            client,
        })
    }

    /// Whether this client has an allocation.
    pub(crate) fn has_allocation(&self, client: SocketAddr) -> bool {
        lock(&self.state).live.contains_key(&client)
    }

    /// Whether this client has an allocation made with this username.
    pub(crate) fn allocated_as(&self, client: SocketAddr, username: &str) -> bool {
        lock(&self.state)
            .live
            .get(&client)
            .is_some_and(|(name, _)| name == username)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = lock(&self.clients.state);
        if let Some((_, count)) = state.live.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                state.live.remove(&self.client);
            }
        }
        let address = self.client.ip().into();
        if let Some(count) = state.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                state.per_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_counted_per_address_and_given_back() {
        let clients = Arc::new(Clients::new(2));
        assert!(clients.lease().is_none(), "nobody asks");
        let client = |port| SocketAddr::from(([192, 0, 2, 1], port));
        clients.asks(client(1), "a");
        let first = clients.lease().unwrap();
        clients.asks(client(2), "b");
        let _second = clients.lease().unwrap();
        assert!(clients.lease().is_none());
        assert!(clients.allocated_as(client(1), "a") && !clients.allocated_as(client(1), "b"));
        drop(first);
        assert!(!clients.has_allocation(client(1)) && clients.has_allocation(client(2)));
        assert!(clients.lease().is_some());
        clients.asks(SocketAddr::from(([192, 0, 2, 2], 1)), "a");
        assert!(clients.lease().is_some());
    }
}

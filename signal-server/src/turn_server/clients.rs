//! Which clients have allocations, and what they may relay.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sazanami_core::time::Millis;

use crate::address::ClientAddress;
use crate::bucket::KeyedBuckets;
use crate::limits::Limits;
use crate::lock;
use crate::metrics::{Limit, Metrics};

/// Allocations by client.
#[derive(Debug)]
pub(crate) struct Clients {
    most_per_address: usize,
    most_per_credential: usize,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// What each username may still relay. It outlives the allocations: a new one must not bring a new burst.
    bytes: Mutex<KeyedBuckets<Arc<str>>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose request is being handled. The `turn` crate handles one datagram after the other, and asks the
    /// authentication handler before it asks for a relay address: so this is who gets the next one.
    asking: Option<(SocketAddr, Arc<str>)>,
    /// How many relay sockets each client has, and the username that it made them with.
    live: HashMap<SocketAddr, (Arc<str>, usize)>,
    per_address: HashMap<ClientAddress, usize>,
    per_credential: HashMap<Arc<str>, usize>,
}

/// One allocation; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    clients: Arc<Clients>,
    client: SocketAddr,
    username: Arc<str>,
}

impl Clients {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            most_per_address: limits.allocations_per_address,
            most_per_credential: limits.allocations_per_credential,
            metrics,
            state: Mutex::default(),
            bytes: Mutex::new(KeyedBuckets::new(limits.turn_bytes_per_credential)),
        }
    }

    /// Notes whose request is being handled.
    pub(crate) fn asks(&self, client: SocketAddr, username: &str) {
        lock(&self.state).asking = Some((client, username.into()));
    }

    /// A lease for whoever asks; nothing when they have too many.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut state = lock(&self.state);
        let (client, username) = state.asking.clone()?;
        let address = client.ip().into();
        let of_address = state.per_address.get(&address).copied().unwrap_or(0);
        let of_credential = state.per_credential.get(&username).copied().unwrap_or(0);
        for (count, most, limit) in [
            (of_address, self.most_per_address, Limit::AllocationsPerAddress),
            (
                of_credential,
                self.most_per_credential,
                Limit::AllocationsPerCredential,
            ),
        ] {
            if count >= most {
                self.metrics.strike(limit);
                return None;
            }
        }
        state.per_address.insert(address, of_address + 1);
        state
            .per_credential
            .insert(Arc::clone(&username), of_credential + 1);
        state.live.entry(client).or_insert((Arc::clone(&username), 0)).1 += 1;
        self.metrics.turn_allocations.add(1);
        Some(Lease {
            clients: Arc::clone(self),
            client,
            username,
        })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
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
            .is_some_and(|(name, _)| **name == *username)
    }
}

impl Lease {
    /// Whether this many bytes more may be relayed for it.
    pub(crate) fn may_relay(&self, bytes: usize, now: Millis) -> bool {
        let mut buckets = lock(&self.clients.bytes);
        let may = buckets.take_some(Arc::clone(&self.username), bytes as f64, now);
        drop(buckets);
        let metrics = &self.clients.metrics;
        if may {
            metrics.turn_bytes.add(bytes as u64);
        } else {
            metrics.strike(Limit::TurnBytesPerCredential);
        }
        may
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.clients.metrics.turn_ended.add(1);
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
        if let Some(count) = state.per_credential.get_mut(&self.username) {
            *count -= 1;
            if *count == 0 {
                state.per_credential.remove(&self.username);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(limits: Limits) -> Arc<Clients> {
        Arc::new(Clients::new(&limits, Arc::default()))
    }

    fn limits() -> Limits {
        Limits::for_listener(std::net::IpAddr::from([192, 0, 2, 9]))
    }

    #[test]
    fn a_credential_has_so_many_allocations_and_bytes_wherever_it_is_used() {
        let clients = clients(Limits {
            allocations_per_credential: 2,
            turn_bytes_per_credential: crate::Rate::new(1_000.0, 100.0),
            ..limits()
        });
        let lease = |last, username| {
            clients.asks(SocketAddr::from(([192, 0, 2, last], 1)), username);
            clients.lease()
        };
        let first = lease(1, "a").unwrap();
        let second = lease(2, "a").unwrap();
        assert!(lease(3, "a").is_none());
        assert_eq!(clients.metrics().struck(Limit::AllocationsPerCredential), 1);
        let other = lease(3, "b").unwrap();
        assert!(first.may_relay(600, Millis(0)));
        assert!(!second.may_relay(600, Millis(0)));
        assert!(other.may_relay(600, Millis(0)));
        drop((first, second));
        let again = lease(1, "a").unwrap();
        assert!(
            !again.may_relay(600, Millis(0)),
            "a new allocation brings no new burst"
        );
        assert!(again.may_relay(600, Millis(2_000)));
        assert_eq!(clients.metrics().turn_bytes.get(), 1_800);
        assert_eq!(clients.metrics().struck(Limit::TurnBytesPerCredential), 2);
    }

    #[test]
    fn leases_are_counted_per_address_and_given_back() {
        let clients = clients(Limits {
            allocations_per_address: 2,
            ..limits()
        });
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

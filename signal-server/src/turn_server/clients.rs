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

/// Allocations by client, of one kind of transport: the same address and port can be two clients, one of each.
#[derive(Debug)]
pub(crate) struct Clients {
    quotas: Arc<Quotas>,
    state: Mutex<State>,
}

/// What clients of all kinds have together.
#[derive(Debug)]
struct Quotas {
    most_per_address: usize,
    most_per_credential: usize,
    metrics: Arc<Metrics>,
    taken: Mutex<Taken>,
    /// What each username may still relay. It outlives the allocations: a new one must not bring a new burst.
    bytes: Mutex<KeyedBuckets<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Taken {
    per_address: HashMap<ClientAddress, usize>,
    per_credential: HashMap<Arc<str>, usize>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose request is being handled. The `turn` crate handles one datagram after the other, and asks the
    /// authentication handler before it asks for a relay address: so this is who gets the next one.
    asking: Option<(SocketAddr, Arc<str>)>,
    /// How many relay sockets each client has, and the username that it made them with.
    live: HashMap<SocketAddr, (Arc<str>, usize)>,
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
        let quotas = Quotas {
            most_per_address: limits.allocations_per_address,
            most_per_credential: limits.allocations_per_credential,
            metrics,
            taken: Mutex::default(),
            bytes: Mutex::new(KeyedBuckets::new(limits.turn_bytes_per_credential)),
        };
        Self {
            quotas: Arc::new(quotas),
            state: Mutex::default(),
        }
    }

    /// Clients of another kind, with the same quotas for both together.
    pub(crate) fn beside(&self) -> Self {
        Self {
            quotas: Arc::clone(&self.quotas),
            state: Mutex::default(),
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
        self.quotas.take(client.ip().into(), &username)?;
        state.live.entry(client).or_insert((Arc::clone(&username), 0)).1 += 1;
        Some(Lease {
            clients: Arc::clone(self),
            client,
            username,
        })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.quotas.metrics
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

impl Quotas {
    /// Takes one allocation; nothing when there are too many.
    fn take(&self, address: ClientAddress, username: &Arc<str>) -> Option<()> {
        let mut taken = lock(&self.taken);
        let of_address = taken.per_address.get(&address).copied().unwrap_or(0);
        let of_credential = taken.per_credential.get(username).copied().unwrap_or(0);
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
        taken.per_address.insert(address, of_address + 1);
        taken
            .per_credential
            .insert(Arc::clone(username), of_credential + 1);
        self.metrics.turn_allocations.add(1);
        Some(())
    }

    fn give_back(&self, address: ClientAddress, username: &Arc<str>) {
        self.metrics.turn_ended.add(1);
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.per_address.remove(&address);
            }
        }
        if let Some(count) = taken.per_credential.get_mut(username) {
            *count -= 1;
            if *count == 0 {
                taken.per_credential.remove(username);
            }
        }
    }
}

impl Lease {
    pub(crate) fn client(&self) -> SocketAddr {
        self.client
    }

    /// Whether this many bytes more may be relayed for it.
    pub(crate) fn may_relay(&self, bytes: usize, now: Millis) -> bool {
        let mut buckets = lock(&self.clients.quotas.bytes);
        let may = buckets.take_some(Arc::clone(&self.username), bytes as f64, now);
        drop(buckets);
        let metrics = &self.clients.quotas.metrics;
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
        self.clients
            .quotas
            .give_back(self.client.ip().into(), &self.username);
        let mut state = lock(&self.clients.state);
        if let Some((_, count)) = state.live.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                state.live.remove(&self.client);
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
    fn kinds_of_transport_share_quotas_but_no_clients() {
        let udp = clients(Limits {
            allocations_per_address: 2,
            ..limits()
        });
        let tcp = Arc::new(udp.beside());
        let client = SocketAddr::from(([192, 0, 2, 1], 5000));
        udp.asks(client, "a");
        let first = udp.lease().unwrap();
        assert!(tcp.lease().is_none(), "nobody asks there");
        assert!(!tcp.has_allocation(client) && !tcp.allocated_as(client, "a"));
        tcp.asks(client, "b");
        let second = tcp.lease().unwrap();
        assert!(udp.allocated_as(client, "a") && tcp.allocated_as(client, "b"));
        assert!(udp.lease().is_none() && tcp.lease().is_none());
        drop(first);
        assert!(!udp.has_allocation(client) && tcp.has_allocation(client));
        assert!(tcp.lease().is_some());
        drop(second);
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

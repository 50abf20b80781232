//! Range-based set reconciliation (NIP-77, negentropy) over the store's items.

use std::sync::Arc;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use nostr::prelude::{EventId, Filter};

use crate::store::{Store, StoreError};

/// Bytes in one reconciliation message; in hex it stays well below a session's largest message.
const FRAME_LIMIT: u64 = 60_000;

/// A snapshot of a set, shared by the sessions that reconcile it.
pub type Set = Arc<NegentropyStorageVector>;

/// The sets of the present state of the store, so that ten sessions that start at once read it once.
#[derive(Debug, Default)]
pub struct ReconcileSets {
    version: u64,
    cached: Vec<(u64, String, Set)>,
}

/// Filters whose sets are kept.
const MAX_CACHED: usize = 4;

impl ReconcileSets {
    /// The store has changed: sets from before are out of date.
    pub fn changed(&mut self) {
        self.version += 1;
        self.cached.clear();
    }

    /// The set of a filter.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&mut self, filter: &Filter, store: &dyn Store) -> Result<Set, StoreError> {
        let key = filter.as_json();
        if let Some((_, _, set)) = self
            .cached
            .iter()
            .find(|(v, k, _)| *v == self.version && *k == key)
        {
            return Ok(set.clone());
        }
        let items = store.items(filter)?;
        let mut vector = NegentropyStorageVector::with_capacity(items.len());
        for item in items {
            vector
                .insert(item.created_at, Id::from_byte_array(item.id.to_bytes()))
                .expect("it is not sealed yet");
        }
        vector.seal().expect("it is sealed once");
        let set = Arc::new(vector);
        if self.cached.len() >= MAX_CACHED {
            self.cached.remove(0);
        }
        self.cached.push((self.version, key, set.clone()));
        Ok(set)
    }
}

/// A peer's reconciliation message made no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reconciliation failed: {0}")]
pub struct ReconcileError(String);

fn protocol(set: &NegentropyStorageVector) -> Negentropy<'_, NegentropyStorageVector> {
    Negentropy::borrowed(set, FRAME_LIMIT).expect("the limit is above negentropy's smallest")
}

/// The first message for a set.
///
/// # Errors
/// Never with a sealed set; the library's signature has it.
pub fn initiate(set: &NegentropyStorageVector) -> Result<Vec<u8>, ReconcileError> {
    protocol(set)
        .initiate()
        .map_err(|e| ReconcileError(e.to_string()))
}

/// The answer to a message of the side that asks.
///
/// # Errors
/// When the message is none.
pub fn respond(set: &NegentropyStorageVector, message: &[u8]) -> Result<Vec<u8>, ReconcileError> {
    protocol(set)
        .reconcile(message)
        .map_err(|e| ReconcileError(e.to_string()))
}

/// What the side that asks learns from an answer: ids to fetch, and the next message, if it is not over.
///
/// # Errors
/// When the message is none.
pub fn learn(
    set: &NegentropyStorageVector,
    message: &[u8],
) -> Result<(Vec<EventId>, Option<Vec<u8>>), ReconcileError> {
    let mut protocol = protocol(set);
    protocol.set_initiator();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let next = protocol
        .reconcile_with_ids(message, &mut have, &mut need)
        .map_err(|e| ReconcileError(e.to_string()))?;
    Ok((
        need.iter()
            .map(|id| EventId::from_byte_array(*id.as_bytes()))
            .collect(),
        next,
    ))
}

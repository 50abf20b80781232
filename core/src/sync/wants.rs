//! What a peer wants of the others.

use nostr::prelude::Filter;

use crate::social::KINDS;

/// What a session subscribes to and reconciles.
#[derive(Clone, Debug, PartialEq)]
pub struct Wants {
    /// New events, one subscription each.
    pub live: Vec<Filter>,
    /// Stored events, reconciled one after the other; what the last one finds is fetched first.
    pub history: Vec<Filter>,
}

impl Wants {
    /// Everything of everybody.
    pub fn everything() -> Self {
        Self {
            live: vec![Filter::new().kinds(KINDS)],
            history: vec![Filter::new().kinds(KINDS)],
        }
    }
}

//! What this node's sessions ask for, kept in step with whom the person follows and what the store keeps.

use std::time::Duration;

use nostr::prelude::{Kind, PublicKey};

use super::Node;
use crate::store::{Changes, Store};
use crate::sync::Wants;
use crate::time::Millis;

/// Between two looks at the rings when only others have changed their lists: each change is told to every link.
const INTERVAL: Duration = Duration::from_secs(60);
/// At which it is looked at anyway: the days pass.
const DAILY: Duration = Duration::from_secs(3_600);

/// What is wanted at present.
#[derive(Debug)]
pub(super) struct Wanted {
    wants: Wants,
    looked: Millis,
    /// The person of this device has changed something: at once.
    own: bool,
    others: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            wants: Wants::everything(),
            looked: Millis::default(),
            own: true,
            others: false,
        }
    }
}

impl Wanted {
    pub(super) fn wants(&self) -> &Wants {
        &self.wants
    }

    /// The identity or a budget is another one.
    pub(super) fn refresh(&mut self) {
        self.own = true;
    }

    /// Follow lists make the rings.
    pub(super) fn changed(&mut self, changes: &Changes, me: Option<PublicKey>) {
        for entry in changes.added.iter().chain(&changes.removed) {
            if entry.kind == Kind::ContactList {
                self.own |= me == Some(entry.author);
                self.others = true;
            }
        }
    }

    fn is_due(&self, now: Millis) -> bool {
        let passed = now.since(self.looked);
        self.own || self.others && passed >= INTERVAL || passed >= DAILY
    }
}

impl<S: Store> Node<S> {
    /// Looks at the rings when something has changed, and tells the sessions.
    pub(super) fn tend_wants(&mut self, now: Millis) {
        let Some(me) = self.me.as_ref().map(|me| me.public_key()) else {
            return;
        };
        if !self.wanted.is_due(now) {
            return;
        }
        (self.wanted.own, self.wanted.others, self.wanted.looked) = (false, false, now);
        let wants = Wants::of(&self.store, me, now).unwrap_or_else(|error| {
            tracing::warn!(%error, "the rings are not known: everything is wanted");
            Wants::everything()
        });
        if wants == self.wanted.wants {
            return;
        }
        self.wanted.wants = wants;
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            let wants = self.wanted.wants.clone();
            self.with_session(id, now, |session, env| session.want(wants, env));
        }
    }
}

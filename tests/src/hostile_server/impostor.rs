//! A machine in the middle: for every session it has a key of its own, under which it appears to the others. What is
//! sealed to that key it opens, and seals anew to the one behind it; with the proof that was in it, or with one of its
//! own person.

use std::collections::BTreeMap;

use nostr::prelude::Keys;
use rand::RngExt;
use rand::rngs::StdRng;
use sazanami_core::identity;
use sazanami_core::signaling::introduction::{self, Body, Introduction};
use sazanami_core::signaling::{PeerSignal, ServerMessage, SessionId};
use sazanami_core::time::Millis;

pub(super) struct Impostor {
    person: Keys,
    /// What each real session is shown as.
    masks: BTreeMap<SessionId, Keys>,
    faces: BTreeMap<SessionId, SessionId>,
    /// Whether it puts its own proofs into what these two say to each other, by the smaller session first.
    forges: BTreeMap<[SessionId; 2], bool>,
    opened: Vec<Introduction>,
}

impl Impostor {
    pub(super) fn new(person: Keys) -> Self {
        Self {
            person,
            masks: BTreeMap::new(),
            faces: BTreeMap::new(),
            forges: BTreeMap::new(),
            opened: Vec::new(),
        }
    }

    /// A session has appeared; from now on it is shown as this key.
    pub(super) fn meet(&mut self, session: SessionId, mask: Keys) {
        let mask = self.masks.entry(session).or_insert(mask);
        self.faces.insert(SessionId(mask.public_key()), session);
    }

    pub(super) fn is_mask(&self, session: SessionId) -> bool {
        self.faces.contains_key(&session)
    }

    pub(super) fn mask_of(&self, session: SessionId) -> Option<SessionId> {
        self.masks.get(&session).map(|keys| SessionId(keys.public_key()))
    }

    pub(super) fn opened(&self) -> &[Introduction] {
        &self.opened
    }

    /// Opens what a real session has sealed to a mask, and seals it to the one behind that.
    pub(super) fn pass_on(
        &mut self,
        from: SessionId,
        to: SessionId,
        sealed: &str,
        now: Millis,
        rng: &mut StdRng,
    ) -> Option<(SessionId, ServerMessage)> {
        let receiver = *self.faces.get(&to)?;
        let mut opened = introduction::open(sealed, self.masks.get(&receiver)?, from, now).ok()?;
        self.opened.push(opened.clone());
        let pair = [from.min(receiver), from.max(receiver)];
        if matches!(opened.body, Body::Signal(PeerSignal::Offer(_))) {
            self.forges.insert(pair, rng.random_bool(0.7));
        }
        let mask = self.masks.get(&from)?;
        let shown = SessionId(mask.public_key());
        if opened.proof.is_some() && self.forges.get(&pair) == Some(&true) {
            let challenge = opened.from_attempt.to_string();
            let proof = identity::prove(&self.person, shown, receiver, &challenge, now);
            opened.proof = Some(Box::new(proof));
        }
        let sealed = introduction::seal(&opened, mask, receiver).ok()?;
        Some((receiver, ServerMessage::Relayed { from: shown, sealed }))
    }
}

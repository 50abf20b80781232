//! Introductions: sealed offers, answers and candidates that peers send each other through signal servers.

use std::collections::VecDeque;

use nostr::prelude::PublicKey;
use rand::RngExt;

use super::{Node, Output, ServerId};
use crate::identity;
use crate::mesh::{Admission, LinkBudget};
use crate::signaling::introduction::{self, Body, Introduction, LIFETIME_MS};
use crate::signaling::{PeerSignal, SessionId};
use crate::social::Ring;
use crate::store::Store;
use crate::time::Millis;
use crate::transport::candidates::count;
use crate::transport::{LinkId, TransportCommand};

/// Ended attempts of a peer that are remembered, so that a replayed offer of one does nothing.
const MAX_RETIRED: usize = 4;

/// Remote candidates that the transport is given for one description. Each is an address that packets are sent to: a
/// device has a dozen, and a peer that names a thousand makes others send for it.
pub(super) const MAX_CANDIDATES: usize = 32;

/// Attempts of the other side that are over, newest last.
#[derive(Debug, Default)]
pub(super) struct Retired(VecDeque<(SessionId, u64)>);

impl Retired {
    pub(super) fn add(&mut self, peer: SessionId, attempt: u64) {
        if self.0.len() >= MAX_RETIRED * LinkBudget::Full.most() {
            self.0.pop_front();
        }
        self.0.push_back((peer, attempt));
    }

    fn contains(&self, peer: SessionId, attempt: u64) -> bool {
        self.0.contains(&(peer, attempt))
    }
}

impl<S: Store> Node<S> {
    pub(super) fn introduced(&mut self, at: ServerId, from: SessionId, sealed: &str, now: Millis) {
        if self.me.is_none() || self.mesh.is_banned(&from.0, now) {
            return;
        }
        let introduction = match introduction::open(sealed, self.session_keys(), from, self.network_time(now))
        {
            Ok(introduction) => introduction,
            Err(error) => {
                tracing::debug!(%error, "an introduction was not accepted");
                return;
            }
        };
        self.met(at, &[from]);
        let signal = match introduction.body {
            Body::Signal(ref signal) => signal.clone(),
            Body::Full | Body::NoRelay => return self.refused(from, introduction.to_attempt, now),
        };
        if let PeerSignal::Offer(sdp) | PeerSignal::Answer(sdp) = &signal
            && count(sdp) > MAX_CANDIDATES
        {
            return;
        }
        let is_offer = matches!(signal, PeerSignal::Offer(_));
        let person = if matches!(signal, PeerSignal::Candidate { .. }) {
            None
        } else {
            match self.introduced_person(from, &introduction, now) {
                Some(person) => Some(person),
                None => return,
            }
        };
        let Some(mut id) = self.link_for(from, person, &introduction, is_offer, now) else {
            return;
        };
        let is_new = |link: &super::links::Link| {
            // Each server may bring them in another order, and drop some: candidates do not make descriptions old.
            introduction.sequence > link.described && !link.candidates.contains(&introduction.sequence)
        };
        if !self.links.get(&id).is_some_and(is_new) {
            return;
        }
        if let Some(person) = person
            && !self.agrees_with_route(id, &person, now)
        {
            // The server named somebody else where a friend is awaited. They may still come in as who they are.
            self.drop_link(id, now, true);
            self.mesh.set_ring(from, Ring::Stranger);
            let again = is_offer.then(|| self.link_for(from, Some(person), &introduction, is_offer, now));
            match again.flatten() {
                Some(other) => id = other,
                None => return,
            }
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if person.is_some()
            && let (Some(_), Some(session)) = (&link.repair, &mut link.session)
        {
            // It looks for a path as well: so it is there.
            session.vouched(now);
        }
        if matches!(signal, PeerSignal::Candidate { .. }) {
            if link.candidates.len() >= MAX_CANDIDATES {
                return;
            }
            link.candidates.insert(introduction.sequence);
        } else {
            // A description begins a new generation: an ICE restart brings its own. Those that overtook it are its own too.
            link.described = introduction.sequence;
            link.candidates
                .retain(|sequence| *sequence > introduction.sequence);
        }
        link.remote_attempt = Some(introduction.from_attempt);
        link.remote_expires = introduction.expires;
        link.person = person.or(link.person);
        let met_by_chance = !link.incoming && link.session.is_none();
        if person.is_some() && met_by_chance && self.shorten(id, now) {
            return;
        }
        self.outputs
            .push_back(Output::Transport(TransportCommand::Signal { link: id, signal }));
        self.network_changed = true;
    }

    /// The person that a description's introduction proves; `None` when it does not, or they are kept away.
    fn introduced_person(
        &self,
        from: SessionId,
        introduction: &Introduction,
        now: Millis,
    ) -> Option<PublicKey> {
        let proof = introduction.proof.as_deref()?;
        let challenge = introduction.from_attempt.to_string();
        match identity::check_proof(proof, from, self.session_id(), &challenge, self.network_time(now)) {
            Ok(person) if self.mesh.is_banned(&person, now) => None,
            Ok(person) => Some(person),
            Err(reason) => {
                tracing::debug!(reason, "an introduction proves nobody");
                None
            }
        }
    }

    /// The link that an introduction belongs to; a new one for a new offer.
    fn link_for(
        &mut self,
        from: SessionId,
        person: Option<PublicKey>,
        introduction: &Introduction,
        is_offer: bool,
        now: Millis,
    ) -> Option<LinkId> {
        if let Some(id) = self.by_session.get(&from).copied() {
            let link = self.links.get(&id)?;
            if introduction
                .to_attempt
                .is_some_and(|attempt| attempt != link.attempt)
            {
                return None;
            }
            match link.remote_attempt {
                Some(known) if known == introduction.from_attempt => return Some(id),
                // A late candidate of an older attempt must not be taken for this one's.
                None if is_offer || introduction.to_attempt.is_some() => return Some(id),
                None => return None,
                // Withheld by the server and delivered late: an older attempt does not end a newer one.
                Some(_) if introduction.expires <= link.remote_expires => return None,
                Some(_) if !is_offer || self.retired.contains(from, introduction.from_attempt) => {
                    return None;
                }
                Some(_) => {}
            }
            // The other side has started anew: so does this one.
            self.drop_link(id, now, true);
        }
        if !is_offer
            || introduction.to_attempt.is_some()
            || self.retired.contains(from, introduction.from_attempt)
        {
            return None;
        }
        let Some(telling) = person.and_then(|person| self.way_to_proven(&person)) else {
            self.say_no(Body::NoRelay, from, introduction.from_attempt, now);
            return None;
        };
        let ring = self.ring_for_link(person, None);
        match self
            .mesh
            .admit(self.counted_links(), ring, introduction.links, now)
        {
            Admission::Accept => {}
            Admission::Displace => {
                if self.links.len() >= self.mesh.budget().most() {
                    self.make_room(None, now);
                }
            }
            Admission::Full => {
                self.say_no(Body::Full, from, introduction.from_attempt, now);
                return None;
            }
        }
        Some(self.open_link(from, telling, false, now))
    }

    /// The other side has no room, or no way.
    fn refused(&mut self, from: SessionId, attempt: Option<u64>, now: Millis) {
        if let Some(id) = self.by_session.get(&from).copied()
            && let Some(link) = self.links.get(&id)
            && link.session.is_none()
            && attempt == Some(link.attempt)
        {
            self.drop_link(id, now, true);
        }
    }

    fn say_no(&mut self, why: Body, to: SessionId, to_attempt: u64, now: Millis) {
        let introduction = Introduction {
            from_attempt: self.rng.random(),
            to_attempt: Some(to_attempt),
            sequence: 1,
            expires: Millis(self.network_time(now).0 + LIFETIME_MS),
            proof: None,
            links: self.links.len(),
            body: why,
        };
        self.send_introduction(&introduction, to);
    }

    pub(super) fn introduce(&mut self, id: LinkId, signal: PeerSignal, now: Millis) {
        if self.takes_by_hand(id, &signal, now) {
            return;
        }
        let (own, links) = (self.session_id(), self.links.len().saturating_sub(1));
        let now = self.network_time(now);
        let Some(signal) = self.tellable(id, signal) else {
            return;
        };
        let (Some(link), Some(me)) = (self.links.get_mut(&id), &self.me) else {
            return;
        };
        link.sent += 1;
        let challenge = link.attempt.to_string();
        let describes = !matches!(signal, PeerSignal::Candidate { .. });
        let introduction = Introduction {
            from_attempt: link.attempt,
            to_attempt: link.remote_attempt,
            sequence: link.sent,
            expires: Millis(now.0 + LIFETIME_MS),
            proof: describes.then(|| Box::new(identity::prove(me, own, link.peer, &challenge, now))),
            links,
            body: Body::Signal(signal),
        };
        let peer = link.peer;
        self.send_introduction(&introduction, peer);
    }

    fn send_introduction(&mut self, introduction: &Introduction, to: SessionId) {
        match introduction::seal(introduction, self.session_keys(), to) {
            Ok(sealed) => self.relay(to, sealed),
            Err(error) => tracing::warn!(%error, "an introduction cannot be sealed"),
        }
    }
}

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A peer connection that behaves as WebRTC does: it rejects what its signalling state does not allow.
struct Peer {
    negotiation: Negotiation,
    state: State,
    /// The offer that the current pair of descriptions grew from.
    agreed: Option<String>,
    local_offer: String,
    remote_offer: String,
    candidates: usize,
    made: usize,
    name: &'static str,
}

impl Peer {
    fn new(name: &'static str, polite: bool) -> Self {
        Self {
            negotiation: Negotiation::new(polite),
            state: State::Stable,
            agreed: None,
            local_offer: String::new(),
            remote_offer: String::new(),
            candidates: 0,
            made: 0,
            name,
        }
    }

    /// Carries out one action; true when there was one.
    fn step(&mut self, wire: &mut VecDeque<PeerSignal>) -> bool {
        let Some(action) = self.negotiation.poll() else {
            return false;
        };
        let outcome = match action {
            Action::Send(signal) => {
                let is_description = !matches!(signal, PeerSignal::Candidate { .. });
                wire.push_back(signal);
                if is_description {
                    self.negotiation.handle(Input::LocalCandidate(candidate()));
                }
                return true;
            }
            Action::Fail(reason) => panic!("{}: {reason}", self.name),
            Action::Offer => {
                assert_eq!(self.state, State::Stable, "{} offers", self.name);
                self.state = State::HaveLocalOffer;
                self.made += 1;
                self.local_offer = format!("{}{}", self.name, self.made);
                Outcome::Local(self.local_offer.clone())
            }
            Action::Answer => {
                assert_eq!(self.state, State::HaveRemoteOffer, "{} answers", self.name);
                self.state = State::Stable;
                self.agreed = Some(self.remote_offer.clone());
                Outcome::Local(self.remote_offer.clone())
            }
            Action::Rollback => {
                assert_eq!(self.state, State::HaveLocalOffer, "{} rolls back", self.name);
                self.state = State::Stable;
                Outcome::Done
            }
            Action::SetRemote(PeerSignal::Offer(sdp)) => {
                assert_eq!(self.state, State::Stable, "{} takes an offer", self.name);
                self.state = State::HaveRemoteOffer;
                self.remote_offer = sdp;
                Outcome::Done
            }
            Action::SetRemote(PeerSignal::Answer(sdp)) => {
                assert_eq!(self.state, State::HaveLocalOffer, "{} takes an answer", self.name);
                assert_eq!(sdp, self.local_offer, "the answer fits the offer");
                self.state = State::Stable;
                self.agreed = Some(sdp);
                Outcome::Done
            }
            Action::AddCandidate(_) => {
                self.candidates += 1;
                Outcome::Done
            }
            Action::SetRemote(PeerSignal::Candidate { .. }) => unreachable!("a candidate is no description"),
            Action::RestartIce => Outcome::Done,
        };
        self.negotiation.finished(outcome);
        true
    }
}

fn candidate() -> PeerSignal {
    PeerSignal::Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: None,
        sdp_m_line_index: Some(0),
    }
}

proptest! {
    /// Whatever the interleaving of offers, restarts, steps and deliveries: both ends agree on one offer.
    #[test]
    fn both_sides_always_agree(choices in prop::collection::vec(0u8..8, 0..80)) {
        let (mut a, mut b) = (Peer::new("a", false), Peer::new("b", true));
        let (mut to_a, mut to_b) = (VecDeque::new(), VecDeque::new());
        a.negotiation.handle(Input::Needed);
        for choice in choices {
            match choice {
                0 => b.negotiation.handle(Input::Needed),
                1 => a.negotiation.handle(Input::Restart),
                2 | 3 => { a.step(&mut to_b); }
                4 | 5 => { b.step(&mut to_a); }
                6 => if let Some(s) = to_a.pop_front() { a.negotiation.handle(Input::Remote(s)); },
                _ => if let Some(s) = to_b.pop_front() { b.negotiation.handle(Input::Remote(s)); },
            }
        }
        for _ in 0..2_000 {
            let worked = a.step(&mut to_b) | b.step(&mut to_a);
            let (for_a, for_b) = (to_a.pop_front(), to_b.pop_front());
            if !worked && for_a.is_none() && for_b.is_none() { break; }
            if let Some(s) = for_a { a.negotiation.handle(Input::Remote(s)); }
            if let Some(s) = for_b { b.negotiation.handle(Input::Remote(s)); }
        }
        prop_assert_eq!(a.state, State::Stable);
        prop_assert_eq!(b.state, State::Stable);
        prop_assert!(a.agreed.is_some());
        prop_assert_eq!(&a.agreed, &b.agreed);
        prop_assert!(a.candidates > 0 && b.candidates > 0);
    }
}

#[test]
fn candidates_that_come_first_wait_for_the_description() {
    let mut b = Negotiation::new(true);
    b.handle(Input::Remote(candidate()));
    assert_eq!(b.poll(), None);
    b.handle(Input::Remote(PeerSignal::Offer("x".into())));
    assert_eq!(b.poll(), Some(Action::SetRemote(PeerSignal::Offer("x".into()))));
    b.finished(Outcome::Done);
    assert_eq!(b.poll(), Some(Action::Answer));
    b.finished(Outcome::Local("y".into()));
    assert_eq!(b.poll(), Some(Action::Send(PeerSignal::Answer("y".into()))));
    assert_eq!(b.poll(), Some(Action::AddCandidate(candidate())));
}

#[test]
fn a_flood_fails_the_connection_and_takes_no_more() {
    let mut b = Negotiation::new(true);
    for _ in 0..10_000 {
        b.handle(Input::Remote(PeerSignal::Answer("x".into())));
    }
    assert!(matches!(b.poll(), Some(Action::Fail(_))));
    assert_eq!(b.poll(), None);
}

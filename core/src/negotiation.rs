//! Perfect negotiation (WebRTC 1.0 §10.7, MDN "Perfect negotiation") as a state machine that both transports drive.
//!
//! A transport gives it [`Input`]s and carries out the [`Action`]s it hands out, one at a time: an action that takes
//! time must be answered by [`Negotiation::finished`] before the next one comes. So a late promise can never meet a
//! state that has moved on, which is what makes glare safe: when both sides offer at once, the impolite one ignores
//! the other's offer and the polite one rolls its own back.

use std::collections::VecDeque;

use crate::signaling::PeerSignal;

/// Candidates kept while there is no remote description; an honest peer sends about ten.
const MAX_PENDING_CANDIDATES: usize = 64;
/// Signals kept while an action is under way.
const MAX_QUEUE: usize = 128;

/// What happens at a peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// This side has something to negotiate.
    Needed,
    /// The path broke: gather new candidates and offer again.
    Restart,
    /// The other side's offer, answer or candidate.
    Remote(PeerSignal),
    /// A candidate that this side has gathered.
    LocalCandidate(PeerSignal),
}

/// What the transport does to its peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `createOffer` and `setLocalDescription`; finish with [`Outcome::Local`].
    Offer,
    /// `createAnswer` and `setLocalDescription`; finish with [`Outcome::Local`].
    Answer,
    /// `setLocalDescription({type: "rollback"})`; finish with [`Outcome::Done`].
    Rollback,
    /// `setRemoteDescription` with this offer or answer; finish with [`Outcome::Done`].
    SetRemote(PeerSignal),
    /// `addIceCandidate`; finish with [`Outcome::Done`].
    AddCandidate(PeerSignal),
    /// `restartIce`; finish with [`Outcome::Done`].
    RestartIce,
    /// Carry this to the other side; not to be finished.
    Send(PeerSignal),
    /// The negotiation cannot go on: close the connection; not to be finished.
    Fail(String),
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The local description that was set, as SDP.
    Local(String),
    /// It worked.
    Done,
    /// It failed, in the platform's words.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Stable,
    HaveLocalOffer,
    HaveRemoteOffer,
}

/// The negotiation of one peer connection.
#[derive(Debug)]
pub struct Negotiation {
    polite: bool,
    state: State,
    needed: bool,
    ignoring: bool,
    has_remote: bool,
    failed: bool,
    queue: VecDeque<Input>,
    pending: Vec<PeerSignal>,
    actions: VecDeque<Action>,
    under_way: Option<Action>,
}

impl Negotiation {
    /// A new connection's negotiation. Exactly one of the two peers is polite.
    pub fn new(polite: bool) -> Self {
        Self {
            polite,
            state: State::Stable,
            needed: false,
            ignoring: false,
            has_remote: false,
            failed: false,
            queue: VecDeque::new(),
            pending: Vec::new(),
            actions: VecDeque::new(),
            under_way: None,
        }
    }

    /// Takes an input. Past 128 waiting ones the connection fails: no honest peer gets there.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::LocalCandidate(candidate) => self.actions.push_back(Action::Send(candidate)),
            input if self.queue.len() < MAX_QUEUE => self.queue.push_back(input),
            _ => self.fail("too many signals at once".to_owned()),
        }
    }

    /// The next thing to do, if nothing is under way.
    pub fn poll(&mut self) -> Option<Action> {
        loop {
            if self.under_way.is_some() {
                // What needs no answer may still go out.
                let at = self
                    .actions
                    .iter()
                    .position(|a| matches!(a, Action::Send(_) | Action::Fail(_)))?;
                return self.actions.remove(at);
            }
            if let Some(action) = self.actions.pop_front() {
                if !matches!(action, Action::Send(_) | Action::Fail(_)) {
                    self.under_way = Some(action.clone());
                }
                return Some(action);
            }
            if self.failed {
                return None;
            }
            if let Some(input) = self.queue.pop_front() {
                self.take(input);
            } else if self.needed && self.state == State::Stable {
                self.needed = false;
                self.actions.push_back(Action::Offer);
            } else {
                return None;
            }
        }
    }

    /// Tells how the action that [`Negotiation::poll`] handed out ended.
    pub fn finished(&mut self, outcome: Outcome) {
        let Some(action) = self.under_way.take() else {
            return;
        };
        match (action, outcome) {
            // A candidate of an offer that was ignored or rolled back fits nothing, and that is fine.
            (Action::AddCandidate(_), _) => {}
            (_, Outcome::Failed(reason)) => self.fail(reason),
            (Action::Offer, Outcome::Local(sdp)) => {
                self.state = State::HaveLocalOffer;
                self.actions.push_front(Action::Send(PeerSignal::Offer(sdp)));
            }
            (Action::Answer, Outcome::Local(sdp)) => {
                self.state = State::Stable;
                self.actions.push_front(Action::Send(PeerSignal::Answer(sdp)));
            }
            (Action::Rollback, _) => self.state = State::Stable,
            (Action::SetRemote(description), _) => {
                self.has_remote = true;
                self.ignoring = false;
                if matches!(description, PeerSignal::Offer(_)) {
                    self.state = State::HaveRemoteOffer;
                    self.actions.push_front(Action::Answer);
                } else {
                    self.state = State::Stable;
                }
                self.actions
                    .extend(self.pending.drain(..).map(Action::AddCandidate));
            }
            _ => {}
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Needed => self.needed = true,
            Input::Restart => {
                self.actions.push_back(Action::RestartIce);
                self.needed = true;
            }
            Input::Remote(offer @ PeerSignal::Offer(_)) => {
                let collision = self.state == State::HaveLocalOffer;
                if collision && !self.polite {
                    self.ignoring = true;
                    return;
                }
                if collision {
                    self.actions.push_back(Action::Rollback);
                }
                // The other side's offer negotiates what this side wanted to.
                self.needed = false;
                self.actions.push_back(Action::SetRemote(offer));
            }
            Input::Remote(answer @ PeerSignal::Answer(_)) => {
                if self.state == State::HaveLocalOffer {
                    self.actions.push_back(Action::SetRemote(answer));
                }
            }
            Input::Remote(candidate @ PeerSignal::Candidate { .. }) => {
                if self.ignoring {
                } else if self.has_remote {
                    self.actions.push_back(Action::AddCandidate(candidate));
                } else if self.pending.len() < MAX_PENDING_CANDIDATES {
                    self.pending.push(candidate);
                }
            }
            Input::LocalCandidate(candidate) => self.actions.push_back(Action::Send(candidate)),
        }
    }

    fn fail(&mut self, reason: String) {
        if !self.failed {
            self.failed = true;
            self.queue.clear();
            self.actions.clear();
            self.actions.push_back(Action::Fail(reason));
        }
    }
}

#[cfg(test)]
mod tests;

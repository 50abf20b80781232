//! Descriptions and candidates of a hostile peer, with the platform failing at any point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::negotiation::{Action, Input, Negotiation, Outcome};
use sazanami_core::signaling::PeerSignal;

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Needed,
    Restart,
    Offer(String),
    Answer(String),
    Candidate(String, Option<String>, Option<u16>, u8),
    Local(String),
    Poll(u8),
    Finished(Ending),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Ending {
    Local(String),
    Done,
    Failed,
}

/// More than an honest negotiation ever waits with: the limits inside are smaller.
const MOST_WAITING: usize = 1_024;

fuzz_target!(|input: (bool, Vec<Step>)| {
    let (polite, steps) = input;
    let mut negotiation = Negotiation::new(polite);
    let mut under_way = false;
    let mut failed = false;
    for step in steps.into_iter().take(512) {
        match step {
            Step::Needed => negotiation.handle(Input::Needed),
            Step::Restart => negotiation.handle(Input::Restart),
            Step::Offer(sdp) => negotiation.handle(Input::Remote(PeerSignal::Offer(sdp))),
            Step::Answer(sdp) => negotiation.handle(Input::Remote(PeerSignal::Answer(sdp))),
            Step::Candidate(candidate, sdp_mid, sdp_m_line_index, times) => {
                for _ in 0..times {
                    negotiation.handle(Input::Remote(candidate_of(
                        &candidate,
                        &sdp_mid,
                        sdp_m_line_index,
                    )));
                }
            }
            Step::Local(candidate) => {
                negotiation.handle(Input::LocalCandidate(candidate_of(&candidate, &None, None)));
            }
            Step::Poll(times) => {
                for _ in 0..times {
                    poll(&mut negotiation, &mut under_way, &mut failed);
                }
            }
            Step::Finished(ending) => {
                negotiation.finished(match ending {
                    Ending::Local(sdp) => Outcome::Local(sdp),
                    Ending::Done => Outcome::Done,
                    Ending::Failed => Outcome::Failed("the platform refused".to_owned()),
                });
                under_way = false;
            }
        }
    }
    // Left to itself it comes to rest.
    let mut rounds = 0;
    while poll(&mut negotiation, &mut under_way, &mut failed) || under_way {
        if under_way {
            negotiation.finished(Outcome::Local("v=0".to_owned()));
            under_way = false;
        }
        rounds += 1;
        assert!(rounds < 4 * MOST_WAITING, "it never comes to rest");
    }
});

fn candidate_of(candidate: &str, sdp_mid: &Option<String>, sdp_m_line_index: Option<u16>) -> PeerSignal {
    PeerSignal::Candidate {
        candidate: candidate.to_owned(),
        sdp_mid: sdp_mid.clone(),
        sdp_m_line_index,
    }
}

/// Takes one action; false when there is none.
fn poll(negotiation: &mut Negotiation, under_way: &mut bool, failed: &mut bool) -> bool {
    match negotiation.poll() {
        None => false,
        Some(Action::Send(_)) => true,
        Some(Action::Fail(_)) => {
            assert!(!*failed, "it fails twice");
            *failed = true;
            true
        }
        Some(action) => {
            assert!(!*under_way, "{action:?} while another action is under way");
            *under_way = true;
            true
        }
    }
}

//! Two people connect without any server, by texts that they give each other.

mod crowd;

use std::time::Duration;

use crowd::seeded;
use sazanami_core::node::api::{Command, Meeting, Reply, RequestError};
use sazanami_core::sim::{Conditions, PeerId, Sim};

fn meeting(sim: &mut Sim, peer: PeerId, command: Command) -> Result<Meeting, RequestError> {
    match sim.request(peer, command)? {
        Reply::Meeting(meeting) => Ok(meeting),
        other => panic!("{other:?}"),
    }
}

fn now(sim: &mut Sim, peer: PeerId) -> Meeting {
    meeting(sim, peer, Command::Meeting).expect("this can always be asked")
}

/// Two peers that reach each other and no server.
fn alone(seed: u64) -> (Sim, PeerId, PeerId) {
    let mut sim = Sim::new(seed, Conditions::default());
    sim.divide(|_| 0, Some(&[]));
    let (a, b) = (sim.add("海"), sim.add("岬"));
    sim.run_for(Duration::from_secs(60));
    assert!(sim.network(a).peers.is_empty() && sim.network(b).peers.is_empty());
    (sim, a, b)
}

fn invitation(sim: &mut Sim, peer: PeerId) -> String {
    assert_eq!(meeting(sim, peer, Command::Invite), Ok(Meeting::Preparing));
    sim.run_for(Duration::from_secs(8));
    match now(sim, peer) {
        Meeting::Invitation { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

fn reply(sim: &mut Sim, peer: PeerId, invitation: String) -> String {
    assert_eq!(
        meeting(sim, peer, Command::Meet(invitation)),
        Ok(Meeting::Preparing)
    );
    sim.run_for(Duration::from_secs(8));
    match now(sim, peer) {
        Meeting::Reply { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_texts_connect_and_posts_travel() {
    seeded(51, |seed| {
        let (mut sim, a, b) = alone(seed);
        let note = sim.post(a, "だれもいない海");
        let invitation = invitation(&mut sim, a);
        // People are slow.
        sim.run_for(Duration::from_secs(180));
        let reply = reply(&mut sim, b, invitation);
        sim.run_for(Duration::from_secs(180));
        meeting(&mut sim, a, Command::Meet(reply)).expect("it fits");
        assert!(sim.run_until_holds(Duration::from_secs(20), |sim| sim.has(b, &note)));
        let (key_a, key_b) = (sim.key(a), sim.key(b));
        assert_eq!(now(&mut sim, a), Meeting::Connected(Some(key_b)));
        assert_eq!(now(&mut sim, b), Meeting::Connected(Some(key_a)));
        sim.run_for(Duration::from_secs(900));
        assert_eq!(sim.network(a).peers.len(), 1, "and the link stays");
    });
}

#[test]
fn texts_that_do_not_fit_are_refused_in_words() {
    seeded(52, |seed| {
        let (mut sim, a, b) = alone(seed);
        let c = sim.add("沖");
        let meet = |sim: &mut Sim, peer, text: &str| meeting(sim, peer, Command::Meet(text.to_owned()));
        assert_eq!(
            meet(&mut sim, a, "こんにちは"),
            Err(RequestError::NotAnInvitation)
        );
        let first = invitation(&mut sim, a);
        assert_eq!(meet(&mut sim, a, &first), Err(RequestError::OwnInvitation));
        let cut = &first[..first.len() - 20];
        assert!(meet(&mut sim, b, cut).is_err());
        let answer = reply(&mut sim, b, first.clone());
        assert_eq!(meet(&mut sim, c, &answer), Err(RequestError::NotForThisDevice));
        // A new invitation makes the reply to the old one worthless.
        sim.request(a, Command::EndMeeting).expect("it fits");
        assert_eq!(now(&mut sim, a), Meeting::None);
        let second = invitation(&mut sim, a);
        assert_eq!(meet(&mut sim, a, &answer), Err(RequestError::NotForThisDevice));
        let answer = reply(&mut sim, c, second.clone());
        meet(&mut sim, a, &answer).expect("it fits");
        sim.run_for(Duration::from_secs(10));
        assert!(matches!(now(&mut sim, a), Meeting::Connected(Some(_))));
        assert_eq!(
            meet(&mut sim, a, &answer),
            Err(RequestError::NotForThisDevice),
            "used once"
        );
        assert_eq!(meet(&mut sim, c, &second), Err(RequestError::AlreadyConnected));
    });
}

#[test]
fn what_nobody_answers_ends_by_itself() {
    seeded(53, |seed| {
        let (mut sim, a, b) = alone(seed);
        let text = invitation(&mut sim, a);
        reply(&mut sim, b, text.clone());
        sim.run_for(Duration::from_secs(1_300));
        assert_eq!(now(&mut sim, a), Meeting::None);
        assert!(matches!(now(&mut sim, b), Meeting::None | Meeting::Failed));
        assert!(sim.network(b).peers.is_empty());
        assert_eq!(
            meeting(&mut sim, b, Command::Meet(text)),
            Err(RequestError::InvitationExpired)
        );
    });
}

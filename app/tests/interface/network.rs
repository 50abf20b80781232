//! The network's sheet: servers, and connecting without any.

use sazanami_core::node::api::{
    Change, Command, Meeting, RequestError, ServerInfo, ServerOrigin, SignalState,
};
use sazanami_core::time::Millis;

use crate::world::{World, person};

fn at_network() -> World {
    let mut world = World::at_home(&["en"], vec![]);
    world.node.network.servers = vec![ServerInfo {
        url: "https://one.example".parse().unwrap(),
        state: SignalState::Online,
        refused: None,
        origin: ServerOrigin::Started,
    }];
    let mut world = world.ready();
    world.click(("data-count", "0"));
    world
}

#[test]
fn a_server_is_added_and_given_up() {
    let mut world = at_network();
    world.sees("one.example");
    world.misses("Remove one.example");
    world.type_into(Some(("id", "add-server")), "nonsense here");
    world.submit(Some(("id", "add-server-form")));
    world.sees("This is not the address of a meeting point.");
    world.type_into(Some(("id", "add-server")), "two.example");
    world.submit(Some(("id", "add-server-form")));
    world.change(Change::Network);
    world.misses("This is not the address of a meeting point.");
    world.sees(r#"data-server="https://two.example""#);
    world.click(("aria-label", "Remove two.example"));
    world.change(Change::Network);
    world.misses(r#"data-server="https://two.example""#);
}

#[test]
fn an_invitation_is_made() {
    let mut world = at_network();
    world.click(("id", "meet-open"));
    world.click(("id", "invite"));
    assert!(world.node.asked.contains(&Command::Invite));
}

#[test]
fn two_texts_are_exchanged() {
    let mut world = at_network();
    world.node.meeting = Some(Meeting::Invitation {
        text: "sazanami-invite-1:abc".into(),
        expires: Millis(0),
    });
    world.click(("id", "meet-open"));
    world.sees("sazanami-invite-1:abc");
    world.sees(r#"class="qr-code""#);
    world.type_into(Some(("id", "meet-given")), "what is this");
    world.submit(Some(("id", "meet-given-form")));
    world.sees("Copy the whole text.");
    world.node.meeting = Some(Meeting::Connected(Some(person(1, None).key)));
    world.change(Change::Meeting);
    world.sees(r#"data-testid="meet-connected""#);
    world.misses("sazanami-invite-1:abc");
}

#[test]
fn a_text_that_fits_no_longer_is_told_in_words() {
    let mut world = at_network();
    world.click(("id", "meet-open"));
    world
        .node
        .failing
        .push(("Meet(", RequestError::InvitationExpired));
    world.type_into(Some(("id", "meet-given")), "sazanami-invite-1:old");
    world.submit(Some(("id", "meet-given-form")));
    world.sees("This has expired.");
}

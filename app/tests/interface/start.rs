//! From the first frame to the timeline.

use sazanami_app::SessionState;
use sazanami_core::node::api::{Command, RequestError};

use crate::world::{World, note, person};

#[test]
fn while_starting_it_says_so() {
    let mut world = World::new(&["ja"]);
    world.settle();
    world.sees("投稿を開いています");
    assert_eq!(
        *world.host.document.borrow(),
        ("ja".to_owned(), "system".to_owned())
    );
}

#[test]
fn a_failure_says_what_happened_and_what_to_do() {
    let mut world = World::new(&["en"]);
    world.session(SessionState::Failed("disk on fire <b>".into()));
    world.sees("Sazanami could not start");
    world.sees("Reload the page");
    world.sees("disk on fire &#60;b&#62;");
}

#[test]
fn a_tab_that_hangs_is_to_be_closed_and_this_one_goes_on() {
    let mut world = World::new(&["ja"]);
    world.session(SessionState::Elsewhere);
    world.sees("そのタブを閉じてください");
    world.session(SessionState::Ready);
    world.sees("お名前");
}

#[test]
fn a_first_visit_leads_to_the_timeline() {
    for (language, field, start, compose) in [
        ("ja-JP", "お名前", "はじめる", "新しい投稿"),
        ("en-GB", "Your name", "Start", "New post"),
    ] {
        let mut world = World::new(&[language]).ready();
        world.sees(&format!(
            r#"<label class="field-label" for="welcome-name">{field}</label>"#
        ));
        world.sees(start);
        world.misses(&format!(r#"aria-label="{compose}""#));
        world.type_into(None, "  漣  ");
        world.submit(None);
        assert!(world.node.asked.contains(&Command::SignUp { name: "漣".into() }));
        world.sees(&format!(r#"aria-label="{compose}""#));
        world.sees("key-card");
    }
}

#[test]
fn an_empty_name_is_asked_for_again() {
    let mut world = World::new(&["en"]).ready();
    world.type_into(None, " \n ");
    world.submit(None);
    world.sees("A nickname will do.");
    assert!(
        !world
            .node
            .asked
            .iter()
            .any(|command| matches!(command, Command::SignUp { .. }))
    );
}

#[test]
fn a_failing_sign_up_is_explained() {
    let mut world = World::new(&["ja"]).ready();
    world.node.failing.push(("SignUp", RequestError::Full));
    world.type_into(None, "漣");
    world.submit(None);
    world.sees("空き容量がありません");
    world.node.failing.clear();
    world.submit(None);
    world.sees("新しい投稿");
}

#[test]
fn without_durable_storage_it_works_and_says_so_until_the_end() {
    let mut world = World::new(&["en"]);
    world.session(SessionState::Ephemeral("SecurityError".into()));
    world.sees("no lasting storage");
    world.type_into(None, "Umi");
    world.submit(None);
    world.sees("Nothing will be kept on this device.");
    world.misses("SecurityError");
}

#[test]
fn an_answer_of_the_node_that_fails_offers_another_try() {
    let mut world = World::new(&["en"]);
    world
        .node
        .failing
        .push(("Me", RequestError::Storage("locked".into())));
    world.session(SessionState::Ready);
    world.sees("could not be saved on this device");
    world.node.failing.clear();
    world.fire("click", None, dioxus::html::SerializedMouseData::default());
    world.sees("Your name");
}

#[test]
fn what_was_chosen_before_holds() {
    let mut world = World::at_home(&["en"], vec![note(1, &person(1, Some("海")), 60, "x")]);
    world.node.settings.insert("language".into(), "ja".into());
    world.node.settings.insert("theme".into(), "dark".into());
    let world = world.ready();
    world.sees("新しい投稿");
    assert_eq!(
        *world.host.document.borrow(),
        ("ja".to_owned(), "dark".to_owned())
    );
}

//! The store's lock: one owner, asked or robbed, and everybody knows.
#![cfg(target_arch = "wasm32")]

use std::time::Duration;

use futures::future::{Either, select};
use gloo_timers::future::sleep;
use sazanami_web::page::locks::{Guard, Waiting, queue, steal};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

fn wait(name: &str) -> Waiting {
    queue(name).expect("this browser has locks")
}

/// The lock, if it comes within a limit.
async fn within(limit: Duration, waiting: &mut Waiting) -> Option<Guard> {
    match select(Box::pin(waiting.granted()), Box::pin(sleep(limit))).await {
        Either::Left((guard, _)) => guard,
        Either::Right(_) => None,
    }
}

async fn held(name: &str) -> Guard {
    within(LONG, &mut wait(name)).await.expect("the lock")
}

#[wasm_bindgen_test]
async fn one_owner_at_a_time() {
    let first = held("one").await;
    assert!(within(SOON, &mut wait("one")).await.is_none());
    drop(first);
    // The wait that was given up must not have left a claim behind.
    drop(held("one").await);
    drop(held("one").await);
}

#[wasm_bindgen_test]
async fn a_waiting_tab_gets_it_when_the_owner_lets_go() {
    let first = held("wait").await;
    let mut second = wait("wait");
    assert!(within(SOON, &mut second).await.is_none());
    drop(first);
    assert!(within(LONG, &mut second).await.is_some());
}

#[wasm_bindgen_test]
async fn who_steps_back_comes_after_the_others() {
    let first = held("back").await;
    let mut hidden = wait("back");
    let mut seen = wait("back");
    assert!(within(SOON, &mut hidden).await.is_none());
    drop(hidden);
    let mut hidden = wait("back");
    drop(first);
    let seen = within(LONG, &mut seen).await.expect("the one that is seen");
    assert!(within(SOON, &mut hidden).await.is_none());
    drop(seen);
    assert!(within(LONG, &mut hidden).await.is_some());
}

#[wasm_bindgen_test]
async fn an_owner_notices_the_theft_and_nobody_steals_twice() {
    let mut first = held("theft").await;
    let (second, third) = futures::join!(steal("theft"), steal("theft"));
    first.lost().await;
    let second = second.expect("one steals");
    assert!(third.is_none(), "of two thieves one");
    // What the robbed one does with its guard changes nothing.
    drop(first);
    assert!(within(SOON, &mut wait("theft")).await.is_none());
    drop(second);
}

//! The store's lock: one owner, asked or robbed, and everybody knows.
#![cfg(target_arch = "wasm32")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gloo_timers::future::sleep;
use sazanami_web::page::locks::{Claim, Guard, Tabs, claim, steal};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

fn held(claim: Claim) -> Guard {
    match claim {
        Claim::Held(guard) => guard,
        Claim::Busy => panic!("busy"),
        Claim::Unsupported => panic!("unsupported"),
    }
}

#[wasm_bindgen_test]
async fn one_owner_at_a_time() {
    let first = held(claim("one", SOON).await);
    assert!(matches!(claim("one", SOON).await, Claim::Busy));
    drop(first);
    // The wait that was given up must not have left a claim behind.
    drop(held(claim("one", LONG).await));
    drop(held(claim("one", LONG).await));
}

#[wasm_bindgen_test]
async fn a_waiting_tab_gets_it_when_the_owner_lets_go() {
    let first = held(claim("wait", SOON).await);
    let (second, ()) = futures::join!(claim("wait", LONG), async move {
        sleep(SOON).await;
        drop(first);
    });
    held(second);
}

#[wasm_bindgen_test]
async fn an_owner_notices_the_theft() {
    let mut first = held(claim("theft", SOON).await);
    let second = held(steal("theft").await);
    first.lost().await;
    // What the robbed one does with its guard changes nothing.
    drop(first);
    assert!(matches!(claim("theft", SOON).await, Claim::Busy));
    drop(second);
}

#[wasm_bindgen_test]
async fn the_other_tabs_hear_the_question_and_the_asker_does_not() {
    let (heard, echoed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = |counter: &Rc<Cell<u32>>| {
        let counter = counter.clone();
        move || counter.set(counter.get() + 1)
    };
    let _owner = Tabs::join("tabs", count(&heard)).expect("a channel");
    let asker = Tabs::join("tabs", count(&echoed)).expect("a channel");
    asker.ask();
    for _ in 0..100 {
        if heard.get() > 0 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((heard.get(), echoed.get()), (1, 0));
}

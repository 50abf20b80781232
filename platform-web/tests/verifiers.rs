//! Verifying workers: real ones, in a real browser; some of them broken.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{FutureExt, select};
use gloo_timers::future::sleep;
use js_sys::{Array, Function, Promise};
use nostr::prelude::{Event, EventBuilder, FinalizeEvent, Keys, Kind};
use sazanami_core::node::{Input, Job};
use sazanami_core::sim::{Conditions, PeerOptions, Sim};
use sazanami_core::time::Millis;
use sazanami_web::verifier;
use sazanami_web::worker::verifiers::Verifiers;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{Blob, BlobPropertyBag, DedicatedWorkerGlobalScope, Url, Worker, WorkerOptions, WorkerType};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// Real time that anything may take here.
const LONG: Duration = Duration::from_secs(60);
/// For one that does not listen any more.
const STUCK: &str = "for (;;);";

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// What `main` runs in a verifying worker.
#[wasm_bindgen]
pub fn run_verifier() {
    verifier::start(scope());
}

/// What an owner of verifying workers runs in a worker of its own: returns when two listen.
#[wasm_bindgen]
pub async fn own_verifiers(script: String) {
    let mut verifiers = Verifiers::new(script, 2);
    listening(&mut verifiers, 2).await;
    std::mem::forget(verifiers);
}

/// A module script of this test's program. While it runs it holds a lock; `before` and `run` are its own.
fn script(lock: &str, before: &str, run: &str) -> String {
    let origin = scope().location().origin();
    let text = format!(
        "await new Promise((held) => navigator.locks.request('{lock}', {{ mode: 'shared' }}, () => {{
           held();
           return new Promise(() => {{}});
         }}));
         {before}
         const program = await import('{origin}/wasm-bindgen-test.js');
         await program.default({{ module_or_path: '{origin}/wasm-bindgen-test_bg.wasm' }});
         {run}"
    );
    let options = BlobPropertyBag::new();
    options.set_type("text/javascript");
    let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&JsValue::from(text)), &options).unwrap();
    Url::create_object_url_with_blob(&blob).unwrap()
}

fn verifiers(lock: &str, before: &str) -> Verifiers {
    Verifiers::new(script(lock, before, "program.run_verifier();"), 2)
}

/// Returns when nobody holds a lock any more.
async fn free(lock: &str) {
    let request = Function::new_with_args("lock", "return navigator.locks.request(lock, () => true)");
    let request: Promise = request.call1(&scope(), &lock.into()).unwrap().unchecked_into();
    within(async { drop(JsFuture::from(request).await.unwrap()) }).await;
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    select! {
        value = Box::pin(future).fuse() => value,
        () = sleep(LONG).fuse() => panic!("it took too long"),
    }
}

fn notes(count: u64) -> Vec<Event> {
    let keys = Keys::parse(&"1".repeat(64)).unwrap();
    let note = |n| {
        EventBuilder::new(Kind::TextNote, format!("{n}"))
            .finalize(&keys)
            .unwrap()
    };
    (0..count).map(note).collect()
}

/// Jobs of five events, of which one is forged.
fn jobs(numbers: std::ops::Range<u64>) -> Vec<Job> {
    let notes = notes(5);
    let job = |number| {
        let mut events = notes.clone();
        events[number as usize % 5].content.push('!');
        Job::new(number, number % 3 == 0, events)
    };
    numbers.map(job).collect()
}

/// Gives work until so many listen.
async fn listening(verifiers: &mut Verifiers, count: usize) {
    within(async {
        while verifiers.listening() < count {
            jobs(1_000_000..1_000_004)
                .into_iter()
                .for_each(|job| verifiers.execute(job));
            for _ in 0..4 {
                verifiers.next().await;
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The answers to as many jobs, while so much time passes at each look.
async fn answers(verifiers: &mut Verifiers, count: usize, step: Duration) -> BTreeMap<u64, Vec<bool>> {
    let mut answers = BTreeMap::new();
    let mut now = Millis(1);
    within(async {
        while answers.len() < count {
            now = now + step;
            verifiers.tend(now);
            select! {
                answer = verifiers.next().fuse() => {
                    let Input::Verified { job, holds } = answer else { panic!("{answer:?}") };
                    assert!(answers.insert(job, holds).is_none(), "job {job} is answered once");
                }
                () = sleep(Duration::from_millis(10)).fuse() => {}
            }
        }
    })
    .await;
    assert!(verifiers.answered().is_none(), "nothing else is answered");
    answers
}

fn told(number: u64, holds: &[bool]) -> bool {
    let forged = number as usize % 5;
    holds.len() == 5 && holds.iter().enumerate().all(|(n, holds)| *holds == (n != forged))
}

#[wasm_bindgen_test]
async fn every_job_is_answered_and_forgeries_are_told() {
    let mut verifiers = verifiers("answered", "");
    listening(&mut verifiers, 2).await;
    jobs(0..40).into_iter().for_each(|job| verifiers.execute(job));
    for (number, holds) in answers(&mut verifiers, 40, Duration::ZERO).await {
        assert!(told(number, &holds), "{number}: {holds:?}");
    }
    assert_eq!(verifiers.listening(), 2, "none was lost over it");
}

#[wasm_bindgen_test]
async fn what_broken_workers_have_is_given_back_and_the_rest_done_here() {
    let listens = "postMessage(new Uint8Array([0, 0]).buffer); await new Promise(() => {});";
    for (broken, gets_work) in [
        (format!("onmessage = () => {{ {STUCK} }}; {listens}"), true),
        (
            format!("onmessage = () => {{ throw new Error('broken'); }}; {listens}"),
            true,
        ),
        ("postMessage('nonsense');".to_owned(), false),
        ("throw new Error('broken from the start');".to_owned(), false),
        ("await new Promise(() => {});".to_owned(), false),
    ] {
        let mut verifiers = verifiers("broken", &broken);
        let (mut round, mut lost) = (0, 0);
        within(async {
            while round < 3 || gets_work && lost == 0 {
                jobs(round * 20..(round + 1) * 20)
                    .into_iter()
                    .for_each(|job| verifiers.execute(job));
                for (number, holds) in answers(&mut verifiers, 20, Duration::from_secs(1)).await {
                    assert!(holds.is_empty() || told(number, &holds), "{number}: {holds:?}");
                    lost += usize::from(holds.is_empty());
                }
                round += 1;
                // Time for one to say that it listens.
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert_eq!(lost > 0, gets_work, "{broken}: {lost}");
        drop(verifiers);
        free("broken").await;
    }
}

#[wasm_bindgen_test]
async fn a_worker_that_cannot_be_loaded_stalls_nothing() {
    let mut verifiers = Verifiers::new(format!("{}/missing.js", scope().location().origin()), 2);
    jobs(0..20).into_iter().for_each(|job| verifiers.execute(job));
    for (number, holds) in answers(&mut verifiers, 20, Duration::ZERO).await {
        assert!(told(number, &holds), "{number}: {holds:?}");
    }
}

#[wasm_bindgen_test]
async fn a_sync_ends_though_workers_are_killed_in_its_middle() {
    // Each takes two jobs; then it is as a killed one: it says nothing more.
    let dies = format!("let jobs = 0; addEventListener('message', () => {{ if (++jobs > 2) {STUCK} }});");
    let mut verifiers = verifiers("killed", &dies);
    within(async {
        while verifiers.listening() == 0 {
            // One of its two, at most.
            jobs(0..1).into_iter().for_each(|job| verifiers.execute(job));
            verifiers.next().await;
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;

    let mut sim = Sim::new(7, Conditions::default());
    let author = sim.add("author");
    for n in 0..300 {
        sim.post(author, &format!("{n}"));
        sim.run_for(Duration::from_millis(50));
    }
    let options = PeerOptions {
        verifiers: 2,
        ..PeerOptions::default()
    };
    let newcomer = sim.add_with("newcomer", options);
    let (mut given, mut lost) = (0, 0);
    within(async {
        while sim.notes(newcomer).len() < 300 {
            sim.run_for(Duration::from_millis(100));
            for job in sim.jobs(newcomer) {
                given += job.events().len();
                verifiers.execute(job);
            }
            verifiers.tend(sim.now());
            select! {
                answer = verifiers.next().fuse() => {
                    lost += usize::from(matches!(&answer, Input::Verified { holds, .. } if holds.is_empty()));
                    sim.input(newcomer, answer);
                }
                () = sleep(Duration::from_millis(1)).fuse() => {}
            }
        }
    })
    .await;
    assert!(given >= 300, "the newcomer gave {given} events to its verifiers");
    assert!(lost > 0, "no job was lost with its worker");
}

#[wasm_bindgen_test]
async fn workers_without_work_end_and_are_started_again() {
    let mut verifiers = verifiers("idle", "");
    for _ in 0..2 {
        listening(&mut verifiers, 2).await;
        for second in 0..120 {
            verifiers.tend(Millis(second * 1_000));
        }
        assert_eq!(verifiers.listening(), 0);
        free("idle").await;
    }
}

#[wasm_bindgen_test]
async fn workers_end_with_their_owner() {
    let mut verifiers = verifiers("dropped", "");
    listening(&mut verifiers, 2).await;
    drop(verifiers);
    free("dropped").await;

    let verifier = script("orphaned", "", "program.run_verifier();");
    let owner = script(
        "owner",
        "",
        &format!("await program.own_verifiers('{verifier}'); postMessage('owned');"),
    );
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let owner = Worker::new_with_options(&owner, &options).unwrap();
    let owned = Promise::new(&mut |owned, _| owner.set_onmessage(Some(&owned)));
    within(async { drop(JsFuture::from(owned).await.unwrap()) }).await;
    // As the page does, or the browser when its tab is closed.
    owner.terminate();
    free("orphaned").await;
}

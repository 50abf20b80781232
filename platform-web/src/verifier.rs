//! A verifying worker: gets jobs from the node's worker, and says which events hold.

use futures::channel::mpsc;
use futures::{StreamExt, select_biased};
use sazanami_core::verify::Verifier;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::breath::Breath;
use crate::bridge::{self, FromVerifier, ToVerifier};
use crate::dom::{Listener, describe};

/// The name of such a worker, by which `main` branches.
pub(crate) const NAME: &str = "sazanami-verifier";

/// Runs the worker in this scope, until its owner ends it.
pub fn start(scope: DedicatedWorkerGlobalScope) {
    report_panics();
    let (new, urgent) = mpsc::unbounded();
    let (old, history) = mpsc::unbounded();
    // As many jobs wait here as the node gives out: some for each worker.
    let listener = Listener::new(&scope, "message", move |event| {
        let message = bridge::from_js::<ToVerifier>(&event.unchecked_ref::<MessageEvent>().data());
        let lane = if message.as_ref().is_ok_and(|job| job.urgent) {
            &new
        } else {
            &old
        };
        // The receiver lives as long as the worker.
        let _ = lane.unbounded_send(message);
    });
    spawn_local(async move {
        if let Err(reason) = run(&scope, urgent, history).await {
            post(&scope, &FromVerifier::Failed(reason));
        }
        drop(listener);
    });
}

type Lane = mpsc::UnboundedReceiver<Result<ToVerifier, bridge::BadMessage>>;

async fn run(scope: &DedicatedWorkerGlobalScope, mut urgent: Lane, mut history: Lane) -> Result<(), String> {
    let mut breath = Breath::new().map_err(|error| describe(&error))?;
    let mut verifier = Verifier::new();
    post(scope, &FromVerifier::Listening);
    loop {
        let job = select_biased! {
            job = urgent.select_next_some() => job,
            job = history.select_next_some() => job,
        };
        let ToVerifier { job, events, .. } = job.map_err(|error| error.to_string())?;
        let holds = verifier.verify_encoded(&events);
        post(scope, &FromVerifier::Verified { job, holds });
        // New events that have come meanwhile pass what waits.
        breath.take().await;
    }
}

fn post(scope: &DedicatedWorkerGlobalScope, message: &FromVerifier) {
    let (buffer, transfer) = bridge::to_js(message);
    if let Err(error) = scope.post_message_with_transfer(&buffer, &transfer) {
        web_sys::console::error_2(
            &"sazanami: a verifying worker cannot reach its owner:".into(),
            &error,
        );
    }
}

/// A panic ends the worker: its owner need not wait for an answer.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        if let Ok(scope) = js_sys::global().dyn_into::<DedicatedWorkerGlobalScope>() {
            post(&scope, &FromVerifier::Failed(info.to_string()));
        }
    }));
}

//! Blobs on the browser's private file system keep the contract that every blob store keeps.
#![cfg(target_arch = "wasm32")]

use sazanami_core::media::{BlobStore, Blobs, DEFAULT_BUDGET, conformance, slab::Slab};
use sazanami_web::worker::blobs::{self, OpfsBlobs};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// Empty files for a suite that is not asynchronous: one after the other, the same three.
fn emptied(before: OpfsBlobs, budget: u64) -> OpfsBlobs {
    let (mut data, mut logs) = before.into_medium().into_files();
    Slab::clear(&mut data, &mut logs).expect("files that can be written");
    Blobs::open(Slab::open(data, logs).expect("empty files"), budget).expect("an empty slab")
}

fn reopened(before: OpfsBlobs) -> OpfsBlobs {
    let (data, logs) = before.into_medium().into_files();
    Blobs::open(Slab::open(data, logs).expect("an index"), DEFAULT_BUDGET).expect("a slab")
}

async fn opened(folder: &str) -> OpfsBlobs {
    blobs::open(folder, DEFAULT_BUDGET)
        .await
        .expect("OPFS in a dedicated worker")
}

#[wasm_bindgen_test]
async fn keeps_the_contract() {
    let mut first = Some(opened("contract").await);
    conformance::suite(|before, budget| {
        emptied(before.or_else(|| first.take()).expect("the one before"), budget)
    });
}

#[wasm_bindgen_test]
async fn is_found_again() {
    let mut first = Some(emptied(opened("durable").await, DEFAULT_BUDGET));
    conformance::durable(|before| reopened(before.or_else(|| first.take()).expect("the one before")));
}

#[wasm_bindgen_test]
async fn files_are_let_go_and_found_by_the_next_worker() {
    let mut first = opened("handed-over").await;
    let content = conformance::bytes(300_000, 1);
    let id = first
        .put(
            &content,
            sazanami_core::media::Keep::Own,
            sazanami_core::time::Millis(1),
        )
        .expect("room");
    assert!(
        blobs::open("handed-over", DEFAULT_BUDGET).await.is_err(),
        "one owner at a time"
    );
    drop(first);
    let again = opened("handed-over").await;
    assert_eq!(again.read(&id, 0, 300_000), Ok(Some(content)));
}

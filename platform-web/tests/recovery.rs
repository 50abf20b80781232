//! Damaged databases on the browser's private file system: posts are put together again, whatever interrupts that, and
//! the secret key is never lost to a new one.
#![cfg(target_arch = "wasm32")]

use sazanami_core::Keys;
use sazanami_core::identity::Vault;
use sazanami_core::store::conformance::{Breakable, mending};
use sazanami_core::store::mend::Files;
use sazanami_core::store::{Bytes, SqliteStore, StoreError};
use sazanami_web::worker::{Pool, TwinVault};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const FOLDER: &str = "recovery";
const NAMES: [&str; 2] = ["identity.db", "identity-copy.db"];

/// The pool that all tests of this worker share, one after the other.
async fn emptied() -> Medium {
    let mut pool = Pool::open(FOLDER).await.expect("OPFS in a dedicated worker");
    for name in pool.names().expect("names") {
        pool.remove(&name).expect("closed files");
    }
    Medium(pool)
}

struct Medium(Pool);

impl Files for Medium {
    const LOG: &'static str = Pool::LOG;
    const KEPT_LOG: &'static str = Pool::KEPT_LOG;

    fn names(&self) -> Result<Vec<String>, StoreError> {
        self.0.names()
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.remove(name)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<(), StoreError> {
        self.0.rename(from, to).await
    }

    async fn open(&mut self, name: &str) -> Result<SqliteStore, StoreError> {
        self.0.open(name).await
    }

    fn read(&self, name: &str) -> Result<Box<dyn Bytes>, StoreError> {
        self.0.read(name)
    }
}

impl Breakable for Medium {
    async fn alter(&mut self, name: &str, alter: &mut dyn FnMut(&mut Vec<u8>)) {
        self.0.alter(name, alter).await.expect("a closed file");
    }
}

#[wasm_bindgen_test]
async fn damaged_posts_are_mended() {
    mending(&mut emptied().await).await;
}

#[wasm_bindgen_test]
async fn either_place_of_the_key_brings_back_the_other() {
    let keys = Keys::generate();
    let alterations: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[..100].fill(7),
        |bytes| bytes.truncate(bytes.len() / 2),
        Vec::clear,
    ];
    for mut alter in alterations {
        let Medium(mut pool) = emptied().await;
        let mut vault = TwinVault::open(&pool, NAMES, None).expect("an empty vault");
        assert_eq!(vault.load(), Ok(None));
        vault.save(&keys).expect("kept");
        drop(vault);
        for name in NAMES {
            pool.alter(name, &mut alter).await.expect("a closed file");
            let mut vault = TwinVault::open(&pool, NAMES, None).expect("the other place");
            assert_eq!(vault.load(), Ok(Some(keys.clone())), "{name}");
        }
    }
}

#[wasm_bindgen_test]
async fn a_key_of_earlier_versions_gets_its_second_place() {
    let Medium(mut pool) = emptied().await;
    let keys = Keys::generate();
    let mut before = sazanami_web::worker::SqliteVault::open(NAMES[0]).expect("a vault");
    before.save(&keys).expect("kept");
    drop(before);
    drop(TwinVault::open(&pool, NAMES, None).expect("the key"));
    pool.alter(NAMES[0], &mut |bytes| bytes.fill(0xa5))
        .await
        .expect("a closed file");
    let mut vault = TwinVault::open(&pool, NAMES, None).expect("the second place");
    assert_eq!(vault.load(), Ok(Some(keys)));
}

#[wasm_bindgen_test]
async fn a_key_that_cannot_be_read_is_an_error_and_stays() {
    let Medium(mut pool) = emptied().await;
    let mut vault = TwinVault::open(&pool, NAMES, None).expect("an empty vault");
    vault.save(&Keys::generate()).expect("kept");
    drop(vault);
    let mut damaged = Vec::new();
    for name in NAMES {
        pool.alter(name, &mut |bytes| {
            bytes[..100].fill(7);
            damaged.clone_from(bytes);
        })
        .await
        .expect("a closed file");
    }
    for _ in 0..2 {
        assert!(TwinVault::open(&pool, NAMES, None).is_err());
    }
    pool.alter(NAMES[1], &mut |bytes| {
        assert!(*bytes == damaged, "it is as it was");
    })
    .await
    .expect("a closed file");
}

#[wasm_bindgen_test]
async fn the_owner_of_the_posts_tells_which_key_is_right() {
    let Medium(pool) = emptied().await;
    let (right, wrong) = (Keys::generate(), Keys::generate());
    for (name, keys) in NAMES.into_iter().zip([&wrong, &right]) {
        let mut vault = sazanami_web::worker::SqliteVault::open(name).expect("a vault");
        vault.save(keys).expect("kept");
    }
    let owner = right.public_key().to_hex();
    let mut vault = TwinVault::open(&pool, NAMES, Some(&owner)).expect("two keys");
    assert_eq!(vault.load(), Ok(Some(right)));
}

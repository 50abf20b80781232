//! The SQLite store on the browser's private file system keeps the contract that every store keeps.
#![cfg(target_arch = "wasm32")]

use sazanami_core::Keys;
use sazanami_core::identity::Vault;
use sazanami_core::store::{SqliteStore, conformance};
use sazanami_web::worker::SqliteVault;
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_rs::vfs::VfsFilesManager;
use sqlite_wasm_vfs::sahpool::{OpfsSAHPoolCfgBuilder, OpfsSAHPoolUtil, install};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// The pool that all tests of this worker share. Each closes its databases before it ends.
async fn pool() -> OpfsSAHPoolUtil {
    let config = OpfsSAHPoolCfgBuilder::new()
        .directory("conformance")
        .initial_capacity(8)
        .clear_on_init(true)
        .build();
    install::<WasmOsCallback>(&config, true)
        .await
        .expect("OPFS in a dedicated worker")
}

#[wasm_bindgen_test]
async fn keeps_the_contract() {
    let pool = pool().await;
    conformance::suite(|| {
        pool.clear().expect("the store before is closed");
        SqliteStore::open("suite.db").expect("an empty database")
    });
    assert!(
        pool.contains("suite.db").expect("an active pool"),
        "the databases were not on OPFS"
    );
}

#[wasm_bindgen_test]
async fn finds_everything_again() {
    let pool = pool().await;
    conformance::durable(|| SqliteStore::open("durable.db").expect("the database"));
    assert!(
        pool.contains("durable.db").expect("an active pool"),
        "the database was not on OPFS"
    );
    // The hand-over between tabs: let go of the files, take them again, and all is still there.
    pool.pause().expect("closed databases");
    pool.resume().await.expect("free files");
    assert!(pool.contains("durable.db").expect("an active pool"));
    SqliteStore::open("durable.db").expect("the same database");
}

#[wasm_bindgen_test]
async fn the_key_is_found_again() {
    let _pool = pool().await;
    let keys = Keys::generate();
    let mut vault = SqliteVault::open("key.db").expect("an empty vault");
    assert_eq!(vault.load(), Ok(None));
    vault.save(&keys).expect("kept");
    drop(vault);
    let mut again = SqliteVault::open("key.db").expect("the same vault");
    assert_eq!(again.load(), Ok(Some(keys)));
    let other = Keys::generate();
    again.save(&other).expect("replaced");
    assert_eq!(again.load(), Ok(Some(other)));
}

//! The pool's files as those among which a damaged database is put together again ([`sazanami_core::store::mend`]).

use js_sys::Reflect;
use sazanami_core::store::mend::Files;
use sazanami_core::store::{Bytes, SqliteStore, StoreError};
use sqlite_wasm_rs::vfs::VfsFilesManager;
use sqlite_wasm_rs::vfs::transfer::{DbTransfer, ExportSource};
use sqlite_wasm_vfs::sahpool::{OpfsSAHError, OpfsSAHPoolUtil};

use super::databases::Pool;
use super::slots;

/// Slots beyond the files that there are: a new database and its journal, and what SQLite needs in passing.
const SPARE: usize = 4;
/// Of those, without which no database can be opened.
const LEAST: usize = 2;

impl Files for Pool {
    const LOG: &'static str = "-journal";
    // The pool lets nobody read a file beside which a journal lies.
    const KEPT_LOG: &'static str = ".journal";

    fn mending(&self) {
        (self.mending)();
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        self.util.names().map_err(failed)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.util.remove(name).map(drop).map_err(failed)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<(), StoreError> {
        self.util.pause().map_err(failed)?;
        let renamed = slots::rename(&self.directory, from, to).await;
        // Whatever came of it, the pool reads the names anew.
        self.util.resume().await.map_err(failed)?;
        renamed.map_err(|reason| StoreError {
            context: CONTEXT,
            reason,
            full: false,
            damaged: false,
        })
    }

    async fn open(&mut self, name: &str) -> Result<SqliteStore, StoreError> {
        let files = self.names()?.len();
        let grown = self.util.ensure_capacity(files + SPARE).await;
        if self.util.capacity() < files + LEAST {
            grown.map_err(failed)?;
        }
        SqliteStore::open(name)
    }

    fn read(&self, name: &str) -> Result<Box<dyn Bytes>, StoreError> {
        let size = self.util.open_export(name).map_err(failed)?.size();
        Ok(Box::new(Slot {
            pool: self.util.clone(),
            name: name.to_owned(),
            size,
        }))
    }
}

/// A file of the pool. It is opened anew for each read: as long as one is open, the pool opens no other.
struct Slot {
    pool: OpfsSAHPoolUtil,
    name: String,
    size: u64,
}

impl Bytes for Slot {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> usize {
        let read = self.pool.open_export(&self.name);
        read.and_then(|mut file| file.read_at(offset, buffer))
            .unwrap_or(0)
    }
}

const CONTEXT: &str = "recovering a damaged database";

fn failed(error: OpfsSAHError) -> StoreError {
    StoreError {
        context: CONTEXT,
        full: is(&error, "QuotaExceededError"),
        reason: error.to_string(),
        damaged: false,
    }
}

/// Whether it is this exception of the browser.
pub(super) fn is(error: &OpfsSAHError, name: &str) -> bool {
    match error {
        OpfsSAHError::Opfs { value, .. } => {
            let found = Reflect::get(value, &"name".into()).ok();
            found.and_then(|name| name.as_string()).as_deref() == Some(name)
        }
        OpfsSAHError::Cleanup { error, .. } => is(error, name),
        _ => false,
    }
}

//! The databases on OPFS: the pool of files, who may have it, and what to do without it.

use std::time::Duration;

use gloo_timers::future::sleep;
use sazanami_core::identity::{MemoryVault, Vault};
use sazanami_core::media::slab::SlabFile;
use sazanami_core::media::{BlobStore, DEFAULT_BUDGET, MemoryBlobs};
use sazanami_core::store::{OWNER, SqliteStore, Store, mend};
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_vfs::sahpool::{OpfsSAHError, OpfsSAHPoolCfgBuilder, OpfsSAHPoolUtil, install};

use super::recovery::is;
use super::vault::TwinVault;
use super::{blobs, slots};
use crate::clock::now;

/// Events, profiles, settings.
const POSTS: &str = "posts.db";
/// The secret key, apart: it is written once and must survive whatever happens to the posts.
const IDENTITY: [&str; 2] = ["identity.db", "identity-copy.db"];
/// The folder of the pool.
const FOLDER: &str = ".sazanami";
/// The folder of images and files, apart from the pool's, whose files are numbered.
const MEDIA: &str = ".sazanami-media";
/// What media may take where they are in memory: some screens of pictures.
const EPHEMERAL_BUDGET: u64 = 128 * 1024 * 1024;
/// Three databases with their journals, and room for SQLite's passing needs; more are made when they are needed.
const SLOTS: usize = 8;
/// A closed or reloaded document lets go of its files a little late.
const RETRIES: u32 = 60;
const RETRY_DELAY: Duration = Duration::from_millis(40);

/// What a node needs to start.
pub(super) struct Databases {
    pub(super) store: SqliteStore,
    pub(super) vault: Box<dyn Vault>,
    pub(super) blobs: Box<dyn BlobStore>,
    /// `None` for a session in memory.
    pub(super) pool: Option<Pool>,
    /// Why nothing is durable, where it is not.
    pub(super) ephemeral: Option<String>,
}

impl Databases {
    /// In memory, where the browser gives no durable storage.
    fn ephemeral(reason: String) -> Result<Self, OpenError> {
        Ok(Self {
            store: SqliteStore::in_memory().map_err(failed)?,
            vault: Box::new(MemoryVault::default()),
            blobs: Box::new(MemoryBlobs::in_memory(EPHEMERAL_BUDGET)),
            pool: None,
            ephemeral: Some(reason),
        })
    }
}

/// Why the databases could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another tab or worker has their files.
    #[error("somebody else holds the database: {0}")]
    Busy(String),
    /// They are there, and cannot be opened.
    #[error("{0}")]
    Failed(String),
}

/// The files of the databases, held by this worker alone and registered as SQLite's default VFS.
pub struct Pool {
    pub(super) util: OpfsSAHPoolUtil,
    /// The folder.
    pub(super) directory: String,
    /// Called when a damaged database is going to be put together again.
    pub(super) mending: Box<dyn Fn()>,
}

enum PoolError {
    /// No OPFS here: a private window, an old browser, storage forbidden.
    Unsupported(String),
    Open(OpenError),
}

impl Pool {
    /// Takes the files in a folder, waiting a few seconds for a predecessor to let go.
    async fn take(directory: &str) -> Result<Self, PoolError> {
        let config = OpfsSAHPoolCfgBuilder::new()
            .directory(directory)
            .initial_capacity(SLOTS)
            .build();
        let mut tries = 0;
        loop {
            let error = match install::<WasmOsCallback>(&config, true).await {
                Ok(util) => {
                    return Ok(Self {
                        util,
                        directory: directory.to_owned(),
                        mending: Box::new(|| {}),
                    });
                }
                Err(error) => error,
            };
            if !is(&error, "NoModificationAllowedError") {
                return Err(match error {
                    OpfsSAHError::NotSupported | OpfsSAHError::Opfs { .. } => {
                        PoolError::Unsupported(error.to_string())
                    }
                    damaged => PoolError::Open(OpenError::Failed(damaged.to_string())),
                });
            }
            tries += 1;
            if tries > RETRIES {
                return Err(PoolError::Open(OpenError::Busy(error.to_string())));
            }
            sleep(RETRY_DELAY).await;
        }
    }

    /// Takes the files in a folder of the origin's private file system.
    ///
    /// # Errors
    /// When there is no such file system, or somebody else holds them.
    pub async fn open(directory: &str) -> Result<Self, OpenError> {
        Self::take(directory).await.map_err(|error| match error {
            PoolError::Unsupported(reason) => OpenError::Failed(reason),
            PoolError::Open(error) => error,
        })
    }

    /// Lets go of the files; every database must be closed.
    ///
    /// # Errors
    /// When one is still open.
    pub fn release(&self) -> Result<(), OpenError> {
        self.util.pause().map_err(failed)
    }

    /// Changes what a closed file holds: how tests damage it.
    ///
    /// # Errors
    /// When it is not there, or cannot be written.
    pub async fn alter(&mut self, name: &str, alter: &mut dyn FnMut(&mut Vec<u8>)) -> Result<(), OpenError> {
        self.release()?;
        let file = slots::find(&self.directory, name).await.map_err(failed)?;
        let mut file = file.ok_or_else(|| OpenError::Failed(format!("there is no {name}")))?;
        let mut bytes = vec![0; usize::try_from(file.size().map_err(failed)?).map_err(failed)?];
        file.read_at(0, &mut bytes).map_err(failed)?;
        let mut content = bytes.split_off(slots::CONTENT);
        alter(&mut content);
        bytes.append(&mut content);
        file.truncate(bytes.len() as u64).map_err(failed)?;
        file.write_at(0, &bytes).map_err(failed)?;
        file.flush().map_err(failed)?;
        drop(file);
        self.util.resume().await.map_err(failed)
    }

    /// Puts the posts aside, which were found damaged while they were in use; they must be closed. Opened again, they
    /// are put together again.
    pub(super) async fn put_aside(&mut self) -> Result<(), OpenError> {
        mend::put_aside(self, POSTS, now()).await.map_err(failed)
    }
}

/// Opens the databases, or stands in for them in memory where the browser gives no durable storage. Damaged posts are
/// put together again, after `mending` was called; whatever else is there and cannot be opened is an error: starting
/// afresh beside it would look like a loss.
pub(super) async fn open(mending: impl Fn() + 'static) -> Result<Databases, OpenError> {
    let mut pool = match Pool::take(FOLDER).await {
        Ok(pool) => pool,
        Err(PoolError::Unsupported(reason)) => return Databases::ephemeral(reason),
        Err(PoolError::Open(error)) => return Err(error),
    };
    pool.mending = Box::new(mending);
    let (store, _) = mend::open(&mut pool, POSTS, now()).await.map_err(failed)?;
    // Damage that shows here is found by the node too, which ends for it.
    let owner = store.setting(OWNER).ok().flatten();
    let vault = TwinVault::open(&pool, IDENTITY, owner.as_deref()).map_err(failed)?;
    let blobs = take_media().await?;
    Ok(Databases {
        store,
        vault: Box::new(vault),
        blobs: Box::new(blobs),
        pool: Some(pool),
        ephemeral: None,
    })
}

/// Takes the files of media, waiting as for those of the databases.
async fn take_media() -> Result<blobs::OpfsBlobs, OpenError> {
    let mut tries = 0;
    loop {
        let error = match blobs::open(MEDIA, DEFAULT_BUDGET).await {
            Ok(blobs) => return Ok(blobs),
            Err(error) => error,
        };
        tries += 1;
        if tries > RETRIES {
            return Err(OpenError::Failed(error.to_string()));
        }
        sleep(RETRY_DELAY).await;
    }
}

fn failed(error: impl ToString) -> OpenError {
    OpenError::Failed(error.to_string())
}

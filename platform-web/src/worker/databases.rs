//! The databases on OPFS: the pool of files, who may have it, and what to do without it.

use std::time::Duration;

use gloo_timers::future::sleep;
use js_sys::Reflect;
use sazanami_core::identity::{MemoryVault, Vault};
use sazanami_core::media::{BlobStore, DEFAULT_BUDGET, MemoryBlobs};
use sazanami_core::store::SqliteStore;
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_vfs::sahpool::{OpfsSAHError, OpfsSAHPoolCfgBuilder, OpfsSAHPoolUtil, install};

use super::blobs;
use super::vault::SqliteVault;

/// Events, profiles, settings.
const POSTS: &str = "posts.db";
/// The secret key, apart: it is written once and must survive whatever happens to the posts.
const IDENTITY: &str = "identity.db";
/// The folder of images and files, apart from the pool's, whose files are numbered.
const MEDIA: &str = ".sazanami-media";
/// What media may take where they are in memory: some screens of pictures.
const EPHEMERAL_BUDGET: u64 = 128 * 1024 * 1024;
/// Two databases with their journals, and room for SQLite's passing needs.
const SLOTS: u32 = 8;
/// A closed or reloaded document lets go of its files a little late.
const RETRIES: u32 = 25;
const RETRY_DELAY: Duration = Duration::from_millis(200);

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
pub struct Pool(OpfsSAHPoolUtil);

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
            .initial_capacity(SLOTS as usize)
            .build();
        let mut tries = 0;
        loop {
            let error = match install::<WasmOsCallback>(&config, true).await {
                Ok(pool) => return Ok(Self(pool)),
                Err(error) => error,
            };
            if !is_busy(&error) {
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
        self.0
            .pause()
            .map_err(|error| OpenError::Failed(error.to_string()))
    }
}

/// Opens both databases, or stands in for them in memory where the browser gives no durable storage. A database that
/// is there and cannot be opened is an error: starting afresh beside it would look like a loss.
pub(super) async fn open() -> Result<Databases, OpenError> {
    match Pool::take(".sazanami").await {
        Ok(pool) => {
            let store = SqliteStore::open(POSTS).map_err(|error| OpenError::Failed(error.to_string()))?;
            let vault = SqliteVault::open(IDENTITY).map_err(|error| OpenError::Failed(error.to_string()))?;
            let blobs = take_media().await?;
            Ok(Databases {
                store,
                vault: Box::new(vault),
                blobs: Box::new(blobs),
                pool: Some(pool),
                ephemeral: None,
            })
        }
        Err(PoolError::Unsupported(reason)) => {
            let store = SqliteStore::in_memory().map_err(|error| OpenError::Failed(error.to_string()))?;
            Ok(Databases {
                store,
                vault: Box::new(MemoryVault::default()),
                blobs: Box::new(MemoryBlobs::in_memory(EPHEMERAL_BUDGET)),
                pool: None,
                ephemeral: Some(reason),
            })
        }
        Err(PoolError::Open(error)) => Err(error),
    }
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

fn is_busy(error: &OpfsSAHError) -> bool {
    let OpfsSAHError::Opfs { value, .. } = error else {
        return false;
    };
    Reflect::get(value, &"name".into())
        .ok()
        .and_then(|name| name.as_string())
        .as_deref()
        == Some("NoModificationAllowedError")
}

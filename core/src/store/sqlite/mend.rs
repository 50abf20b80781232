//! Opening a database, a damaged one too: it is kept as it is beside a new one, which gets everything that can still be
//! read. The store tells the person ([`crate::store::RECOVERED`]).
//!
//! The steps are renames, so that a crash between any two is found at the next start: `posts.db` becomes
//! `posts.damaged-<unix time>.db` (its log with it), `posts.recovering.db` is filled from that and becomes `posts.db`.

use super::{Bytes, SqliteStore};
use crate::store::{Recovered, StoreError};
use crate::time::Millis;

/// Damaged files that are kept, for whoever can make more of them: the newest ones.
pub const MAX_KEPT: usize = 3;
/// What a name ends in.
const DATABASE: &str = ".db";

/// The files beside a database, by their names.
// No thread is left: a browser has none, natively the node's waits for it.
#[allow(async_fn_in_trait)]
pub trait Files {
    /// What follows the name of a database in that of its log.
    const LOG: &'static str;
    /// The same once the database is put aside.
    const KEPT_LOG: &'static str = Self::LOG;

    /// Told before a damaged database is put together again, which may take minutes.
    fn mending(&self) {}

    /// All of them.
    ///
    /// # Errors
    /// When the medium does not tell.
    fn names(&self) -> Result<Vec<String>, StoreError>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// When it stays.
    fn remove(&mut self, name: &str) -> Result<(), StoreError>;

    /// Gives a file that nobody has open a name that no other has. Once this returns, name and content are on the disk.
    ///
    /// # Errors
    /// When it keeps its old name.
    async fn rename(&mut self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Opens or makes a database.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    async fn open(&mut self, name: &str) -> Result<SqliteStore, StoreError>;

    /// Opens a file to read it, whatever it holds.
    ///
    /// # Errors
    /// When it is not there.
    fn read(&self, name: &str) -> Result<Box<dyn Bytes>, StoreError>;
}

/// Opens or creates a database; puts a damaged one together again, and tells what came of it.
///
/// # Errors
/// When the database cannot be opened for another reason, or there is no room for a new one.
pub async fn open(
    files: &mut impl Files,
    name: &str,
    now: Millis,
) -> Result<(SqliteStore, Option<Recovered>), StoreError> {
    let names = files.names()?;
    if !names.iter().any(|there| there == name)
        && let Some(damaged) = kept(name, &names).pop()
    {
        tracing::warn!("going on with an interrupted recovery");
        return mend(files, name, &damaged, now).await;
    }
    match files.open(name).await {
        Err(error) if error.damaged => {
            tracing::error!(%error, "the database is damaged");
            put_aside(files, name, now).await?;
            let damaged = kept(name, &files.names()?).pop().unwrap_or_default();
            mend(files, name, &damaged, now).await
        }
        opened => opened.map(|store| (store, None)),
    }
}

/// Puts a closed database aside that was found damaged while it was in use: the next [`open`] makes a new one from it.
///
/// # Errors
/// When it stays where it is.
pub async fn put_aside(files: &mut impl Files, name: &str, now: Millis) -> Result<(), StoreError> {
    let newest = kept(name, &files.names()?)
        .pop()
        .and_then(|kept| time_of(name, &kept))
        .unwrap_or(0);
    let time = (now.0 / 1000).max(newest + 1);
    let damaged = format!("{}.damaged-{time}{DATABASE}", stem(name));
    files.rename(name, &damaged).await
}

async fn mend<F: Files>(
    files: &mut F,
    name: &str,
    damaged: &str,
    now: Millis,
) -> Result<(SqliteStore, Option<Recovered>), StoreError> {
    files.mending();
    let names = files.names()?;
    // The log may hold what the file does not: it goes where its file went.
    let log = format!("{name}{}", F::LOG);
    if names.contains(&log) {
        files.rename(&log, &format!("{damaged}{}", F::KEPT_LOG)).await?;
    }
    files.remove(&format!("{name}-shm"))?;
    let mut older = kept(name, &names);
    older.retain(|kept| kept != damaged);
    while older.len() >= MAX_KEPT {
        forget(files, &older.remove(0))?;
    }
    let new = format!("{}.recovering{DATABASE}", stem(name));
    let recovered = loop {
        // Half filled by a recovery that was interrupted, it is not to be trusted.
        clear(files, &new)?;
        match fill(files, &new, damaged, now).await {
            Ok(recovered) => break recovered,
            // The new one is worth more than what was damaged before.
            Err(error) if error.full && !older.is_empty() => forget(files, &older.remove(0))?,
            Err(error) => {
                // It is of no use, and others may need its room.
                clear(files, &new)?;
                return Err(error);
            }
        }
    };
    files.rename(&new, name).await?;
    tracing::warn!(
        events = recovered.events,
        lost = recovered.lost,
        damaged,
        "the database was put together again; the damaged file is kept"
    );
    Ok((files.open(name).await?, Some(recovered)))
}

async fn fill<F: Files>(
    files: &mut F,
    new: &str,
    damaged: &str,
    now: Millis,
) -> Result<Recovered, StoreError> {
    let mut store = files.open(new).await?;
    let log = format!("{damaged}{}", F::KEPT_LOG);
    let mut log = if files.names()?.contains(&log) {
        Some(files.read(&log)?)
    } else {
        None
    };
    let log = log.as_mut().map(|log| &mut **log as &mut dyn Bytes);
    let mut damaged = files.read(damaged)?;
    let recovered = store.recover_from(&mut *damaged, log, now)?;
    // Closing it writes its log back into the file; what is left of that must not lie beside another's name.
    drop(store);
    let log = format!("{new}{}", F::LOG);
    if files.names()?.contains(&log) && files.read(&log)?.size() > 0 {
        return Err(StoreError {
            context: "closing the recovered database",
            reason: "its log could not be written back".to_owned(),
            full: false,
            damaged: false,
        });
    }
    files.remove(&log)?;
    Ok(recovered)
}

/// Removes a database with what SQLite keeps beside it.
fn clear<F: Files>(files: &mut F, name: &str) -> Result<(), StoreError> {
    for suffix in [F::LOG, "-shm", ""] {
        files.remove(&format!("{name}{suffix}"))?;
    }
    Ok(())
}

fn forget<F: Files>(files: &mut F, damaged: &str) -> Result<(), StoreError> {
    files.remove(&format!("{damaged}{}", F::KEPT_LOG))?;
    files.remove(damaged)
}

/// The damaged files of a database, the newest last.
pub fn kept(name: &str, names: &[String]) -> Vec<String> {
    let mut kept: Vec<(u64, &String)> = names
        .iter()
        .filter_map(|there| Some((time_of(name, there)?, there)))
        .collect();
    kept.sort_unstable();
    kept.into_iter().map(|(_, name)| name.clone()).collect()
}

/// The time in the name of a damaged file of this database.
fn time_of(name: &str, damaged: &str) -> Option<u64> {
    let rest = damaged.strip_prefix(stem(name))?.strip_prefix(".damaged-")?;
    rest.strip_suffix(DATABASE)?.parse().ok()
}

fn stem(name: &str) -> &str {
    name.strip_suffix(DATABASE).unwrap_or(name)
}

//! Opening the database file, a damaged one too: it is kept as it is beside a new one, which gets everything that can
//! still be read.
//!
//! The steps are renames, so that a crash between any two is found at the next start: `posts.db` becomes
//! `posts.damaged-<unix time>.db` (its log with it), `posts.recovering.db` is filled from that and becomes `posts.db`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sazanami_core::store::{Bytes, Recovered, SqliteStore, StoreError};
use sazanami_core::time::Millis;

/// Damaged files that are kept, for whoever can make more of them: the newest ones.
const MAX_KEPT: usize = 3;

/// Opens or creates a database; puts a damaged one together again, and tells what came of it. The store tells the
/// person ([`sazanami_core::store::RECOVERED`]).
///
/// # Errors
/// When the database cannot be opened for another reason, or there is no room for a new one.
pub(crate) fn open(path: &Path, now: Millis) -> Result<(SqliteStore, Option<Recovered>), StoreError> {
    if !path.exists()
        && let Some(damaged) = kept(path).pop()
    {
        tracing::warn!("going on with an interrupted recovery");
        return recover(path, &damaged, now).map(|(store, recovered)| (store, Some(recovered)));
    }
    match SqliteStore::open(path) {
        Err(error) if error.damaged => {
            tracing::error!(%error, "the database is damaged");
            reopen_damaged(path, now).map(|(store, recovered)| (store, Some(recovered)))
        }
        opened => opened.map(|store| (store, None)),
    }
}

/// Puts a database together again that was found damaged while it was in use; it must be closed.
///
/// # Errors
/// As [`open`].
pub(crate) fn reopen_damaged(path: &Path, now: Millis) -> Result<(SqliteStore, Recovered), StoreError> {
    let newest = kept(path)
        .pop()
        .and_then(|kept| time_of(path, &kept))
        .unwrap_or(0);
    let time = (now.0 / 1000).max(newest + 1);
    let damaged = path.with_extension(format!("damaged-{time}.db"));
    std::fs::rename(path, &damaged).map_err(failed)?;
    recover(path, &damaged, now)
}

fn recover(path: &Path, damaged: &Path, now: Millis) -> Result<(SqliteStore, Recovered), StoreError> {
    // The log may hold what the file does not: it goes where its file went.
    let log = beside(damaged, "-wal");
    match std::fs::rename(beside(path, "-wal"), &log) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    remove(&beside(path, "-shm"))?;
    let mut kept = kept(path);
    kept.truncate(kept.len().saturating_sub(MAX_KEPT));
    for oldest in kept {
        remove(&beside(&oldest, "-wal"))?;
        remove(&oldest)?;
    }
    let new = path.with_extension("recovering.db");
    for suffix in ["", "-wal", "-shm"] {
        remove(&beside(&new, suffix))?;
    }
    let recovered = {
        let mut store = SqliteStore::open(&new)?;
        let mut file = Disk::open(damaged).map_err(failed)?;
        let mut log = Disk::open(&log).ok();
        let log = log.as_mut().map(|log| log as &mut dyn Bytes);
        store.recover_from(&mut file, log, now)?
        // Closing it writes its log back into the file.
    };
    File::open(&new)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    if let Some(folder) = path.parent().filter(|_| cfg!(unix)) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
    }
    tracing::warn!(
        events = recovered.events,
        lost = recovered.lost,
        damaged = %damaged.display(),
        "the database was put together again; the damaged file is kept"
    );
    Ok((SqliteStore::open(path)?, recovered))
}

/// The damaged files beside a database, the newest last.
fn kept(path: &Path) -> Vec<PathBuf> {
    let Some(entries) = path.parent().and_then(|folder| folder.read_dir().ok()) else {
        return Vec::new();
    };
    let mut kept: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((time_of(path, &entry.path())?, entry.path())))
        .collect();
    kept.sort_unstable();
    kept.into_iter().map(|(_, path)| path).collect()
}

/// The time in the name of a damaged file of this database.
fn time_of(path: &Path, damaged: &Path) -> Option<u64> {
    let name = damaged.file_name()?.to_str()?;
    let rest = name.strip_prefix(path.file_stem()?.to_str()?)?;
    rest.strip_prefix(".damaged-")?.strip_suffix(".db")?.parse().ok()
}

/// The name of a file that SQLite keeps beside a database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn failed(error: io::Error) -> StoreError {
    StoreError {
        context: "recovering a damaged database",
        full: error.kind() == io::ErrorKind::StorageFull,
        reason: error.to_string(),
        damaged: false,
    }
}

/// A file on a disk that may refuse to read parts of it.
struct Disk {
    file: File,
    size: u64,
}

impl Disk {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl Bytes for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> usize {
        use std::io::{Read, Seek, SeekFrom};
        if self.file.seek(SeekFrom::Start(offset)).is_err() {
            return 0;
        }
        let mut read = 0;
        while read < buffer.len() {
            match self.file.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A bad sector: the page is lost, the next one may not be.
                Err(_) => break,
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use sazanami_core::store::conformance::fixtures::{NOW, note, person};
    use sazanami_core::store::{Put, RECOVERED, Scope, Store};

    use super::*;

    fn filled(folder: &Path) -> PathBuf {
        let path = folder.join("posts.db");
        let (mut store, recovered) = open(&path, NOW).unwrap();
        assert_eq!(recovered, None);
        let events: Vec<_> = (0..50)
            .map(|n| note(&person(1), &format!("note {n}"), n))
            .collect();
        assert!(
            store
                .put(&events, NOW)
                .unwrap()
                .iter()
                .all(|put| *put == Put::Stored)
        );
        path
    }

    fn notes(store: &SqliteStore) -> usize {
        store.timeline(Scope::Everyone, None, 1000).unwrap().notes.len()
    }

    fn damage(path: &Path) {
        use std::io::{Seek, Write};
        let mut file = File::options().write(true).open(path).unwrap();
        file.rewind().unwrap();
        file.write_all(&[7; 4096]).unwrap();
    }

    #[test]
    fn a_damaged_file_is_kept_and_put_together_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path());
        damage(&path);
        let damaged = std::fs::read(&path).unwrap();
        let (store, recovered) = open(&path, NOW).unwrap();
        assert_eq!((notes(&store), recovered.unwrap().events), (50, 50));
        assert!(store.setting(RECOVERED).unwrap().is_some());
        let copies = kept(&path);
        assert_eq!(copies.len(), 1);
        assert_eq!(std::fs::read(&copies[0]).unwrap(), damaged);
        drop(store);
        let (_, recovered) = open(&path, NOW).unwrap();
        assert_eq!(recovered, None, "once is enough");
    }

    #[test]
    fn no_more_than_a_few_damaged_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path());
        for _ in 0..5 {
            damage(&path);
            assert_eq!(notes(&open(&path, NOW).unwrap().0), 50);
        }
        assert_eq!(kept(&path).len(), MAX_KEPT);
    }

    /// At every step a crash leaves the files as that step found them.
    #[test]
    fn an_interrupted_recovery_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path());
        damage(&path);
        // Renamed and no further; with a half-filled database, which is not to be trusted.
        std::fs::rename(&path, folder.path().join("posts.damaged-9.db")).unwrap();
        std::fs::write(folder.path().join("posts.recovering.db"), "half").unwrap();
        let (store, recovered) = open(&path, NOW).unwrap();
        assert_eq!((notes(&store), recovered.unwrap().events), (50, 50));
        assert!(!folder.path().join("posts.recovering.db").exists());
    }
}

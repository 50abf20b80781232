//! The database's folder on a disk, in which a damaged database is put together again ([`sazanami_core::store::mend`]).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sazanami_core::store::mend::{self, Files};
use sazanami_core::store::{Bytes, Recovered, SqliteStore, StoreError};
use sazanami_core::time::Millis;

/// As [`mend::open`].
pub(crate) async fn open(path: &Path, now: Millis) -> Result<(SqliteStore, Option<Recovered>), StoreError> {
    let (mut folder, name) = Folder::of(path)?;
    mend::open(&mut folder, name, now).await
}

/// Puts a database together again that was found damaged while it was in use; it must be closed.
///
/// # Errors
/// As [`open`].
pub(crate) async fn reopen_damaged(
    path: &Path,
    now: Millis,
) -> Result<(SqliteStore, Option<Recovered>), StoreError> {
    let (mut folder, name) = Folder::of(path)?;
    mend::put_aside(&mut folder, name, now).await?;
    mend::open(&mut folder, name, now).await
}

/// A folder of files.
struct Folder(PathBuf);

impl Folder {
    /// The folder of a file, and its name there.
    fn of(path: &Path) -> Result<(Self, &str), StoreError> {
        match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (Some(folder), Some(name)) => Ok((Self(Path::new(".").join(folder)), name)),
            _ => Err(failed(io::Error::other("the database has no name"))),
        }
    }
}

impl Files for Folder {
    const LOG: &'static str = "-wal";

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let entries = self.0.read_dir().map_err(failed)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
        names
            // What is no text is none of ours.
            .filter_map(|name| name.map(Result::ok).transpose())
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        match std::fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<(), StoreError> {
        let from = self.0.join(from);
        let synced = File::open(&from).and_then(|file| file.sync_all());
        synced.map_err(failed)?;
        std::fs::rename(&from, self.0.join(to)).map_err(failed)?;
        // Only Unix can sync a folder.
        if cfg!(unix) {
            let synced = File::open(&self.0).and_then(|folder| folder.sync_all());
            synced.map_err(failed)?;
        }
        Ok(())
    }

    async fn open(&mut self, name: &str) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(self.0.join(name))
    }

    fn read(&self, name: &str) -> Result<Box<dyn Bytes>, StoreError> {
        let file = Disk::open(&self.0.join(name)).map_err(failed)?;
        Ok(Box::new(file))
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
    use futures::executor::block_on;
    use sazanami_core::store::conformance::{Breakable, mending};

    use super::*;

    impl Breakable for Folder {
        async fn alter(&mut self, name: &str, alter: &mut dyn FnMut(&mut Vec<u8>)) {
            let mut bytes = std::fs::read(self.0.join(name)).unwrap();
            alter(&mut bytes);
            std::fs::write(self.0.join(name), bytes).unwrap();
        }
    }

    #[test]
    fn a_damaged_database_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        block_on(mending(&mut Folder(folder.path().to_owned())));
    }
}

//! Images and files as plain files beside the database.
//!
//! `own/` and `cache/` hold whole blobs, each named by its hash; `partial/` what is being fetched, with its size in
//! the name. A partial is moved only after its bytes are on disk, so that a file in the first two is always whole.
//! A file's time of change says when it was last used.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sazanami_core::media::{BlobError, BlobId, Blobs, Entry, Keep, Medium};
use sazanami_core::time::Millis;

const OWN: &str = "own";
const CACHE: &str = "cache";
const PARTIAL: &str = "partial";

/// Blobs in files.
pub type FileBlobs = Blobs<FileMedium>;

/// Opens the blobs in a folder, making it if need be. Only one process may have it: see [`crate::data_dir::DataDir`].
///
/// # Errors
/// When it cannot be made or read.
pub fn open(folder: &Path, budget: u64) -> Result<FileBlobs, BlobError> {
    for name in [OWN, CACHE, PARTIAL] {
        fs::create_dir_all(folder.join(name)).map_err(failed("making the folder of media"))?;
    }
    let medium = FileMedium {
        folder: folder.to_owned(),
        writing: BTreeMap::new(),
    };
    Blobs::open(medium, budget)
}

/// A folder of blobs.
#[derive(Debug)]
pub struct FileMedium {
    folder: PathBuf,
    /// The partials that are open.
    writing: BTreeMap<BlobId, File>,
}

fn failed(context: &'static str) -> impl Fn(io::Error) -> BlobError {
    move |error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::DiskFull,
        _ => BlobError::Storage {
            context,
            reason: error.to_string(),
        },
    }
}

/// The folder of whole blobs, which also ends a partial's name.
fn kind(keep: Keep) -> &'static str {
    match keep {
        Keep::Own => OWN,
        Keep::Cached => CACHE,
    }
}

impl FileMedium {
    fn path(&self, id: &BlobId, entry: &Entry) -> PathBuf {
        if entry.whole {
            self.folder.join(kind(entry.keep)).join(id.to_string())
        } else {
            let name = format!("{id}-{}-{}", entry.size, kind(entry.keep));
            self.folder.join(PARTIAL).join(name)
        }
    }

    fn files(&self, name: &str) -> io::Result<Vec<(String, fs::Metadata)>> {
        let mut files = Vec::new();
        for file in fs::read_dir(self.folder.join(name))? {
            let file = file?;
            let metadata = file.metadata()?;
            if let (Ok(name), true) = (file.file_name().into_string(), metadata.is_file()) {
                files.push((name, metadata));
            }
        }
        Ok(files)
    }

    fn file(&mut self, id: &BlobId, entry: &Entry) -> io::Result<&mut File> {
        let path = self.path(id, entry);
        match self.writing.entry(*id) {
            std::collections::btree_map::Entry::Occupied(file) => Ok(file.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(OpenOptions::new().write(true).open(path)?))
            }
        }
    }

    fn write(&mut self, id: &BlobId, entry: &Entry, bytes: &[u8]) -> io::Result<()> {
        let have = entry.have;
        let file = self.file(id, entry)?;
        let written = file
            .seek(SeekFrom::Start(have))
            .and_then(|_| file.write_all(bytes));
        if written.is_err() {
            file.set_len(have)?;
        }
        written
    }

    /// Moves a file and makes that durable.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        // Only Unix can sync a folder.
        if cfg!(unix) {
            for folder in [to, from].iter().filter_map(|path| path.parent()) {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    fn make_whole(&mut self, id: &BlobId, entry: &Entry) -> io::Result<()> {
        let file = self.file(id, entry)?;
        file.set_modified(UNIX_EPOCH + Duration::from_millis(entry.used.0))?;
        file.sync_all()?;
        // Closed first: Windows moves no open file.
        self.writing.remove(id);
        let whole = Entry {
            whole: true,
            ..*entry
        };
        self.rename(&self.path(id, entry), &self.path(id, &whole))
    }
}

fn used(metadata: &fs::Metadata) -> Millis {
    let since = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// What a partial's name says.
fn read_partial(name: &str) -> Option<(BlobId, u64, Keep)> {
    let mut parts = name.split('-');
    let (id, size) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let keep = match parts.next()? {
        OWN => Keep::Own,
        CACHE => Keep::Cached,
        _ => return None,
    };
    parts.next().is_none().then_some((id, size, keep))
}

impl Medium for FileMedium {
    fn found(&mut self) -> Result<Vec<(BlobId, Entry)>, BlobError> {
        let reading = failed("reading the folder of media");
        let mut found = BTreeMap::new();
        for (name, metadata) in self.files(PARTIAL).map_err(&reading)? {
            let Some((id, size, keep)) = read_partial(&name) else {
                continue;
            };
            let entry = Entry {
                size,
                have: metadata.len().min(size),
                whole: false,
                keep,
                used: used(&metadata),
            };
            found.insert(id, entry);
        }
        // A blob that is own as well as cached is own.
        for keep in [Keep::Cached, Keep::Own] {
            for (name, metadata) in self.files(kind(keep)).map_err(&reading)? {
                let Ok(id) = name.parse() else {
                    continue;
                };
                let entry = Entry {
                    size: metadata.len(),
                    have: metadata.len(),
                    whole: true,
                    keep,
                    used: used(&metadata),
                };
                if let Some(other) = found.insert(id, entry) {
                    self.remove(&id, &other)?;
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    fn create(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        let file = File::create(self.path(id, entry)).map_err(failed("beginning a blob"))?;
        self.writing.insert(*id, file);
        Ok(())
    }

    fn append(&mut self, id: &BlobId, entry: &Entry, bytes: &[u8]) -> Result<(), BlobError> {
        self.write(id, entry, bytes).map_err(failed("writing a blob"))
    }

    fn read(&self, id: &BlobId, entry: &Entry, offset: u64, into: &mut [u8]) -> Result<(), BlobError> {
        let mut read = || {
            let mut file = File::open(self.path(id, entry))?;
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(into)
        };
        read().map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => BlobError::Damaged(*id),
            _ => failed("reading a blob")(error),
        })
    }

    fn commit(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.make_whole(id, entry).map_err(failed("keeping a blob"))
    }

    fn rest(&mut self, id: &BlobId, _: &Entry) -> Result<(), BlobError> {
        match self.writing.remove(id) {
            Some(file) => file.sync_all().map_err(failed("keeping part of a blob")),
            None => Ok(()),
        }
    }

    fn touch(&mut self, id: &BlobId, entry: &Entry) {
        let time = UNIX_EPOCH + Duration::from_millis(entry.used.0);
        // It may be lost: then the blob is dropped a little earlier than others.
        let _ = OpenOptions::new()
            .write(true)
            .open(self.path(id, entry))
            .and_then(|file| file.set_modified(time));
    }

    fn set_keep(&mut self, id: &BlobId, entry: &Entry, keep: Keep) -> Result<(), BlobError> {
        // Opened again under its new name when it goes on.
        self.writing.remove(id);
        let moved = Entry { keep, ..*entry };
        self.rename(&self.path(id, entry), &self.path(id, &moved))
            .map_err(failed("keeping a blob"))
    }

    fn remove(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.writing.remove(id);
        match fs::remove_file(self.path(id, entry)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("removing a blob")(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use sazanami_core::media::{BlobStore, DEFAULT_BUDGET, conformance};

    use super::*;

    #[test]
    fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let mut number = 0;
        conformance::suite(|_, budget| {
            number += 1;
            open(&folder.path().join(number.to_string()), budget).unwrap()
        });
    }

    #[test]
    fn is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        conformance::durable(|before: Option<FileBlobs>| {
            drop(before);
            open(folder.path(), DEFAULT_BUDGET).unwrap()
        });
    }

    #[test]
    fn whole_blobs_are_plain_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut blobs = open(folder.path(), DEFAULT_BUDGET).unwrap();
        let id = blobs.put(b"a picture", Keep::Own, Millis(1)).unwrap();
        let file = folder.path().join(OWN).join(id.to_string());
        assert_eq!(fs::read(&file).unwrap(), b"a picture");
        assert!(
            fs::read_dir(folder.path().join(PARTIAL))
                .unwrap()
                .next()
                .is_none()
        );
        // What others put there is left alone; a file that was changed is noticed.
        fs::write(folder.path().join(OWN).join("notes.txt"), "mine").unwrap();
        fs::write(&file, b"A picture").unwrap();
        drop(blobs);
        let mut blobs = open(folder.path(), DEFAULT_BUDGET).unwrap();
        assert_eq!(blobs.list().len(), 1);
        assert_eq!(blobs.read_checked(&id, Millis(2)), Err(BlobError::Damaged(id)));
        assert_eq!(blobs.info(&id), None, "so that it can be fetched again");
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_is_gone_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let mut blobs = open(folder.path(), DEFAULT_BUDGET).unwrap();
        let id = blobs.put(b"a picture", Keep::Cached, Millis(1)).unwrap();
        fs::remove_file(folder.path().join(CACHE).join(id.to_string())).unwrap();
        assert_eq!(blobs.read(&id, 0, 5), Err(BlobError::Damaged(id)));
        assert_eq!(blobs.remove(&id), Ok(true));
    }
}

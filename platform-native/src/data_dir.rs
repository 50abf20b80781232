//! The folder in which a peer keeps everything, owned by one process at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A data directory, locked for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("another Sazanami is running on {}: stop it, or choose another --data-dir", .0.display())]
    InUse(PathBuf),
    /// The platform names no place for data.
    #[error("there is no home directory: choose a --data-dir")]
    NoHome,
    /// It cannot be made or locked.
    #[error("{} cannot be used as data directory: {reason}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
}

impl DataDir {
    /// The platform's place for a program's data.
    ///
    /// # Errors
    /// Without a home directory.
    pub fn default_path(program: &str) -> Result<PathBuf, DataDirError> {
        let places = directories::ProjectDirs::from("", "", program).ok_or(DataDirError::NoHome)?;
        Ok(places.data_local_dir().to_owned())
    }

    /// Opens a directory, making it if need be, readable by its owner alone.
    ///
    /// # Errors
    /// When another process has it, or it cannot be made or locked.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let fault = |reason| DataDirError::Io {
            path: path.to_owned(),
            reason,
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(fault)?;
        // Links and relative parts resolved: it names the directory in the keyring.
        let path = path.canonicalize().map_err(fault)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(|reason| DataDirError::Io {
                path: path.clone(),
                reason,
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path)),
            Err(TryLockError::Error(reason)) => Err(DataDirError::Io { path, reason }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join("posts.db")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_look_into_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let _dir = DataDir::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Io { .. })));
    }
}

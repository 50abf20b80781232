//! The secret key in a file that only its owner can read.

use std::io;
use std::path::{Path, PathBuf};

use sazanami_core::Keys;
use sazanami_core::identity::{Vault, VaultError, nsec, parse_nsec};

use super::{unkept, unread};
use crate::durable::write_private;

/// Keeps the key in `secret-key` of a data directory, in its `nsec1…` form, with mode 0600.
#[derive(Debug)]
pub struct FileVault {
    path: PathBuf,
}

impl FileVault {
    /// The vault of a data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("secret-key"),
        }
    }

    fn in_file(&self, reason: impl std::fmt::Display) -> String {
        format!("{}: {reason}", self.path.display())
    }
}

impl Vault for FileVault {
    fn load(&mut self) -> Result<Option<Keys>, VaultError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => parse_nsec(&text)
                .map(Some)
                .map_err(|error| unread(self.in_file(error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unread(self.in_file(error))),
        }
    }

    fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
        write_private(&self.path, format!("{}\n", nsec(keys)).as_bytes())
            .map_err(|error| unkept(self.in_file(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_key_is_found_again_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate();
        assert_eq!(FileVault::new(folder.path()).load().unwrap(), None);
        // What a crash in the middle of saving leaves behind.
        std::fs::write(folder.path().join("secret-key.tmp"), "nsec1half").unwrap();
        FileVault::new(folder.path()).save(&keys).unwrap();
        let found = FileVault::new(folder.path()).load().unwrap().unwrap();
        assert_eq!(found.secret_key(), keys.secret_key());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = folder
                .path()
                .join("secret-key")
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret-key"), "").unwrap();
        assert!(FileVault::new(folder.path()).load().is_err());
    }
}

//! Where the secret key is kept: the keyring of the desktop session where there is one, else a private file.

mod file;
mod keyring;

use std::path::{Path, PathBuf};

use sazanami_core::Keys;
use sazanami_core::identity::{Vault, VaultError};

pub use self::file::FileVault;
pub use self::keyring::KeyringVault;

use crate::durable::write_private;

/// The desktop's vault. A new key goes to the keyring, or to the file when there is no keyring; from then on it is
/// looked for where it went, so that a keyring that is locked today never makes somebody new of its owner.
pub struct DesktopVault<K = KeyringVault> {
    file: FileVault,
    keyring: K,
    /// Present when the key is in the keyring.
    marker: PathBuf,
}

impl DesktopVault {
    /// The vault of a data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self::with(data_dir, KeyringVault::new(data_dir))
    }
}

impl<K: Vault> DesktopVault<K> {
    fn with(data_dir: &Path, keyring: K) -> Self {
        Self {
            file: FileVault::new(data_dir),
            keyring,
            marker: data_dir.join("key-in-keyring"),
        }
    }

    fn save_in_keyring(&mut self, keys: &Keys) -> Result<(), VaultError> {
        self.keyring.save(keys)?;
        // Some keyrings take everything and keep nothing.
        if self
            .keyring
            .load()?
            .is_none_or(|kept| kept.public_key() != keys.public_key())
        {
            return Err(unkept("the keyring did not keep it"));
        }
        let note = "The secret key of this directory is in the keyring of the desktop session.\n";
        write_private(&self.marker, note.as_bytes()).map_err(unkept)
    }
}

impl<K: Vault> Vault for DesktopVault<K> {
    fn load(&mut self) -> Result<Option<Keys>, VaultError> {
        if let Some(keys) = self.file.load()? {
            return Ok(Some(keys));
        }
        match self.marker.try_exists() {
            Ok(false) => Ok(None),
            Ok(true) => match self.keyring.load()? {
                Some(keys) => Ok(Some(keys)),
                None => Err(unread("it was put into the keyring and is no longer there")),
            },
            Err(error) => Err(unread(error)),
        }
    }

    fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
        self.save_in_keyring(keys).or_else(|error| {
            tracing::info!(%error, "no keyring: the secret key goes to a private file");
            self.file.save(keys)
        })
    }
}

fn unread(reason: impl ToString) -> VaultError {
    VaultError {
        action: "read",
        reason: reason.to_string(),
    }
}

fn unkept(reason: impl ToString) -> VaultError {
    VaultError {
        action: "kept",
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sazanami_core::identity::MemoryVault;

    /// A keyring that can be locked, and one that forgets.
    struct Keyring {
        kept: MemoryVault,
        locked: bool,
    }

    impl Vault for Keyring {
        fn load(&mut self) -> Result<Option<Keys>, VaultError> {
            if self.locked {
                Err(unread("locked"))
            } else {
                self.kept.load()
            }
        }

        fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
            if self.locked {
                Err(unkept("locked"))
            } else {
                self.kept.save(keys)
            }
        }
    }

    fn keyring(kept: Option<Keys>, locked: bool) -> Keyring {
        Keyring {
            kept: MemoryVault(kept),
            locked,
        }
    }

    #[test]
    fn a_locked_keyring_never_makes_a_new_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate();
        let mut vault = DesktopVault::with(folder.path(), keyring(None, false));
        assert_eq!(vault.load().unwrap(), None);
        vault.save(&keys).unwrap();
        assert!(
            !folder.path().join("secret-key").exists(),
            "it is in the keyring alone"
        );
        assert_eq!(vault.load().unwrap().unwrap().public_key(), keys.public_key());

        assert!(
            DesktopVault::with(folder.path(), keyring(Some(keys.clone()), true))
                .load()
                .is_err()
        );
        assert!(
            DesktopVault::with(folder.path(), keyring(None, false))
                .load()
                .is_err(),
            "the keyring lost it"
        );
        let mut back = DesktopVault::with(folder.path(), keyring(Some(keys), false));
        assert!(back.load().unwrap().is_some());
    }

    #[test]
    fn without_a_keyring_the_file_is_used_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate();
        DesktopVault::with(folder.path(), keyring(None, true))
            .save(&keys)
            .unwrap();
        for locked in [true, false] {
            let mut vault = DesktopVault::with(folder.path(), keyring(Some(Keys::generate()), locked));
            assert_eq!(vault.load().unwrap().unwrap().public_key(), keys.public_key());
        }
    }
}

//! The secret key in the keyring of the desktop session (Secret Service, Keychain, Credential Manager).

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use keyring::Entry;
use sazanami_core::Keys;
use sazanami_core::identity::{Vault, VaultError, nsec, parse_nsec};

use super::{unkept, unread};

/// A keyring without a session bus, or one that waits for a password that nobody gives, must not hold up the start.
const LIMIT: Duration = Duration::from_secs(3);

/// Keeps the key under the service `sazanami`, by data directory.
#[derive(Debug)]
pub struct KeyringVault {
    account: String,
}

impl KeyringVault {
    /// The vault of a data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            account: data_dir.display().to_string(),
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let account = self.account.clone();
        let (sender, answer) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                // After the limit nobody listens.
                let _ = sender.send(Entry::new("sazanami", &account).and_then(question));
            })
            .map_err(|error| error.to_string())?;
        match answer.recv_timeout(LIMIT) {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "the keyring did not answer within {} seconds",
                LIMIT.as_secs()
            )),
        }
    }
}

impl Vault for KeyringVault {
    fn load(&mut self) -> Result<Option<Keys>, VaultError> {
        let secret = self.ask(|entry| match entry.get_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        });
        let secret = secret.map_err(unread)?;
        secret
            .map(|secret| parse_nsec(&secret).map_err(unread))
            .transpose()
    }

    fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
        let secret = nsec(keys);
        self.ask(move |entry| entry.set_password(&secret)).map_err(unkept)
    }
}

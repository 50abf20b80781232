//! The secret key's place: a database of one row, and a copy of it.

use nostr::prelude::SecretKey;
use rusqlite::{Connection, OptionalExtension};
use sazanami_core::Keys;
use sazanami_core::identity::{Vault, VaultError};
use sqlite_wasm_rs::vfs::VfsFilesManager;

use super::databases::Pool;

/// A key kept in SQLite, written through to the disk.
pub struct SqliteVault(Connection);

impl SqliteVault {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &str) -> Result<Self, VaultError> {
        Self::prepare(path)
            .map(Self)
            .map_err(|error| failed("read", &error))
    }

    fn prepare(path: &str) -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS identity (
                 one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
                 secret BLOB    NOT NULL CHECK (length(secret) = 32)
             ) STRICT;",
        )?;
        Ok(connection)
    }
}

impl Vault for SqliteVault {
    fn load(&mut self) -> Result<Option<Keys>, VaultError> {
        let secret: Option<[u8; 32]> = self
            .0
            .query_row("SELECT secret FROM identity", [], |row| row.get(0))
            .optional()
            .map_err(|error| failed("read", &error))?;
        secret
            .map(|bytes| {
                SecretKey::from_slice(&bytes)
                    .map(Keys::new)
                    .map_err(|error| failed("read", &error))
            })
            .transpose()
    }

    fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
        self.0
            .execute(
                "INSERT INTO identity (one, secret) VALUES (1, ?1)
                 ON CONFLICT (one) DO UPDATE SET secret = excluded.secret",
                [keys.secret_key().to_secret_bytes()],
            )
            .map(drop)
            .map_err(|error| failed("kept", &error))
    }
}

/// A key kept in two files: each brings it back when the other is damaged.
pub struct TwinVault {
    keys: Option<Keys>,
    files: Vec<SqliteVault>,
}

impl TwinVault {
    /// Opens or makes the two databases. One that is damaged or without the key gets it from the other; when they do
    /// not agree, the `owner` of the posts tells whose key is the right one.
    ///
    /// # Errors
    /// When the key may have been in what cannot be read: better no vault than one without it.
    pub fn open(pool: &Pool, names: [&str; 2], owner: Option<&str>) -> Result<Self, VaultError> {
        let found = names.map(|name| SqliteVault::open(name).and_then(|mut vault| vault.load()));
        let there = || found.iter().flatten().flatten();
        let is_owners = |keys: &&Keys| owner.is_some_and(|owner| keys.public_key().to_hex() == owner);
        let keys = there().find(is_owners).or_else(|| there().next()).cloned();
        if keys.is_none()
            && let [Err(error), _] | [_, Err(error)] = found
        {
            return Err(error);
        }
        let mut files = Vec::new();
        for (name, found) in names.into_iter().zip(found) {
            let found = found.ok().flatten();
            let file = match &keys {
                Some(keys) if found.as_ref() != Some(keys) => {
                    tracing::warn!(name, "the secret key comes from its other place");
                    renewed(pool, name, keys)
                }
                _ => SqliteVault::open(name),
            };
            match file {
                Ok(file) => files.push(file),
                // The key is known: one place is enough to go on with.
                Err(error) if keys.is_some() => tracing::error!(%error, name, "one place of the secret key"),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { keys, files })
    }
}

/// A database made anew, whose content is known.
fn renewed(pool: &Pool, name: &str, keys: &Keys) -> Result<SqliteVault, VaultError> {
    for file in [&format!("{name}-journal"), name] {
        pool.util.remove(file).map_err(|error| failed("kept", &error))?;
    }
    let mut vault = SqliteVault::open(name)?;
    vault.save(keys)?;
    Ok(vault)
}

impl Vault for TwinVault {
    fn load(&mut self) -> Result<Option<Keys>, VaultError> {
        Ok(self.keys.clone())
    }

    fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
        for file in &mut self.files {
            file.save(keys)?;
        }
        self.keys = Some(keys.clone());
        Ok(())
    }
}

fn failed(action: &'static str, error: &dyn std::fmt::Display) -> VaultError {
    VaultError {
        action,
        reason: error.to_string(),
    }
}

//! The secret key's place: a database of one row.

use nostr::prelude::SecretKey;
use rusqlite::{Connection, OptionalExtension};
use sazanami_core::Keys;
use sazanami_core::identity::{Vault, VaultError};

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

fn failed(action: &'static str, error: &dyn std::fmt::Display) -> VaultError {
    VaultError {
        action,
        reason: error.to_string(),
    }
}

//! SQLite's errors in the store's terms.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// The pages do not hold together, or hold what this program does not write.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) => true,
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

/// Says what was being done.
pub(super) trait Context<T> {
    fn context(self, context: &'static str) -> Result<T, StoreError>;
}

impl<T> Context<T> for rusqlite::Result<T> {
    fn context(self, context: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError {
            context,
            reason: error.to_string(),
            full: error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            damaged: is_damage(&error),
        })
    }
}

//! The schema's versions. `PRAGMA user_version` says which one a database has.

use rusqlite::{Connection, TransactionBehavior};

use super::error::Context;
use crate::store::StoreError;

mod version_1;

/// Version n is reached by the n-th script. A script that was released is never changed.
const SCRIPTS: [Step<'static>; 5] = [
    Step {
        script: include_str!("migrations/001_init.sql"),
        carry_over: None,
    },
    Step {
        script: include_str!("migrations/002_engine.sql"),
        carry_over: None,
    },
    Step {
        script: include_str!("migrations/003_scale.sql"),
        carry_over: None,
    },
    Step {
        script: include_str!("migrations/004_counts.sql"),
        // Whatever comes from version 1 is put into the tables as they are now.
        carry_over: Some(version_1::carry_over),
    },
    Step {
        script: include_str!("migrations/005_requests.sql"),
        carry_over: None,
    },
];
const CONTEXT: &str = "updating the database";

/// Rust that a migration needs beside its SQL.
type CarryOver = fn(&Connection) -> Result<(), StoreError>;

/// How a version is reached.
#[derive(Clone, Copy)]
struct Step<'a> {
    script: &'a str,
    /// What SQL alone cannot do, after the script and in the same transaction.
    carry_over: Option<CarryOver>,
}

/// Runs what is missing, each script in a transaction of its own.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    run_scripts(connection, &SCRIPTS)
}

fn run_scripts(connection: &mut Connection, scripts: &[Step<'_>]) -> Result<(), StoreError> {
    loop {
        let version = version(connection).context(CONTEXT)?;
        if version == scripts.len() {
            return Ok(());
        }
        if version > scripts.len() {
            return Err(StoreError {
                context: "opening the database",
                reason: format!(
                    "it was written by a newer version of Sazanami (schema {version}, this one knows {}); \
                     please update",
                    scripts.len()
                ),
                full: false,
                damaged: false,
            });
        }
        apply(connection, version, scripts[version])?;
    }
}

fn apply(connection: &mut Connection, from: usize, step: Step<'_>) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .context(CONTEXT)?;
    // Another process may have been quicker.
    if version(&transaction).context(CONTEXT)? == from {
        transaction.execute_batch(step.script).context(CONTEXT)?;
        if let Some(carry_over) = step.carry_over {
            carry_over(&transaction)?;
        }
        let to = i64::try_from(from).unwrap_or(i64::MAX) + 1;
        transaction
            .pragma_update(None, "user_version", to)
            .context(CONTEXT)?;
    }
    transaction.commit().context(CONTEXT)
}

/// A negative version, which no release wrote, counts as one that is too new.
fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(script: &str) -> Step<'_> {
        Step {
            script,
            carry_over: None,
        }
    }

    #[test]
    fn a_failing_script_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        let scripts = ["CREATE TABLE a (x) STRICT", "CREATE TABLE a (x INTEGER) STRICT"].map(step);
        assert!(
            run_scripts(&mut connection, &scripts).is_err(),
            "a column without a type in the first"
        );
        let scripts = [
            "CREATE TABLE a (x INTEGER) STRICT",
            "CREATE TABLE b (x INTEGER) STRICT; SELECT broken",
        ]
        .map(step);
        assert!(run_scripts(&mut connection, &scripts).is_err());
        assert_eq!(version(&connection).unwrap(), 1, "the first script holds");
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1, "nothing of the second remains");
        run_scripts(
            &mut connection,
            &[scripts[0], step("CREATE TABLE b (x INTEGER) STRICT")],
        )
        .unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
    }
}

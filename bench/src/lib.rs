//! What the benchmark programs share.
//!
//! - [`corpus`]: the generated events, kept as a file
//! - [`ingest`]: taking it into a store, verified on every core
//! - [`plain`]: the reference schema in SQLite: what anybody would write in an afternoon
//! - [`process`]: a process's processor time and memory
//! - [`queries`]: what the interface asks
//! - [`reconciling`]: reconciliation messages alone
//! - [`report`]: figures, one JSON line each, for the table at the end
//! - [`samples`]: percentiles
//! - [`session`]: two sessions in memory

pub mod corpus;
pub mod ingest;
pub mod plain;
pub mod process;
pub mod queries;
pub mod reconciling;
pub mod report;
pub mod samples;
pub mod session;

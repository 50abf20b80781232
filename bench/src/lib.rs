//! What the benchmark programs share.
//!
//! - [`corpus`]: the generated events, kept as a file
//! - [`ingest`]: taking it into a store, verified on every core
//! - [`plain`]: the reference schema in SQLite: what anybody would write in an afternoon
//! - [`queries`]: what the interface asks
//! - [`report`]: figures, one JSON line each, for the table at the end
//! - [`samples`]: percentiles
//! - [`session`]: two sessions in memory

pub mod corpus;
pub mod ingest;
pub mod plain;
pub mod queries;
pub mod report;
pub mod samples;
pub mod session;

//! What the benchmark programs share.
//!
//! - [`corpus`]: the generated events, kept as a file
//! - [`plain`]: the reference schema in SQLite: what anybody would write in an afternoon
//! - [`report`]: figures, one JSON line each, for the table at the end
//! - [`samples`]: percentiles

pub mod corpus;
pub mod plain;
pub mod report;
pub mod samples;

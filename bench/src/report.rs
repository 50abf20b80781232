//! Figures as JSON lines, on the standard output.

use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured, as a path: `ingest/ours/100000`.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// Prints a figure.
pub fn figure(what: impl Into<String>, value: f64, unit: &str) {
    let figure = Figure {
        what: what.into(),
        value,
        unit: unit.to_owned(),
    };
    println!(
        "{}",
        serde_json::to_string(&figure).expect("a finite number and two texts serialise")
    );
}

//! What the command lines of the desktop app and the headless peer share.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use sazanami_core::signaling::ServerUrl;
use sazanami_core::transport::Route;
use tracing_subscriber::EnvFilter;

use crate::data_dir::{DataDir, DataDirError};

/// Everything went well.
pub const EXIT_OK: u8 = 0;
/// Something failed; the log says what.
pub const EXIT_FAILURE: u8 = 1;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Another process has the data directory.
pub const EXIT_IN_USE: u8 = 3;

/// The exit codes, for `--help`.
pub const EXIT_CODES: &str = "Exit codes:\n  \
    0  stopped as asked\n  \
    1  failure; the log says what\n  \
    2  wrong usage\n  \
    3  another process uses the data directory";

/// Options of both programs.
#[derive(Args, Debug)]
pub struct Shared {
    /// Where posts and the key are kept [default: the platform's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "SAZANAMI_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// A signal server, which introduces peers to each other; may be given several times (separated by commas in the
    /// environment): all are used, and any of them may fail
    #[arg(
        long,
        value_name = "URL",
        env = "SAZANAMI_SIGNAL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080"
    )]
    pub signal: Vec<ServerUrl>,

    /// Which way to peers: as chosen for each ring (at first friends and own devices directly, everybody else through TURN
    /// only, so that they never learn this device's address); or one way for everybody while this program runs
    #[arg(long, value_enum, default_value_t = RouteArg::ByRing)]
    pub route: RouteArg,

    /// How the log on stderr is written; RUST_LOG sets what it holds
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// [`Route`] on a command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RouteArg {
    /// As chosen for each ring.
    ByRing,
    /// Direct where possible, relayed where not.
    Any,
    /// Relayed always.
    RelayOnly,
}

impl From<RouteArg> for Option<Route> {
    fn from(route: RouteArg) -> Self {
        match route {
            RouteArg::ByRing => None,
            RouteArg::Any => Some(Route::Any),
            RouteArg::RelayOnly => Some(Route::RelayOnly),
        }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Shared {
    /// Starts the log.
    pub fn start_log(&self) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
            // What the `webrtc` crate calls an error is mostly a way to a peer that does not work; links tell their own.
            EnvFilter::new(
                "error,webrtc=off,sazanami=info,sazanami_peer=info,sazanami_native=info,sazanami_core=info",
            )
        });
        let log = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_env_filter(filter);
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().init(),
        }
    }

    /// Opens the data directory, or that of `program` when none is named.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open_data_dir(&self, program: &str) -> Result<DataDir, DataDirError> {
        match &self.data_dir {
            Some(path) => DataDir::open(path),
            None => DataDir::open(&DataDir::default_path(program)?),
        }
    }
}

/// The exit code that an unusable data directory leads to.
pub fn exit_code(error: &DataDirError) -> ExitCode {
    ExitCode::from(match error {
        DataDirError::InUse(_) => EXIT_IN_USE,
        DataDirError::NoHome => EXIT_USAGE,
        DataDirError::Io { .. } => EXIT_FAILURE,
    })
}

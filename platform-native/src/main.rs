//! The desktop app: Sazanami's component tree in a window, with a node behind it.

mod desktop;

use std::process::ExitCode;

use clap::Parser;
use sazanami_native::cli::{self, EXIT_FAILURE, Shared};
use sazanami_native::node_thread::Options;
use sazanami_native::vault::DesktopVault;

/// Sazanami, a social network without a company in the middle.
#[derive(Parser, Debug)]
#[command(name = "sazanami", version, after_help = cli::EXIT_CODES)]
struct Args {
    #[command(flatten)]
    shared: Shared,
}

fn main() -> ExitCode {
    let args = Args::parse();
    args.shared.start_log();
    let data_dir = match args.shared.open_data_dir("sazanami") {
        Ok(data_dir) => data_dir,
        Err(error) => {
            tracing::error!("{error}");
            return cli::exit_code(&error);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    let options = Options {
        database: data_dir.database(),
        vault: Box::new(DesktopVault::new(data_dir.path())),
        servers: args.shared.signal,
        route: args.shared.route.into(),
        relay: None,
    };
    desktop::run(&runtime, &data_dir, options)
}

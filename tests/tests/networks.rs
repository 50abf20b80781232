//! Behind real address translation, on bad lines and across a change of address, native peers meet as they should:
//! directly where ICE finds a way, else through TURN. The program `networks` prints the whole matrix.

use std::process::Command;

use anyhow::{Result, ensure};
use sazanami_tests::{internet, program};

#[test]
fn native_peers_meet_in_representative_networks() -> Result<()> {
    if let Some(reason) = internet::unavailable() {
        eprintln!("SKIPPED: no network namespaces here ({reason}): as root on Linux they are tried");
        return Ok(());
    }
    let run = Command::new(program("networks")?)
        .args([
            "--representative",
            "--pairing",
            "native-native",
            "--turn",
            "embedded",
        ])
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    eprintln!("{out}\n{err}");
    ensure!(run.status.success(), "{}", run.status);
    ensure!(out.contains("| direct |") && out.contains("| relayed |"), "{out}");
    Ok(())
}

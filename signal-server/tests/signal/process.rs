//! The binary: options, log, exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sazanami-signal"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("SAZANAMI_") || name.starts_with("CLOUDFLARE_"))
    {
        command.env_remove(name);
    }
    command
}

#[test]
fn help_tells_every_option_and_its_variable() {
    let output = binary().arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--listen",
        "SAZANAMI_PUBLIC_HOST",
        "--relay-ports",
        "CLOUDFLARE_TURN_API_TOKEN",
        "--log-format",
        "coturn",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn bad_configurations_exit_with_2_and_say_why() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "prot = 8080\n").unwrap();
    let path = file.path().to_str().unwrap();
    for (arguments, word) in [
        (vec!["--nonsense"], "nonsense"),
        (vec!["--port", "99999"], "99999"),
        (vec!["--web-root", "/nonexistent"], "index.html"),
        (vec!["--ice", "coturn"], "--coturn-secret"),
        (vec!["--config", path], "prot"),
        (vec!["--config", "/nonexistent.toml"], "/nonexistent.toml"),
    ] {
        let output = binary().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains(word), "{arguments:?}: {words}");
    }
}

#[test]
fn a_taken_port_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = binary().args(["--no-turn", "--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[cfg(unix)]
#[test]
fn it_reads_file_environment_and_flags_logs_json_and_stops_cleanly() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "port = 1\nturn-port = 0\nlog-format = 'json'\nlisten = '127.0.0.2'\n",
    )
    .unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut child = binary()
            .args(["--port", "0", "--config"])
            .arg(file.path())
            .env("SAZANAMI_PORT", "2")
            .env("SAZANAMI_LISTEN", "127.0.0.1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = entry["fields"]["http"].as_str().unwrap();
        assert!(
            address.starts_with("127.0.0.1:") && address != "127.0.0.1:1",
            "{line}"
        );
        assert!(
            entry["fields"]["turn"]
                .as_str()
                .unwrap()
                .starts_with("127.0.0.1:")
        );
        let killed = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

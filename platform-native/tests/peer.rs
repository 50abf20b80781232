//! The headless peer as a process: exit codes, the data directory's lock, stopping, the scripting interface.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing here takes a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

struct Peer {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Peer {
    /// A scripted peer on a data directory. Its signal server does not exist.
    fn start(data_dir: &Path, more: &[&str]) -> Self {
        let mut process = command(data_dir)
            .arg("--stdin")
            .args(more)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        Self {
            stdin: process.stdin.take(),
            process,
            lines,
        }
    }

    /// Sends a line and waits for what stands in place of its reply.
    fn ask(&mut self, line: &str) -> Value {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let line = self.lines.recv_timeout(LIMIT).expect("an answer in time");
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("changed").is_none() {
                return value;
            }
        }
    }

    fn wait(&mut self) -> Option<i32> {
        wait(&mut self.process)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sazanami-peer"));
    command
        .args(["--signal", "http://127.0.0.1:9", "--data-dir"])
        .arg(data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn wait(process: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        assert!(start.elapsed() < LIMIT, "the peer does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn timeline(peer: &mut Peer) -> Vec<String> {
    let reply = peer.ask(r#"{"Timeline":{"scope":"Everyone","before":null,"limit":10}}"#);
    let notes = reply["reply"]["Ok"]["Page"]["notes"]
        .as_array()
        .expect("a page")
        .clone();
    notes
        .iter()
        .map(|note| note["content"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_second_process_on_one_data_directory_says_so_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Peer::start(folder.path(), &["--name", "first"]);
    assert!(first.ask("\"Me\"")["reply"]["Ok"]["Me"]["npub"].is_string());
    let second = command(folder.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    let log = String::from_utf8(second.stderr).unwrap();
    assert!(log.contains("another Sazanami is running"), "{log}");
    // When the first is gone, however it went, the directory is free.
    first.process.kill().unwrap();
    first.wait();
    let mut third = Peer::start(folder.path(), &[]);
    assert_eq!(third.ask("\"Me\"")["reply"]["Ok"]["Me"]["name"], "first");
}

#[test]
fn posts_survive_being_killed_right_after_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(folder.path(), &["--name", "みなみ"]);
    let posted = peer.ask(r#"{"Post":{"text":"さざなみ、こんにちは"}}"#);
    assert_eq!(posted["reply"]["Ok"]["Posted"]["content"], "さざなみ、こんにちは");
    peer.process.kill().unwrap();
    peer.wait();
    let mut again = Peer::start(folder.path(), &[]);
    assert_eq!(timeline(&mut again), ["さざなみ、こんにちは"]);
}

#[test]
fn a_line_that_is_no_command_is_answered_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(folder.path(), &["--name", "x"]);
    for line in ["garbage", "{}", "[1,2", r#"{"Post":1}"#] {
        assert!(peer.ask(line)["invalid"].is_string(), "{line}");
    }
    assert_eq!(
        peer.ask(r#"{"Post":{"text":""}}"#)["reply"]["Ok"],
        json!(null),
        "refused"
    );
    assert_eq!(timeline(&mut peer), [""; 0]);
    // The end of stdin ends the peer.
    drop(peer.stdin.take());
    assert_eq!(peer.wait(), Some(0));
}

#[cfg(unix)]
#[test]
fn sigterm_stops_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(folder.path(), &["--name", "x"]);
    peer.ask("\"Me\"");
    let killed = Command::new("kill")
        .args(["-TERM", &peer.process.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let start = Instant::now();
    assert_eq!(peer.wait(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "took {:?}",
        start.elapsed()
    );
}

#[cfg(unix)]
#[test]
fn the_key_and_its_folder_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut peer = Peer::start(&data, &["--name", "x"]);
    peer.ask("\"Me\"");
    for (path, mode) in [(data.clone(), 0o700), (data.join("secret-key"), 0o600)] {
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            mode,
            "{}",
            path.display()
        );
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let nameless = command(folder.path()).output().unwrap();
    assert_eq!(nameless.status.code(), Some(2));
    assert!(String::from_utf8(nameless.stderr).unwrap().contains("--name"));
    for wrong in [["--route", "nowhere"], ["--signal", "nonsense"]] {
        assert_eq!(
            command(folder.path()).args(wrong).output().unwrap().status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
    let damaged = folder.path().join("secret-key");
    std::fs::write(damaged, "not a key").unwrap();
    assert_eq!(
        command(folder.path())
            .args(["--name", "x"])
            .output()
            .unwrap()
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn everything_moves_to_another_data_directory_as_one_file() {
    let (old, new, files) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let mut peer = Peer::start(old.path(), &["--name", "みなみ"]);
    peer.ask(r#"{"Post":{"text":"さざなみ、こんにちは"}}"#);
    let kept = peer.ask(r#"{"KeepBlob":{"bytes":[1,2,3]}}"#)["reply"]["Ok"]["BlobKept"].clone();
    drop(peer.stdin.take());
    assert_eq!(peer.wait(), Some(0));

    for name in ["all.tar", "posts.jsonl"] {
        let file = files.path().join(name);
        let transfer = |data_dir: &Path, what: &str| {
            let output = command(data_dir).arg(what).arg(&file).output().unwrap();
            let log = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), log)
        };
        let (code, log) = transfer(old.path(), "export");
        assert_eq!(code, Some(0), "{log}");
        let (code, log) = transfer(old.path(), "export");
        assert!(code == Some(1) && log.contains("exists already"), "{log}");
        let (code, log) = transfer(new.path(), "import");
        assert_eq!(code, Some(0), "{log}");
    }
    let left: Vec<_> = files.path().read_dir().unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    let mut peer = Peer::start(new.path(), &[]);
    assert_eq!(peer.ask("\"Me\"")["reply"]["Ok"]["Me"], Value::Null);
    assert_eq!(timeline(&mut peer), ["さざなみ、こんにちは"]);
    let blob = peer.ask(&json!({ "Blob": { "id": kept, "size": null } }).to_string());
    assert_eq!(blob["reply"]["Ok"]["Blob"]["Here"], json!([1, 2, 3]));
}

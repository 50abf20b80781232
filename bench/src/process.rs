//! What a process has taken: of this machine's processors, and of its memory.

use std::fs;

/// Another process, or this one.
#[derive(Clone, Copy, Debug)]
pub struct Process(u32);

impl Process {
    /// This one.
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// The one with this number.
    pub fn of(id: u32) -> Self {
        Self(id)
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).unwrap_or_default()
    }

    /// Seconds of processor time so far, on all threads: what a run cost on a machine that others use too. Zero where
    /// there is no `/proc`.
    pub fn cpu_seconds(self) -> f64 {
        /// `sysconf(_SC_CLK_TCK)`, a constant of the interface to user space.
        const TICKS: f64 = 100.0;
        // The name, in brackets, may hold anything; user and system time are fields 14 and 15.
        let stat = self.read("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let times = after_name.split_whitespace().skip(11).take(2);
        times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
    }

    /// The most memory that it had at once, in MiB. Zero where there is no `/proc`.
    pub fn peak_mib(self) -> f64 {
        let status = self.read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }

    /// Forgets that peak (`man 5 proc`, `clear_refs`).
    pub fn forget_peak(self) {
        // Without it the peak is that of the whole run, which is no less true.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }
}

//! What the kernel knows of a running server: its memory, its time on the processors, its open files.

use std::time::Duration;

/// The kernel's ticks in a second, as every Linux reports them to user space.
const TICKS: u64 = 100;

/// Resident memory now, in KiB.
pub fn memory(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// The most resident memory there ever was, in KiB.
pub fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

pub fn threads(pid: u32) -> u64 {
    status(pid, "Threads:")
}

/// Files and sockets that are open.
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our own child").count()
}

/// Time on the processors so far, the kernel's work for it included.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name, in brackets, may hold anything; user and system time are the 14th and 15th of all.
    let after_name = stat.rsplit_once(") ").expect("a name in brackets").1;
    let ticks =
        after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum::<u64>();
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {status}"));
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
}

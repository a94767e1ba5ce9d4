//! What the operating system says of this process, under the names that Prometheus' own clients use. Linux alone tells; elsewhere the
//! page has none of it.

use std::fs;

use super::Page;

/// Linux tells times in hundredths of a second to programs, whatever the kernel counts in (USER_HZ).
const TICKS: f64 = 100.0;

/// Writes what can be read; what cannot is left out.
pub(crate) fn process(page: &mut Page) {
    if let Some((cpu, started)) = times() {
        page.counter("process_cpu_seconds_total", "Time on a processor, user and system.", &[], cpu);
        if let Some(booted) = booted() {
            page.gauge("process_start_time_seconds", "When the process began, since 1970.", &[], booted + started);
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory that is in use and resident."),
        ("VmSize:", "process_virtual_memory_bytes", "Memory that is mapped."),
    ] {
        if let Some(kib) = number(&status, key) {
            page.gauge(name, help, &[], kib * 1024.0);
        }
    }
    if let Some(threads) = number(&status, "Threads:") {
        page.gauge("process_threads", "Threads of the operating system.", &[], threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One is the folder that is being read.
        page.gauge("process_open_fds", "Open files and sockets.", &[], open.count().saturating_sub(1) as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = number(&limits, "Max open files") {
        page.gauge("process_max_fds", "How many files and sockets may be open.", &[], most);
    }
}

/// Processor time, and the start since the machine's own, in seconds.
fn times() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything: the fields are counted from behind it, the state being the third.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| -> Option<f64> { fields.get(number - 3)?.parse().ok() };
    Some(((field(14)? + field(15)?) / TICKS, field(22)? / TICKS))
}

/// When the machine started, in seconds since 1970.
fn booted() -> Option<f64> {
    number(&fs::read_to_string("/proc/stat").ok()?, "btime")
}

/// The first number of the line that begins with `key`.
fn number(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

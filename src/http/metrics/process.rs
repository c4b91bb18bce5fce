//! The memory, descriptors and processor time of this process, by the names that Prometheus' own libraries use.

use std::fs;

/// The bytes of memory that are in use.
const MEMORY: &str = "process_resident_memory_bytes";
/// The open descriptors.
const DESCRIPTORS: &str = "process_open_fds";
/// The most descriptors that may be open.
const MAX_DESCRIPTORS: &str = "process_max_fds";
/// The processor time in seconds.
const PROCESSOR_SECONDS: &str = "process_cpu_seconds_total";

/// The unit of processor times in `/proc`: ticks per second, the same on every platform of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sets the gauges of the process. On systems without `/proc` they are missing.
pub(super) fn measure() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kibibytes) = number_after(&status, "VmRSS:") {
        metrics::gauge!(MEMORY).set(kibibytes * 1024.0);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is read.
        metrics::gauge!(DESCRIPTORS).set(descriptors.count().saturating_sub(1) as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = number_after(&limits, "Max open files") {
        metrics::gauge!(MAX_DESCRIPTORS).set(most);
    }
}

/// The counter of the processor time, as text. The recorder cannot have it: its counters are whole numbers. The text is empty
/// on systems without `/proc`.
pub(super) fn render_processor_seconds() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some(ticks) = processor_ticks(&stat) else {
        return String::new();
    };
    let (name, seconds) = (PROCESSOR_SECONDS, ticks / TICKS_PER_SECOND);
    format!("# HELP {name} The processor time so far.\n# TYPE {name} counter\n{name} {seconds}\n\n")
}

pub(super) fn describe() {
    metrics::describe_gauge!(MEMORY, metrics::Unit::Bytes, "The memory in use.");
    metrics::describe_gauge!(DESCRIPTORS, "The open descriptors.");
    metrics::describe_gauge!(MAX_DESCRIPTORS, "The most descriptors that may be open.");
}

/// The first number after the name of a line.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The processor time of user and system. The name of the program in parentheses can contain spaces.
fn processor_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_proc_are_parsed() {
        assert_eq!(
            number_after("VmSize:\t 9 kB\nVmRSS:\t  1234 kB\n", "VmRSS:"),
            Some(1234.0)
        );
        assert_eq!(
            number_after("Max open files            1024   4096  files", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(
            number_after("Max open files            unlimited", "Max open files"),
            None
        );
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100";
        assert_eq!(processor_ticks(stat), Some(300.0));
    }
}

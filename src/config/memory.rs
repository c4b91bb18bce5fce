//! The memory of the machine or container.

use crate::store::DEFAULT_COUNTING_MEMORY_BYTES;

/// The limits of the container, in the two versions of control groups.
const CONTAINER_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];
const MACHINE: &str = "/proc/meminfo";

/// The most memory for counting, unless the operator sets it: enough for ten million activities with registrations.
const MOST_FOR_COUNTING: u64 = 2 * 1024 * 1024 * 1024;

/// The memory that this process can use at most: that of the machine, or less in a container with a limit. `None` if the
/// system does not say it.
pub(super) fn available_bytes() -> Option<u64> {
    let container = CONTAINER_LIMITS.iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse::<u64>().ok()
    });
    let machine = std::fs::read_to_string(MACHINE).ok();
    container.chain(machine.and_then(|text| parse_total(&text))).min()
}

/// The part of `memory` in bytes for the columns from which the log is counted, unless the operator sets it.
pub(super) fn for_counting(memory: u64) -> u64 {
    let least = DEFAULT_COUNTING_MEMORY_BYTES.min(memory / 2);
    (memory / 4).clamp(least, MOST_FOR_COUNTING)
}

/// The total of `/proc/meminfo` in bytes.
fn parse_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::{for_counting, parse_total};

    #[test]
    fn total_is_in_bytes() {
        let text = "MemTotal:       16384 kB\nMemFree:  1 kB\n";
        assert_eq!(parse_total(text), Some(16_777_216));
        assert_eq!(parse_total("MemFree: 1 kB"), None);
    }

    #[test]
    fn counting_gets_a_quarter_within_limits() {
        const MEBIBYTE: u64 = 1024 * 1024;
        for (memory, expected) in [(512, 256), (1024, 512), (2048, 768), (4096, 1024), (65_536, 2048)] {
            assert_eq!(
                for_counting(memory * MEBIBYTE),
                expected * MEBIBYTE,
                "{memory} MiB"
            );
        }
        assert_eq!(for_counting(0), 0);
    }
}

//! The memory of the machine or container.

/// The limits of the container, in the two versions of control groups.
const CONTAINER_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];
const MACHINE: &str = "/proc/meminfo";

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

/// The total of `/proc/meminfo` in bytes.
fn parse_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::parse_total;

    #[test]
    fn total_is_in_bytes() {
        let text = "MemTotal:       16384 kB\nMemFree:  1 kB\n";
        assert_eq!(parse_total(text), Some(16_777_216));
        assert_eq!(parse_total("MemFree: 1 kB"), None);
    }
}

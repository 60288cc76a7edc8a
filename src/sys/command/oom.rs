//! Whom the kernel ended for want of memory.

/// How many processes of this machine the kernel ever ended for want of memory (`oom_kill` of `/proc/vmstat`, since Linux
/// 4.13).
pub fn kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

//! The memory limits of the cgroup that this process runs in (a container, a job of Slurm, a unit of systemd) and of the machine.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Smaller blocks are not looked at: all of them together are a small part of what training takes.
const LARGE: usize = 1 << 20;
/// Bytes that are handed out between two looks at the resident memory.
const BETWEEN: usize = 8 << 20;
/// The same between two looks at the memory of the machine, which take longer.
const SELDOM: usize = 64 << 20;
/// Pages of a block of which it is asked whether they are resident.
const PAGES: usize = 16;

/// Whether a block that was just handed out has pages beyond the limit, once they are written to. Memory of other processes in the cgroup is not
/// counted, nor is that of files, which the kernel drops.
pub(super) fn is_passed(block: *const u8, bytes: usize) -> bool {
    static HANDED_OUT: AtomicUsize = AtomicUsize::new(0);
    if bytes < LARGE {
        return false; // also what the lines below allocate
    }
    let before = HANDED_OUT.fetch_add(bytes, Ordering::Relaxed);
    if before / BETWEEN == before.wrapping_add(bytes) / BETWEEN {
        return false;
    }
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    if before / SELDOM != before.wrapping_add(bytes) / SELDOM && machine_is_full(fresh(block, bytes)) {
        return true;
    }
    let Some(limit) = LIMIT.get_or_init(limit) else { return false };
    let Some(resident) = resident() else { return false };
    resident.saturating_add(fresh(block, bytes)) > *limit
}

/// Whether so many more bytes are so near to all that the machine has left that the kernel would soon kill a process.
fn machine_is_full(fresh: u64) -> bool {
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else { return false };
    Machine::read(&text).is_some_and(|machine| machine.is_full(fresh))
}

/// The memory of the machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Machine {
    total: u64,
    /// What programs can still get, files that are cached included.
    available: u64,
}

impl Machine {
    /// From `/proc/meminfo`; None where memory is swapped out before anybody is killed.
    fn read(text: &str) -> Option<Self> {
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<u64>().ok()
        };
        let (total, available) = (of("MemTotal")? << 10, of("MemAvailable")? << 10);
        (of("SwapTotal") == Some(0)).then_some(Self { total, available })
    }

    /// One part in 128 stays free, and what is handed out between two looks.
    fn is_full(self, fresh: u64) -> bool {
        fresh.saturating_add(self.total / 128 + SELDOM as u64) > self.available
    }
}

/// Bytes of a block that are not resident yet: a block that is used again costs nothing.
fn fresh(block: *const u8, bytes: usize) -> u64 {
    const PAGE: usize = 4096;
    let absent = (0..PAGES).filter(|part| {
        let page = (block as usize + bytes / PAGES * part) / PAGE * PAGE;
        let mut resident = 0u8;
        // SAFETY: the page is aligned and begins within or just before a block that is ours; one byte is written, to `resident`.
        #[allow(unsafe_code)]
        let asked = unsafe { libc::mincore(page as *mut libc::c_void, 1, (&raw mut resident).cast()) };
        asked == 0 && resident & 1 == 0
    });
    (bytes / PAGES * absent.count()) as u64
}

/// Anonymous resident memory of this process, in bytes.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = statm.split(' ').skip(1).map(|field| field.parse::<u64>().ok());
    let (all, files) = (pages.next()??, pages.next()??);
    Some(all.saturating_sub(files) * 4096)
}

/// The smallest limit of the cgroup of this process and of those above it, less one part in 64; None without one, or where memory is swapped
/// out before anybody is killed.
fn limit() -> Option<u64> {
    let swap = std::fs::read_to_string("/proc/meminfo").ok()?;
    let swap = swap.lines().find_map(|line| line.strip_prefix("SwapTotal:"))?;
    if swap.trim().trim_end_matches("kB").trim() != "0" {
        return None;
    }
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit = groups.lines().filter_map(of_line).min()?;
    Some(limit - limit / 64)
}

/// The limit by a line of `/proc/self/cgroup`: `0::/path` of version 2, `9:memory:/path` of version 1.
fn of_line(line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        names if names.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // `max`, or a number near 2^63, is no limit. In a container the path may be that of the host.
    let of =
        |path: &str| std::fs::read_to_string(format!("{root}{path}/{file}")).ok()?.trim().parse::<u64>().ok();
    let above = std::iter::successors(Some(path.trim_end_matches('/')), |path| {
        path.rsplit_once('/').map(|(above, _)| above)
    });
    above.filter_map(of).filter(|&limit| limit < 1 << 60).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_written_to_is_resident_and_no_longer_fresh() {
        let before = resident().unwrap();
        let bytes = 64 << 20;
        let mut block: Vec<u8> = Vec::with_capacity(bytes);
        assert!(fresh(block.as_ptr(), bytes) > (bytes / 2) as u64);
        block.resize(bytes, 1);
        assert_eq!(fresh(block.as_ptr(), bytes), 0);
        assert!(resident().unwrap() > before + (bytes / 2) as u64);
        std::hint::black_box(&block);
    }

    #[test]
    fn a_machine_is_full_shortly_before_its_last_byte() {
        let text = "MemTotal:       16777216 kB\nMemFree: 5 kB\nMemAvailable:    1048576 kB\nSwapTotal:             0 kB\n";
        let machine = Machine::read(text).unwrap();
        assert_eq!(machine, Machine { total: 16 << 30, available: 1 << 30 });
        // 128 MiB and 64 MiB stay free.
        assert!(!machine.is_full(832 << 20) && machine.is_full((832 << 20) + 1) && machine.is_full(u64::MAX));
        assert_eq!(Machine::read(&text.replace(" 0 kB", " 9 kB")), None, "with swap nobody is killed");
        assert_eq!(Machine::read("nonsense"), None);
    }

    #[test]
    fn lines_of_other_controllers_have_no_limit() {
        assert_eq!(of_line("7:cpu,cpuacct:/"), None);
        assert_eq!(of_line("nonsense"), None);
        assert_eq!(of_line("0::/no/such/group/anywhere-at-all").filter(|&limit| limit == 0), None);
    }
}

//! One process's share, from `/proc/PID/smaps_rollup`.
//!
//! The kernel walks the whole memory map for it (12 ms a GiB of small pages) with the map's lock held, and waits for
//! that lock as long as the process cares to hold it. So a process that may be holding it while it stands still is not
//! asked: one that is stopped, traced, or waits in the kernel.

use crate::engine::snapshot::{Memory, Why};
use crate::engine::survey::{Holder, Image, Share};
use crate::engine::units::Bytes;
use crate::sys::holder::Held;
use crate::sys::procfs::{Entry, Missing, Procfs, STAT_LINE, read_long, read_short};
use crate::sys::stat::Stat;
use crate::sys::status::Status;

/// Much longer than either file.
const LONGEST: usize = 16 << 10;

/// What this process holds. `Why::Short` says that it cannot be asked now.
pub(super) fn share(proc: &Procfs, holder: &Holder) -> Result<Share, Missing> {
    let pid = holder.key.pid();
    let mut held = Held::take(proc, holder)?;
    let stat = held.stat()?;
    let image = if stat.forked {
        Image::Copied
    } else {
        Image::Own
    };
    let folder = match stat.state {
        b'Z' => living_thread(proc, holder)?,
        _ if may_hold_its_map(stat.state) => return Err(Missing::Unread(Why::Short)),
        _ => Entry::of(pid),
    };
    let mut text = Vec::new();
    let before = memory(proc, &folder, &mut text)?.private();
    read_long(proc.file(&folder.at("smaps_rollup"))?, &mut text, LONGEST)?;
    let rollup = Rollup(&text).share().ok_or(Missing::Unread(Why::Short))?;
    let after = memory(proc, &folder, &mut text)?;
    // Once more, to prove that all of this was this process's own.
    held.stat()?;
    Ok(Share {
        shared_whole: after.shared.max(rollup.shared),
        low: before.min(after.private()),
        high: before.max(after.private()),
        image,
        ..rollup
    })
}

/// Where to look when the leader thread has ended while others run: it shows no memory, they do.
fn living_thread(proc: &Procfs, holder: &Holder) -> Result<Entry, Missing> {
    let pid = holder.key.pid();
    let mut line = [0; STAT_LINE];
    for tid in proc.numbers_in(&Entry::of(pid).at("task"))? {
        let thread = Entry::of(pid).thread(tid);
        let Ok(file) = proc.file(&thread.at("stat")) else {
            continue;
        };
        let Some(state) = read_short(&file, &mut line)
            .ok()
            .and_then(Stat::parse)
            .map(|stat| stat.state)
        else {
            continue;
        };
        if !matches!(state, b'Z' | b'X' | b'x') && !may_hold_its_map(state) {
            return Ok(thread);
        }
    }
    Err(Missing::Unread(Why::Short))
}

/// Stopped, traced, or waiting in the kernel.
const fn may_hold_its_map(state: u8) -> bool {
    matches!(state, b'T' | b't' | b'D')
}

fn memory(proc: &Procfs, folder: &Entry, text: &mut Vec<u8>) -> Result<Memory, Missing> {
    read_long(proc.file(&folder.at("status"))?, text, LONGEST)?;
    Status::new(text)
        .and_then(Status::memory)
        .ok_or(Missing::Unread(Why::Short))
}

/// The text of a rollup.
struct Rollup<'a>(&'a [u8]);

impl Rollup<'_> {
    /// `None` on kernels that do not tell the kinds of memory apart (before 5.3).
    fn share(&self) -> Option<Share> {
        let anonymous = self.field(b"Pss_Anon:")?.plus(self.field(b"SwapPss:")?);
        let shared = self.field(b"Pss_Shmem:")?;
        Some(Share {
            anonymous,
            shared,
            shared_whole: shared,
            huge: self.field(b"Private_Hugetlb:").unwrap_or_default(),
            huge_shared: self.field(b"Shared_Hugetlb:").unwrap_or_default(),
            low: Bytes(0),
            high: Bytes(0),
            image: Image::Copied,
        })
    }

    /// The amount behind a name, which the kernel writes as `123 kB` and means in KiB.
    fn field(&self, name: &[u8]) -> Option<Bytes> {
        let mut lines = self.0.split(|&byte| byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(name))?;
        let digits = value.trim_ascii().strip_suffix(b"kB")?.trim_ascii();
        str::from_utf8(digits).ok()?.parse().ok().map(Bytes::kib)
    }
}

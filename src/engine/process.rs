//! What a process is, and what makes it *this* process and no other.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

/// A process number as the kernel hands it out: 1 ..= 2³¹−1, and reused.
///
/// Zero and negative numbers mean groups to `kill(2)`; they cannot be made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid(NonZeroU32);

impl Pid {
    /// The first process of the machine or of a pid namespace.
    pub const INIT: Self = Self(NonZeroU32::MIN);

    /// `None` for 0 and for numbers the kernel cannot hand out.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= 0x7fff_ffff => Some(Self(number)),
            Some(_) | None => None,
        }
    }

    /// The bare number, for a kernel call or for text.
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a control group: the number of its folder, which no other group has before the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CgroupId(pub u64);

impl CgroupId {
    /// No group has this number.
    pub const NONE: Self = Self(0);
}

/// When the kernel says a process started: clock ticks (10 ms) of boot time, sleep included.
///
/// Used inside identity only, never to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartTicks(pub u64);

impl StartTicks {
    /// Whether a process that the kernel says started at `self` can be the one whose fork event was stamped `told`.
    ///
    /// The kernel notes the start first and stamps the event when the birth is done: on a busy machine many ticks
    /// later, and never earlier but for rounding.
    pub const fn can_be(self, told: Self) -> bool {
        self.0 <= told.0.saturating_add(2)
    }

    /// Whether a process found, and a fork heard of later, can be one birth: [`StartTicks::can_be`], and not so long
    /// before that the number must have been another's in between.
    pub const fn near(self, told: Self) -> bool {
        self.can_be(told) && told.0.saturating_sub(self.0) <= 100
    }
}

/// What tells two processes with the same number apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The pidfs inode: never handed out twice in one boot (Linux 6.9 and later).
    Inode(u64),
    /// Start ticks: 10 ms is enough time to reuse a number, so this identity is *soft*.
    Ticks(u64),
}

/// The identity of a process: its number and a mark that no other process with that number bears.
///
/// It survives exec, also an exec by a thread that is not the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcKey {
    pid: Pid,
    mark: Mark,
}

impl ProcKey {
    /// The identity made of a number and its mark.
    pub const fn new(pid: Pid, mark: Mark) -> Self {
        Self { pid, mark }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (pid, mark) = match (text.split_once(':'), text.split_once('~')) {
            (Some((pid, inode)), _) => (pid, Mark::Inode(inode.parse().ok()?)),
            (None, Some((pid, ticks))) => (pid, Mark::Ticks(ticks.parse().ok()?)),
            (None, None) => return None,
        };
        Some(Self::new(Pid::new(pid.parse().ok()?)?, mark))
    }

    /// The number, which is *not* an identity.
    pub const fn pid(self) -> Pid {
        self.pid
    }

    /// The mark.
    pub const fn mark(self) -> Mark {
        self.mark
    }
}

impl fmt::Display for ProcKey {
    /// `PID:INODE`, which newer `kill` commands take and cannot mistake; a soft identity shows as `PID~TICKS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            Mark::Inode(inode) => write!(f, "{}:{inode}", self.pid),
            Mark::Ticks(ticks) => write!(f, "{}~{ticks}", self.pid),
        }
    }
}

/// Which image a process runs: counts its execs as far as they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExecGen(pub u32);

impl ExecGen {
    /// The image after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uid(pub u32);

impl Uid {
    /// The superuser.
    pub const ROOT: Self = Self(0);
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gid(pub u32);

/// What the kernel calls a process: of a program's name 15 bytes, of its own threads' names the first 15. The process
/// chooses it, so it is as hostile as [`Text`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortName([u8; 15]);

impl ShortName {
    /// As much of it as is kept. No name has a NUL.
    pub fn of(name: &[u8]) -> Self {
        let mut short = Self::default();
        for (slot, byte) in short.0.iter_mut().zip(name) {
            *slot = *byte;
        }
        short
    }

    /// The bytes: for comparing, never for printing.
    pub fn bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// Bytes that a process chose itself: its name, its arguments, its paths. Hostile until shown otherwise.
///
/// Its `Display` is safe to print anywhere a line of text may go: control characters, direction overrides and
/// bytes that are no UTF-8 come out escaped. Copies share the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Arc<[u8]>);

impl Text {
    /// Takes the bytes as they came.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they came: for matching, never for printing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    // A backslash is escaped too, so that an escaped name cannot be forged.
                    '\\' => f.write_str("\\\\")?,
                    // Bidirectional and invisible controls can make a line read as another.
                    '\u{200b}'..='\u{200f}'
                    | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{2069}'
                    | '\u{feff}' => {
                        write!(f, "{}", letter.escape_unicode())?;
                    }
                    letter if letter.is_control() => write!(f, "{}", letter.escape_default())?,
                    letter => write!(f, "{letter}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_groups_are_no_pids() {
        assert_eq!(Pid::new(0), None);
        assert_eq!(Pid::new(u32::MAX), None);
        assert_eq!(Pid::new(i32::MAX as u32 + 1), None);
        assert!(Pid::new(i32::MAX as u32).is_some());
    }

    #[test]
    fn hostile_names_print_on_one_line() {
        let shown = Text::new(*b") R 1 (\n\x1b[2J\xff\\").to_string();
        assert_eq!(shown, ") R 1 (\\n\\u{1b}[2J\\xff\\\\");
        assert_eq!(Text::from("a\u{202e}b").to_string(), "a\\u{202e}b");
    }

    #[test]
    fn a_short_name_is_what_the_kernel_keeps() {
        assert_eq!(ShortName::of(b"cc1plus").bytes(), b"cc1plus");
        assert_eq!(ShortName::of(b"").bytes(), b"");
        let long = ShortName::of(b"language-server-x");
        assert_eq!(long.bytes(), b"language-server");
        assert_eq!(long, ShortName::of(b"language-server"));
    }

    #[test]
    fn the_same_number_with_another_mark_is_another_process() {
        let pid = Pid::new(7).unwrap();
        assert_ne!(
            ProcKey::new(pid, Mark::Inode(1)),
            ProcKey::new(pid, Mark::Inode(2))
        );
        assert_eq!(ProcKey::new(pid, Mark::Inode(9)).to_string(), "7:9");
    }
}

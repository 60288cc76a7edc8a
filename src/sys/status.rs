//! `/proc/PID/status`, as bytes. The kernel escapes newlines in the name, so each line here is the kernel's own.

use crate::engine::process::{Gid, Uid};
use crate::engine::snapshot::Memory;
use crate::engine::units::Bytes;

/// The text of a status file.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a>(&'a [u8]);

impl<'a> Status<'a> {
    /// `None` when this is no status file.
    pub fn new(text: &'a [u8]) -> Option<Self> {
        text.starts_with(b"Name:").then_some(Self(text))
    }

    /// What stands behind `name:`.
    fn field(self, name: &str) -> Option<&'a [u8]> {
        self.fields()
            .find(|(key, _)| *key == name.as_bytes())
            .map(|(_, value)| value)
    }

    fn fields(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
        })
    }

    /// Memory by part. A process without memory of its own (a kernel thread, one that is exiting) has none of any
    /// part; `None` on kernels that do not tell the parts apart (before 4.5).
    pub fn memory(self) -> Option<Memory> {
        let mut memory = Memory::default();
        let (mut resident, mut parts) = (false, false);
        // One pass, from the first line that matters: this is on the hot path.
        for (name, value) in self.fields().skip_while(|(name, _)| *name != b"VmRSS") {
            let slot = match name {
                b"VmRSS" => {
                    resident = true;
                    continue;
                }
                b"RssAnon" => {
                    parts = true;
                    &mut memory.anonymous
                }
                b"RssFile" => &mut memory.file,
                b"RssShmem" => &mut memory.shared,
                b"VmSwap" => &mut memory.swap,
                b"HugetlbPages" => {
                    memory.huge = kibibytes(value)?;
                    break;
                }
                _ => continue,
            };
            *slot = kibibytes(value)?;
        }
        (parts || !resident).then_some(memory)
    }

    /// Effective user: the second of four.
    pub fn owner(self) -> Option<Uid> {
        number(words(self.field("Uid")?).nth(1)?).map(Uid)
    }

    /// Effective group.
    pub fn group(self) -> Option<Gid> {
        number(words(self.field("Gid")?).nth(1)?).map(Gid)
    }

    /// Signals that are ignored, as a mask: signal 1 is its lowest bit.
    pub fn ignored(self) -> Option<u64> {
        let mask = str::from_utf8(self.field("SigIgn")?).ok()?;
        u64::from_str_radix(mask, 16).ok()
    }

    /// In how many pid namespaces it has a number, counted from that of the procfs: one is ours.
    pub fn namespaces(self) -> Option<usize> {
        self.field("NSpid").map(|numbers| words(numbers).count())
    }

    /// Whether it is the first process of a pid namespace other than that of the procfs.
    pub fn is_namespace_init(self) -> bool {
        let numbers = self.field("NSpid").map(words);
        numbers.is_some_and(|numbers| numbers.skip(1).last() == Some(b"1"))
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    str::from_utf8(word).ok()?.parse().ok()
}

/// An amount as the kernel writes it: `123 kB`, by which it means KiB.
fn kibibytes(value: &[u8]) -> Option<Bytes> {
    number(words(value).next()?).map(Bytes::kib)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Name:\tx\\nVmRSS: 9\nUid:\t1000\t1001\t1002\t1003\nGid:\t7\t8\t9\t10\nNSpid:\t40\t1\n\
        VmSize:\t   9999 kB\nVmRSS:\t      70 kB\nRssAnon:\t      40 kB\nRssFile:\t      20 kB\nRssShmem:\t      10 kB\n\
        VmSwap:\t       5 kB\nHugetlbPages:\t    2048 kB\nThreads:\t1\nSigIgn:\t0000000000001001\n";

    #[test]
    fn every_field_is_found() {
        let status = Status::new(TEXT).unwrap();
        assert_eq!(status.owner(), Some(Uid(1001)));
        assert_eq!(status.group(), Some(Gid(8)));
        assert_eq!(status.namespaces(), Some(2));
        assert!(status.is_namespace_init());
        assert_eq!(status.ignored(), Some(0x1001));
        let memory = status.memory().unwrap();
        assert_eq!(memory.private(), Bytes::kib(40 + 10 + 5 + 2048));
        assert_eq!(memory.resident(), Bytes::kib(70));
    }

    #[test]
    fn the_first_of_another_namespace_is_told_from_others() {
        let first = |numbers: &str| {
            let text = format!("Name:\tx\nNSpid:\t{numbers}\nVmRSS:\t1 kB\n");
            Status::new(text.as_bytes()).unwrap().is_namespace_init()
        };
        assert!(first("40\t7\t1"));
        for other in ["1", "40", "40\t7", "1\t7"] {
            assert!(!first(other), "{other}");
        }
    }

    #[test]
    fn memory_that_is_not_told_apart_is_not_known() {
        let old = Status::new(b"Name:\tx\nVmRSS:\t70 kB\nVmSwap:\t0 kB\n").unwrap();
        assert_eq!(old.memory(), None);
        let kernel = Status::new(b"Name:\tkthreadd\nThreads:\t1\n").unwrap();
        assert_eq!(kernel.memory(), Some(Memory::default()));
    }

    #[test]
    fn garbage_is_not_known() {
        assert!(Status::new(b"\xff\0garbage").is_none());
        let absurd = Status::new(
            b"Name:\tx\nUid:\t-1 99999999999999999999\nVmRSS:\t1 kB\nRssAnon:\t- kB\nSigIgn:\tzz\n",
        );
        let absurd = absurd.unwrap();
        assert_eq!((absurd.owner(), absurd.group()), (None, None));
        assert_eq!((absurd.memory(), absurd.ignored()), (None, None));
    }

    #[test]
    fn our_own_is_understood() {
        let text = std::fs::read("/proc/self/status").unwrap();
        let status = Status::new(&text).unwrap();
        assert!(status.memory().unwrap().anonymous > Bytes(0));
        assert_eq!(
            status.owner(),
            Some(Uid(rustix::process::geteuid().as_raw()))
        );
        assert_eq!(status.namespaces(), Some(1));
    }
}

//! What `KERN_PROCARGS2` holds: how macOS tells the arguments and the environment of a process.
//!
//! A count of arguments (four bytes), the path of the executable, NULs up to the next multiple of eight, then the arguments
//! and after them the variables, each ending in a NUL. Nothing but the count tells where arguments end: who skips empty
//! ones takes as many variables for arguments.
//!
//! # When the answer is unknown
//! An empty first argument cannot be told from the NULs before it, unless there are more than can be needed to reach a
//! multiple of eight; fewer strings than the count were cut off. Then neither arguments nor variables are known. Of programs
//! that the system protects there are no variables at all: that is refusal, and no empty environment.

use crate::engine::facts::Read;
use crate::engine::process::Text;

/// Arguments start at a multiple of this after the path: a pointer's size, on every Mac that is left.
const ALIGNED: usize = 8;

/// What a process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Started<'a> {
    /// The arguments, each with its NUL.
    args: &'a [u8],
    /// The variables.
    env: &'a [u8],
}

impl<'a> Started<'a> {
    /// `None` when it cannot be told where arguments begin or end.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (count, rest) = text.split_first_chunk::<4>()?;
        let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
        let path = rest.iter().position(|byte| *byte == 0)?;
        let aligned = path.checked_add(1)?.checked_next_multiple_of(ALIGNED)?;
        let nuls = rest
            .get(path..)?
            .iter()
            .take_while(|byte| **byte == 0)
            .count();
        let start = path.checked_add(nuls)?;
        if start > aligned {
            return None;
        }
        let rest = rest.get(start..)?;
        let mut end: usize = 0;
        for _ in 0..count {
            let argument = rest.get(end..)?.iter().position(|byte| *byte == 0)?;
            end = end.checked_add(argument)?.checked_add(1)?;
        }
        let (args, env) = rest.split_at_checked(end)?;
        Some(Self { args, env })
    }

    /// The arguments as far as they fit into so many bytes, each as given.
    pub(super) fn arguments(&self, most: usize) -> Vec<Text> {
        let mut used: usize = 0;
        let fit = |argument: &&[u8]| {
            used = used.saturating_add(argument.len()).saturating_add(1);
            used <= most
        };
        let Some(whole) = self.args.strip_suffix(b"\0") else {
            return Vec::new();
        };
        whole
            .split(|byte| *byte == 0)
            .take_while(fit)
            .map(Text::new)
            .collect()
    }

    /// Those of the wanted variables that are set: of each the first, as `getenv` finds it.
    pub(super) fn variables(&self, wanted: &[String]) -> Read<Vec<(String, Text)>> {
        if wanted.is_empty() {
            return Read::NotAsked;
        }
        if self.env.iter().all(|byte| *byte == 0) {
            return Read::Denied;
        }
        let value_of = |name: &String| {
            self.env
                .split(|byte| *byte == 0)
                .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        Read::Known(
            wanted
                .iter()
                .filter(|name| !name.is_empty())
                .filter_map(|name| Some((name.clone(), Text::new(value_of(name)?))))
                .collect(),
        )
    }
}

/// The same, as macOS writes it: for tests.
#[cfg(test)]
pub(super) fn written(exe: &[u8], args: &[Vec<u8>], env: &[&[u8]]) -> Vec<u8> {
    let mut text = i32::try_from(args.len()).unwrap().to_ne_bytes().to_vec();
    text.extend(exe);
    text.push(0);
    while !(text.len() - 4).is_multiple_of(ALIGNED) {
        text.push(0);
    }
    for string in args.iter().map(Vec::as_slice).chain(env.iter().copied()) {
        text.extend(string);
        text.push(0);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"TOKEN=secret";

    fn args(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn read(text: &[u8]) -> Option<Vec<Text>> {
        Some(Started::parse(text)?.arguments(1 << 20))
    }

    #[test]
    fn empty_arguments_are_kept_and_no_variable_takes_their_place() {
        for words in [
            &["sh"][..],
            &["sh", "", "", "x"],
            &["sh", "-c", "", ""],
            &["a b", "\u{1b}[2J"],
        ] {
            // Each length of path leaves another number of NULs.
            for length in 1..20 {
                let exe = vec![b'p'; length];
                let text = written(&exe, &args(words), &[SECRET]);
                let expected: Vec<Text> = words.iter().map(|word| Text::from(*word)).collect();
                assert_eq!(read(&text), Some(expected), "{words:?} after {length}");
            }
        }
    }

    #[test]
    fn an_empty_first_argument_is_never_taken_for_another() {
        for length in 1..20 {
            let exe = vec![b'p'; length];
            let text = written(&exe, &args(&["", "x"]), &[SECRET]);
            assert_eq!(read(&text), None, "after {length}");
        }
    }

    #[test]
    fn what_was_cut_off_is_unknown() {
        let whole = written(b"/bin/sh", &args(&["sh", "-c", "true"]), &[]);
        assert!(read(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length} bytes");
        }
        let mut absurd = whole.clone();
        absurd[..4].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert_eq!(read(&absurd), None);
        absurd[..4].copy_from_slice(&i32::MAX.to_ne_bytes());
        assert_eq!(read(&absurd), None);
    }

    #[test]
    fn long_arguments_are_kept_as_far_as_they_fit() {
        let text = written(b"/bin/sh", &args(&["sh", "abc", "def"]), &[]);
        let kept = Started::parse(&text).unwrap().arguments(7);
        assert_eq!(kept, [Text::from("sh"), Text::from("abc")]);
    }

    #[test]
    fn only_variables_asked_for_are_told() {
        let env: [&[u8]; 4] = [b"JOB=7", SECRET, b"JOB=8", b"EMPTY="];
        let text = written(b"/bin/sh", &args(&["sh", "JOB=6"]), &env);
        let started = Started::parse(&text).unwrap();
        let wanted = ["JOB", "EMPTY", "NONE", ""].map(str::to_owned);
        let expected = vec![
            ("JOB".to_owned(), Text::from("7")),
            ("EMPTY".to_owned(), Text::from("")),
        ];
        assert_eq!(started.variables(&wanted), Read::Known(expected));
        assert_eq!(started.variables(&[]), Read::NotAsked);
    }

    #[test]
    fn no_environment_at_all_is_refusal() {
        let text = written(b"/bin/sh", &args(&["sh"]), &[]);
        let started = Started::parse(&text).unwrap();
        assert_eq!(started.variables(&["JOB".to_owned()]), Read::Denied);
    }
}

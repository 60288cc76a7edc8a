//! Trees of shells, made from a seed. Each process waits for its input to end, which it does when the tree is dropped and
//! when the test itself is gone: none is left over.

use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use crate::engine::process::{Pid, Text};

/// More processes than this has no tree, its zombies not counted.
const MOST: u64 = 12;

/// Seeded chance: splitmix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// One of 0 ..= `most`.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % (most + 1)
    }
}

/// The arguments of a process, and its parent's; a zombie has none.
pub(super) type Member = (Vec<Text>, Vec<Text>);

/// One tree of processes, standing.
pub(super) struct Forest {
    root: Child,
    planned: Vec<Member>,
}

impl Forest {
    /// Starts one.
    pub(super) fn grow(dice: &mut Dice) -> Self {
        let mut left = dice.up_to(MOST - 1);
        let plan = Plan::draw(dice, &mut left, 0);
        let mut planned = Vec::new();
        plan.note(&[], &mut planned);
        planned.sort();
        let arguments = plan.arguments();
        let root = Command::new("sh")
            .args(
                arguments
                    .iter()
                    .skip(1)
                    .map(|one| std::ffi::OsStr::from_bytes(one)),
            )
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { root, planned }
    }

    pub(super) fn root(&self) -> Pid {
        Pid::new(self.root.id()).unwrap()
    }

    /// Its processes, in order. The root's parent counts as one without arguments.
    pub(super) fn planned(&self) -> Vec<Member> {
        self.planned.clone()
    }
}

impl Drop for Forest {
    fn drop(&mut self) {
        // The end of its input ends it, and each waits for its own.
        drop(self.root.stdin.take());
        let _ = self.root.wait();
    }
}

/// What one process is to be.
struct Plan {
    depth: u32,
    words: Vec<Vec<u8>>,
    children: Vec<Plan>,
    /// How often it counts, how often it doubles what it holds, and how many children it leaves unwaited for.
    counts: u64,
    doubles: u64,
    zombies: u64,
}

impl Plan {
    fn draw(dice: &mut Dice, left: &mut u64, depth: u32) -> Self {
        let words = (0..dice.up_to(4)).map(|_| word(dice)).collect();
        let mut children = Vec::new();
        while depth < 3 && *left > 0 && dice.up_to(3) > 0 {
            *left -= 1;
            children.push(Self::draw(dice, left, depth + 1));
        }
        Self {
            depth,
            words,
            children,
            counts: [0, 0, 100, 20_000][index(dice.up_to(3))],
            doubles: dice.up_to(16),
            zombies: dice.up_to(4) / 4,
        }
    }

    fn arguments(&self) -> Vec<Vec<u8>> {
        let mut all = vec![b"sh".to_vec(), b"-c".to_vec(), self.script()];
        all.extend(self.words.iter().cloned());
        all
    }

    fn script(&self) -> Vec<u8> {
        // Children of a shell have no input of their own, so all share the root's under another number.
        let open = if self.depth == 0 { "exec 3<&0; " } else { "" };
        let (counts, doubles) = (self.counts, self.doubles);
        let mut script = format!(
            "{open}i=0; while [ $i -lt {counts} ]; do i=$((i+1)); done; v=xxxxxxxx; i=0; \
             while [ $i -lt {doubles} ]; do v=$v$v; i=$((i+1)); done; "
        )
        .into_bytes();
        for child in &self.children {
            for argument in child.arguments() {
                script.extend(quoted(&argument));
                script.push(b' ');
            }
            script.extend(b"& ");
        }
        for _ in 0..self.zombies {
            script.extend(b"true & ");
        }
        script.extend(b"read line <&3; wait");
        script
    }

    fn note(&self, parent: &[Text], planned: &mut Vec<Member>) {
        let own: Vec<Text> = self.arguments().into_iter().map(Text::new).collect();
        for child in &self.children {
            child.note(&own, planned);
        }
        for _ in 0..self.zombies {
            planned.push((Vec::new(), own.clone()));
        }
        planned.push((own, parent.to_vec()));
    }
}

fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = b"'".to_vec();
    for byte in word {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Arguments of every sort: empty, no text, looking like others.
fn word(dice: &mut Dice) -> Vec<u8> {
    let words: [&[u8]; 10] = [
        b"",
        b"\xff\xfe",
        b"a b",
        b"it's",
        b"--flag=1",
        b"TOKEN=secret",
        b"\x1b[2J\n",
        b" ",
        "\u{202e}päckchen".as_bytes(),
        &[b'x'; 300],
    ];
    words[index(dice.up_to(9))].to_vec()
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

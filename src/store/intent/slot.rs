//! One slot of the record: its bytes, and what they say.
//!
//! A slot is a state, then a line with length and checksum, then JSON; at its end, what came of it. The state is written
//! last and by itself: a slot that says it is open is whole, unless the file was damaged, and the checksum says so.

/// Bytes of one slot: about 1,500 targets.
pub(super) const SLOT: usize = 32 << 10;

/// Bytes before the JSON: state, length, checksum.
const HEAD: usize = 64;

/// Bytes at the end for what came of it.
const TAIL: usize = 1024;

/// Where the outcome begins.
pub(super) const OUTCOME: usize = SLOT - TAIL;

/// The longest JSON a slot takes.
pub(super) const ROOM: usize = SLOT - TAIL - HEAD;

/// What a slot's first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing, or something half written.
    Free,
    /// An act is under way, or its beadle died.
    Open,
    /// It came to an end.
    Closed,
    /// Its beadle died, and a later one has told so.
    Told,
}

impl State {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Free => b' ',
            Self::Open => b'O',
            Self::Closed => b'C',
            Self::Told => b'T',
        }
    }
}

/// The bytes of a slot up to the end of its JSON, in state [`State::Free`]. `None` when it is too long.
pub(super) fn bytes(json: &[u8]) -> Option<Vec<u8>> {
    if json.len() > ROOM {
        return None;
    }
    let state = char::from(State::Free.byte());
    let sum = checksum(json);
    let head = format!("{state} {:08x} {sum:016x}", json.len());
    let mut slot = format!("{head:<width$}\n", width = HEAD - 1).into_bytes();
    slot.extend_from_slice(json);
    Some(slot)
}

/// What an open slot holds; `None` when it is not open, or its content is damaged.
pub(super) fn open(slot: &[u8]) -> Option<&[u8]> {
    if slot.first() != Some(&State::Open.byte()) {
        return None;
    }
    let hex = |from: usize, to: usize| {
        let digits = str::from_utf8(slot.get(from..to)?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    };
    let length = usize::try_from(hex(2, 10)?).ok()?;
    let json = slot.get(HEAD..HEAD.checked_add(length)?)?;
    (length <= ROOM && hex(11, 27)? == checksum(json)).then_some(json)
}

/// The outcome's bytes, padded over whatever stood there.
pub(super) fn outcome(json: &[u8]) -> Vec<u8> {
    let mut tail = vec![b'\n'];
    tail.extend(json.iter().take(TAIL - 2));
    tail.resize(TAIL - 1, b' ');
    tail.push(b'\n');
    tail
}

/// FNV-1a: enough to tell whole from half.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

//! What a datagram says.

use std::fmt;
use std::time::Duration;

use crate::engine::process::Text;
use crate::engine::redact;

/// A datagram of more bytes is not read.
pub const LONGEST: usize = 4096;
/// So much of a status is kept.
pub(super) const STATUS: usize = 160;
/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So much is done.
    pub done: u64,
    /// Of so much, where that is known; never zero.
    pub total: Option<u64>,
}

impl Count {
    /// `567/1000` or `567`: decimal digits and nothing else.
    pub fn read(text: &str) -> Option<Self> {
        let (done, total) = match text.split_once('/') {
            Some((done, total)) => (number(done)?, Some(number(total)?)),
            None => (number(text)?, None),
        };
        (total != Some(0)).then_some(Self { done, total })
    }

    /// In percent of the whole, rounded down; `None` where that is not known, or more than all is done.
    pub fn percent(self) -> Option<u64> {
        let total = self.total.filter(|total| self.done <= *total)?;
        let hundredfold = u128::from(self.done).saturating_mul(100);
        u64::try_from(hundredfold.checked_div(u128::from(total))?).ok()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Some(total) => write!(f, "{}/{total}", self.done),
            None => self.done.fmt(f),
        }
    }
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// What one datagram says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each word can be there or not, whatever the others are"
)]
pub struct Words {
    /// `READY=1`
    pub ready: bool,
    /// `WATCHDOG=1`
    pub watchdog: bool,
    /// `STOPPING=1`
    pub stopping: bool,
    /// `BARRIER=1`, and then nothing else.
    pub barrier: bool,
    /// `X_BEADLE_PROGRESS=`
    pub progress: Option<Count>,
    /// `STATUS=`, cut short, secrets removed.
    pub status: Option<Text>,
    /// `EXTEND_TIMEOUT_USEC=`
    pub extend: Option<Duration>,
    /// So many lines have a word that we know with a value that it cannot have: they are passed over.
    pub spoiled: u32,
}

/// Why a datagram is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing, or more than [`LONGEST`] bytes.
    Size,
    /// Nothing but words that we know with values that they cannot have.
    Value,
    /// `BARRIER=1` stands alone.
    Barrier,
}

impl Words {
    /// Reads a datagram: lines of `NAME=value`. Names that we do not know are passed over, whatever their bytes; a line that is spoiled
    /// spoils no other.
    pub fn read(datagram: &[u8]) -> Result<Self, Unreadable> {
        if datagram.is_empty() || datagram.len() > LONGEST {
            return Err(Unreadable::Size);
        }
        let mut words = Self::default();
        for line in datagram.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b'=');
            if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                let well = words.take(name, value).is_ok();
                words.spoiled = words.spoiled.saturating_add(u32::from(!well));
            }
        }
        let nothing = Self {
            spoiled: words.spoiled,
            ..Self::default()
        };
        if words.spoiled > 0 && words == nothing {
            return Err(Unreadable::Value);
        }
        let alone = Self {
            barrier: true,
            ..Self::default()
        };
        if words.barrier && words != alone {
            return Err(Unreadable::Barrier);
        }
        words.find_counter();
        Ok(words)
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let text = || std::str::from_utf8(value).map_err(|_| Unreadable::Value);
        let micros = || number(text()?).ok_or(Unreadable::Value);
        match name {
            b"READY" => self.ready |= value == b"1",
            // `trigger` is for whoever would act on it.
            b"WATCHDOG" => self.watchdog |= value == b"1",
            b"STOPPING" => self.stopping |= value == b"1",
            b"BARRIER" => self.barrier |= value == b"1",
            b"X_BEADLE_PROGRESS" => {
                self.progress = Some(Count::read(text()?).ok_or(Unreadable::Value)?);
            }
            b"STATUS" => {
                self.status = Some(redact::command_line(&[Text::new(value)], STATUS));
            }
            b"EXTEND_TIMEOUT_USEC" => self.extend = Some(Duration::from_micros(micros()?)),
            b"WATCHDOG_USEC" => drop(micros()?),
            _ => {}
        }
        Ok(())
    }

    /// Programs that know nothing of us give their counter as their status.
    fn find_counter(&mut self) {
        let status = self.status.as_ref().map(Text::bytes);
        let count = status.and_then(|status| Count::read(std::str::from_utf8(status).ok()?));
        if let Some(count) = count.filter(|count| count.total.is_some()) {
            self.progress.get_or_insert(count);
            self.status = None;
        }
    }

    /// Whether it is a beat: what says no more than how it stands is a sign of life, and binds to nothing.
    pub(super) const fn beats(&self) -> bool {
        self.watchdog || self.progress.is_some()
    }
}

//! What gates ask of the machine: its load, how memory is waited for, what it runs on.
//!
//! All of it is the machine's own, also in a container: none of these is told for less than the whole. Each is read when
//! a look needs it, and never kept, but for what the machine runs on: to ask a battery may take it a while.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::gate::{Power, Sensed, Vital, Vitals};
use crate::engine::units::{Hundredths, Mono};

/// How long what the machine runs on is good for.
const FRESH: Duration = Duration::from_secs(5);

/// Reads them.
#[derive(Debug)]
pub struct Senses {
    /// `/proc`, or what stands in for it.
    proc: PathBuf,
    /// `/sys/class`.
    class: PathBuf,
    power: Option<(Mono, Sensed<Power>)>,
}

impl Senses {
    /// Of the machine whose procfs is at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            class: PathBuf::from("/sys/class"),
            power: None,
        }
    }

    /// Those that are wanted, as they are now.
    pub fn read(&mut self, wanted: &BTreeSet<Vital>, now: Mono) -> Vitals {
        let mut vitals = Vitals::default();
        for vital in wanted {
            match vital {
                Vital::Load => vitals.load = self.load(),
                Vital::MemoryPressure => vitals.memory_pressure = self.memory_pressure(),
                Vital::Power => vitals.power = self.power(now),
            }
        }
        vitals
    }

    /// The one-minute load average, as `uptime` prints it.
    #[cfg(target_os = "linux")]
    fn load(&self) -> Sensed<Hundredths> {
        sense(&self.proc.join("loadavg"), load)
    }

    /// The one-minute load average, as `uptime` prints it.
    #[cfg(not(target_os = "linux"))]
    #[expect(
        clippy::unused_self,
        reason = "Linux has a file for it, which is found through us"
    )]
    fn load(&self) -> Sensed<Hundredths> {
        let mut averages = [0.0_f64];
        // SAFETY: it writes at most as many numbers as it is told there is room for.
        let written = unsafe { libc::getloadavg(averages.as_mut_ptr(), 1) };
        match (written, averages) {
            (1.., [load]) => decimal(&format!("{load:.2}")).map_or(Sensed::Unread, Sensed::Known),
            (_, [_]) => Sensed::Unread,
        }
    }

    /// Of kernels built without pressure figures, or started with `psi=0`, the file is missing or cannot be read.
    fn memory_pressure(&self) -> Sensed<Hundredths> {
        sense(&self.proc.join("pressure/memory"), some_avg10)
    }

    fn power(&mut self, now: Mono) -> Sensed<Power> {
        match self.power {
            Some((read, power)) if now.since(read) < FRESH => power,
            Some(_) | None => {
                let power = power(&self.class);
                self.power = Some((now, power));
                power
            }
        }
    }
}

/// A figure in a file.
fn sense<T>(file: &Path, parse: fn(&str) -> Option<T>) -> Sensed<T> {
    match read_to_string(file) {
        Ok(text) => parse(&text).map_or(Sensed::Unread, Sensed::Known),
        // Switched off at boot, the file of pressure is there and says so when it is opened.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
            Sensed::Absent
        }
        Err(_) => Sensed::Unread,
    }
}

/// `0.52 0.58 0.59 1/891 12345`
#[cfg(any(target_os = "linux", test))]
fn load(text: &str) -> Option<Hundredths> {
    decimal(text.split_whitespace().next()?)
}

/// `some avg10=0.12 avg60=0.03 avg300=0.00 total=1234`
fn some_avg10(text: &str) -> Option<Hundredths> {
    let mut lines = text.lines().map(str::split_whitespace);
    let mut some = lines.find_map(|mut words| (words.next() == Some("some")).then_some(words))?;
    decimal(some.find_map(|word| word.strip_prefix("avg10="))?)
}

/// A number with two places.
fn decimal(text: &str) -> Option<Hundredths> {
    let (whole, part) = text.split_once('.')?;
    let digits = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
    let part: u64 = digits.then(|| part.parse().ok())??;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(100)?.checked_add(part).map(Hundredths)
}

/// A machine is on battery when none of its supplies is plugged in and a battery of its own is being emptied. One that has
/// neither is on mains.
fn power(class: &Path) -> Sensed<Power> {
    let supplies = match std::fs::read_dir(class.join("power_supply")) {
        Ok(supplies) => supplies,
        // No driver of a supply, where other drivers are to be seen.
        Err(error) if error.kind() == ErrorKind::NotFound && class.is_dir() => {
            return Sensed::Known(Power::Mains);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Sensed::Absent,
        Err(_) => return Sensed::Unread,
    };
    let (mut emptied, mut doubtful) = (false, false);
    for supply in supplies {
        let Ok(supply) = supply else {
            doubtful = true;
            continue;
        };
        match Supply::read(&supply.path()) {
            Some(Supply::Plugged) => return Sensed::Known(Power::Mains),
            Some(Supply::Emptied) => emptied = true,
            Some(Supply::Other) => {}
            None => doubtful = true,
        }
    }
    match (emptied, doubtful) {
        // It may be the supply that is plugged in.
        (_, true) => Sensed::Unread,
        (true, false) => Sensed::Known(Power::Battery),
        (false, false) => Sensed::Known(Power::Mains),
    }
}

/// What one supply tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    /// The machine is plugged in there.
    Plugged,
    /// A battery of the machine is being emptied.
    Emptied,
    /// Nothing of either: nothing is plugged in, or it is the battery of a mouse.
    Other,
}

impl Supply {
    /// `None` when it cannot be read.
    fn read(folder: &Path) -> Option<Self> {
        let word = |name: &str| match read_to_string(folder.join(name)) {
            Ok(text) => Some(text.trim().to_owned()),
            // A supply that has just been pulled out has no files; and not all have all.
            Err(error) if error.kind() == ErrorKind::NotFound => Some(String::new()),
            Err(_) => None,
        };
        Some(match word("type")?.as_str() {
            "Battery" if word("scope")? == "Device" => Self::Other,
            "Battery" if word("status")? == "Discharging" => Self::Emptied,
            "Mains" | "USB" | "Wireless" if word("online")? == "1" => Self::Plugged,
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        assert_eq!(load("0.52 0.58 0.59 1/891 12345\n"), Some(Hundredths(52)));
        assert_eq!(
            load("123.00 0.58 0.59 1/891 12345\n"),
            Some(Hundredths(12_300))
        );
        let pressure =
            "some avg10=1.05 avg60=0.03 avg300=0.00 total=12\nfull avg10=9.99 avg60=0.00\n";
        assert_eq!(some_avg10(pressure), Some(Hundredths(105)));
        for text in [
            "",
            "1",
            "1.5 2",
            "-1.00",
            "x.00",
            ".05",
            "1.+5",
            "99999999999999999999.00",
        ] {
            assert_eq!(load(text), None, "{text}");
        }
        for text in [
            "",
            "some",
            "full avg10=1.00",
            "some avg60=1.00",
            "some avg10=x",
        ] {
            assert_eq!(some_avg10(text), None, "{text}");
        }
    }

    /// A machine with these supplies: their files by name.
    fn machine(supplies: &[&[(&str, &str)]]) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        for (number, files) in supplies.iter().enumerate() {
            let folder = class.path().join(format!("power_supply/S{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in *files {
                std::fs::write(folder.join(name), format!("{text}\n")).unwrap();
            }
        }
        class
    }

    #[test]
    fn a_machine_is_on_battery_when_it_is_plugged_in_nowhere_and_a_battery_is_emptied() {
        let plug = |online| [("type", "Mains"), ("online", online)];
        let battery = |status| [("type", "Battery"), ("status", status)];
        let mouse = [
            ("type", "Battery"),
            ("scope", "Device"),
            ("status", "Discharging"),
        ];
        let dock = [("type", "USB"), ("online", "1")];
        let found = |supplies: &[&[(&str, &str)]]| power(machine(supplies).path());
        let (on, off) = (Sensed::Known(Power::Battery), Sensed::Known(Power::Mains));
        assert_eq!(found(&[]), off);
        assert_eq!(found(&[&plug("0"), &battery("Discharging")]), on);
        assert_eq!(found(&[&battery("Discharging")]), on);
        assert_eq!(found(&[&plug("1"), &battery("Discharging")]), off);
        assert_eq!(found(&[&plug("0"), &battery("Discharging"), &dock]), off);
        assert_eq!(found(&[&plug("0"), &battery("Full")]), off);
        assert_eq!(found(&[&mouse]), off);
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!(power(nowhere), Sensed::Absent);
        let broken = machine(&[&[("online", "1")]]);
        std::fs::create_dir(broken.path().join("power_supply/S0/type")).unwrap();
        assert_eq!(power(broken.path()), Sensed::Unread);
        let mut senses = Senses::new(nowhere);
        let wanted = BTreeSet::from([Vital::MemoryPressure]);
        let read = senses.read(&wanted, Mono::BOOT);
        assert_eq!(read.memory_pressure, Sensed::Absent);
        assert_eq!(read.load, Sensed::NotAsked);
    }

    #[test]
    fn the_load_of_this_machine_is_known() {
        let mut senses = Senses::new(Path::new("/proc"));
        let read = senses.read(&BTreeSet::from([Vital::Load]), Mono::BOOT);
        assert!(matches!(read.load, Sensed::Known(_)), "{read:?}");
    }

    #[test]
    fn a_battery_is_not_asked_at_every_look() {
        let class = machine(&[&[("type", "Battery"), ("status", "Discharging")]]);
        let mut senses = Senses {
            class: class.path().to_owned(),
            ..Senses::new(Path::new("/proc"))
        };
        let mut at = |secs| {
            let wanted = BTreeSet::from([Vital::Power]);
            senses.read(&wanted, Mono::from_secs(secs)).power
        };
        assert_eq!(at(100), Sensed::Known(Power::Battery));
        drop(class);
        assert_eq!(at(104), Sensed::Known(Power::Battery));
        assert_ne!(at(105), Sensed::Known(Power::Battery));
    }
}

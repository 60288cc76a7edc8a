//! The two columns of truth: what each scenario came to, in the event tier and in the scan tier.
//!
//! A row is printed where it is measured, and added to its file in `columns/` under the tests' folder in `target`, from
//! where `tests/escape/table` prints the table: one line for each, whatever number of runs it was measured in.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Where births and deaths come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// The kernel tells.
    Events,
    /// The process table is read again and again.
    Scan,
}

impl Tier {
    /// The word on the command line and in the log.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Scan => "scan",
        }
    }

    /// What figures of CPU time may say of themselves: better than the tier where there is a better source, and worse of
    /// who was there before everyone had been looked at.
    pub(crate) const fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["exact", "taskstats", "events", "scan"],
            Self::Scan => &["exact", "scan"],
        }
    }
}

/// Which scenario, as the list of scenarios counts them, or a word for those that are not in it.
pub(crate) struct Number(String);

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<&str> for Number {
    fn from(word: &str) -> Self {
        Self(word.to_owned())
    }
}

/// How many may survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Nobody.
    Nobody,
    /// So many at most, and why it cannot be promised that there are fewer.
    AtMost(usize, &'static str),
}

/// What a scenario came to.
#[must_use]
pub(crate) struct Row {
    /// Which one.
    pub(crate) number: Number,
    /// What happens in it.
    pub(crate) story: &'static str,
    /// The tier.
    pub(crate) tier: Tier,
    /// Processes of the villain that live at the end, where none should.
    pub(crate) survivors: usize,
    /// Canaries that do not.
    pub(crate) lost: usize,
    /// From the first signal of the last stage until nobody lived.
    pub(crate) empty: Option<Duration>,
    /// How many may survive.
    pub(crate) promise: Promise,
}

impl Row {
    /// Prints and keeps it.
    pub(crate) fn tell(&self) {
        let empty = self
            .empty
            .map_or("-".to_owned(), |span| span.as_millis().to_string());
        let remark = match self.promise {
            Promise::Nobody => "",
            Promise::AtMost(_, why) => why,
        };
        let line = format!(
            "{}\t{}\t{}\t{}\t{}\t{empty}\t{remark}\n",
            self.number.0,
            self.story,
            self.tier.word(),
            self.survivors,
            self.lost
        );
        print!("{line}");
        let name = format!("{:0>3} {} {}", self.number.0, self.story, self.tier.word());
        let folder = folder("columns");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(plain(&name)));
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// What was promised is kept, and no canary is lost.
    #[track_caller]
    pub(crate) fn holds(&self, said: &str) {
        assert_eq!(self.lost, 0, "canaries are lost:\n{said}");
        let most = match self.promise {
            Promise::Nobody => 0,
            Promise::AtMost(most, _) => most,
        };
        let survivors = self.survivors;
        assert!(survivors <= most, "{survivors} survive:\n{said}");
    }
}

/// What one source of figures said a storm had used, and what it truly had.
#[derive(Debug)]
pub(crate) struct Account {
    /// Its number in the list of hostile scenarios, or `-`.
    pub(crate) number: &'static str,
    /// The storm.
    pub(crate) story: &'static str,
    /// The source.
    pub(crate) source: &'static str,
    /// By the control group.
    pub(crate) truth: Duration,
    /// The range.
    pub(crate) at_least: Duration,
    /// Its other end, where there is one.
    pub(crate) at_most: Option<Duration>,
    /// What the source calls itself.
    pub(crate) tier: String,
}

impl Account {
    /// Prints and keeps it.
    pub(crate) fn tell(&self) {
        let millis = |span: Duration| format!("{:.1}", span.as_secs_f64() * 1000.0);
        let width = self.at_most.map(|most| most.saturating_sub(self.at_least));
        let line = [
            self.number.to_owned(),
            self.story.to_owned(),
            self.source.to_owned(),
            self.tier.clone(),
            millis(self.truth),
            millis(self.at_least),
            self.at_most.map_or("-".to_owned(), millis),
            width.map_or("-".to_owned(), millis),
        ]
        .join("\t");
        println!("{line}");
        let name = plain(&format!("{} {}", self.story, self.source));
        fs::write(folder("accounts").join(name), line + "\n").unwrap();
    }
}

/// A folder of this name for what is told, under the tests' folder in `target`.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A name that a file can have.
pub(crate) fn plain(name: &str) -> String {
    let letters = name.chars();
    letters
        .map(|letter| {
            if letter.is_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect()
}

/// Says what this machine or this user cannot show; `tests/escape/table` repeats it.
pub(crate) fn cannot_show(what: &str, why: &str) {
    eprintln!("NOT SHOWN HERE: {what}: {why}");
    fs::write(
        folder("not-shown").join(plain(what)),
        format!("{what}: {why}\n"),
    )
    .unwrap();
}

//! The two columns of truth: what each scenario came to, in the event tier and in the scan tier.
//!
//! A row is printed where it is measured, and kept in `columns/` under the tests' folder in `target`, from where
//! `tests/run` prints the table.

use std::fs;
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
}

/// What a scenario came to.
pub(crate) struct Row {
    /// Its number in the list of scenarios.
    pub(crate) number: u32,
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
}

impl Row {
    /// Prints and keeps it.
    pub(crate) fn tell(&self) {
        let empty = self
            .empty
            .map_or("-".to_owned(), |span| format!("{} ms", span.as_millis()));
        let line = format!(
            "{:>2}\t{}\t{}\t{}\t{}\t{empty}",
            self.number,
            self.story,
            self.tier.word(),
            self.survivors,
            self.lost
        );
        println!("{line}");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("columns");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{:02}-{}", self.number, self.tier.word()));
        fs::write(file, line + "\n").unwrap();
    }
}

/// What one source of figures said a storm had used, and what it truly had.
#[derive(Debug)]
pub(crate) struct Account {
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
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("accounts");
        fs::create_dir_all(&folder).unwrap();
        let name = format!("{}-{}", self.story, self.source).replace([' ', ','], "-");
        fs::write(folder.join(name), line + "\n").unwrap();
    }
}

/// Says what this machine or this user cannot show; `tests/run` repeats it at its end.
pub(crate) fn cannot_show(what: &str, why: &str) {
    eprintln!("NOT SHOWN HERE: {what}: {why}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("not-shown");
    fs::create_dir_all(&folder).unwrap();
    let name: String = what
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    fs::write(folder.join(name), format!("{what}: {why}\n")).unwrap();
}

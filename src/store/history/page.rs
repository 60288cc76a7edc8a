//! What is kept of one thing that happened.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};

/// One thing that happened to an incident. Strings are fit to be printed: what processes chose is escaped already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The incident's number.
    pub number: u64,
    /// The boot that its processes are of.
    pub boot: Arc<str>,
    /// When: milliseconds of wall time.
    pub at: i64,
    /// What kind of thing, in a word.
    pub kind: &'static str,
    /// Whose case it is.
    pub head: Head,
    /// What becomes of the incident by it.
    pub effect: Effect,
    /// The version of what follows.
    pub form: u32,
    /// What happened.
    pub body: String,
    /// The processes that have a part in it.
    pub people: Vec<Person>,
    /// How many more there were than are named.
    pub unnamed: u64,
}

/// Whose case it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The rule.
    pub rule: String,
    /// Effective user.
    pub owner: Option<u32>,
    /// The root's number.
    pub root: u32,
    /// The root's identity.
    pub key: String,
    /// What the root runs.
    pub program: String,
    /// Its command line, cut short, secrets removed.
    pub command: String,
}

/// What becomes of an incident by a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It begins: whatever of its number is kept is another one.
    Begins,
    /// It is open.
    Goes,
    /// None: this may come after its end.
    None,
    /// It is over, and how.
    Ends(String),
}

/// A process that has a part in an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Its number.
    pub pid: u32,
    /// Its identity; empty while not known.
    pub key: String,
    /// What it runs; empty where not known.
    pub program: String,
    /// Its part.
    pub part: Part,
    /// The signal that is ordered for it, without `SIG`.
    pub signal: Option<&'static str>,
    /// What came of that.
    pub outcome: Option<&'static str>,
    /// Why it is spared, or the signal held back.
    pub because: Option<String>,
}

/// The part of a process in an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It belonged to the tree; nothing was ordered for it.
    Member,
    /// A signal was ordered for it.
    Target,
    /// It was born of a member while an act was under way, and got the same.
    Born,
    /// It belonged to the tree and was spared.
    Spared,
}

impl Part {
    /// The word that is kept.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Target => "target",
            Self::Born => "born",
            Self::Spared => "spared",
        }
    }
}

impl Page {
    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let people = self.people.iter();
        let people: usize = people
            .map(|one| 96 + one.key.len() + one.program.len())
            .sum();
        1024 + self.body.len() + self.head.command.len() + people
    }
}

/// A number as SQLite has them.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Whether what is known of a process stands: nothing new was ordered, or less came of it than of what was sent before.
const STANDS: &str = "excluded.signal IS NULL OR (process.outcome IN ('sent', 'survived')
                 AND coalesce(excluded.outcome, '') NOT IN ('sent', 'survived'))";

/// Writes a page down.
pub(super) fn write(change: &Transaction<'_>, page: &Page) -> rusqlite::Result<()> {
    let known = match page.effect {
        Effect::Begins => None,
        Effect::Goes | Effect::None | Effect::Ends(_) => find(change, page)?,
    };
    let row = match known {
        Some(row) => update(change, page, row)?,
        None => begin(change, page)?,
    };
    change.execute(
        "INSERT INTO page (incident, at, kind, form, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![row, page.at, page.kind, page.form, page.body],
    )?;
    let mut statement = change.prepare(&format!(
        "INSERT INTO process (pid, incident, key, at, program, part, signal, outcome, because)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET
             at = excluded.at,
             program = CASE excluded.program WHEN '' THEN process.program ELSE excluded.program END,
             part = CASE excluded.part WHEN 'member' THEN process.part ELSE excluded.part END,
             because = CASE excluded.part WHEN 'member' THEN process.because ELSE excluded.because END,
             signal = CASE WHEN {STANDS} THEN process.signal ELSE excluded.signal END,
             outcome = CASE WHEN {STANDS} THEN process.outcome ELSE excluded.outcome END"
    ))?;
    for one in &page.people {
        if !one.key.is_empty() {
            take_name(change, row, one)?;
        }
        statement.execute(params![
            one.pid,
            row,
            one.key,
            page.at,
            one.program,
            one.part.word(),
            one.signal,
            one.outcome,
            one.because
        ])?;
    }
    if page.unnamed > 0 {
        let because = format!(
            "incident {} has so many processes that not each could be named",
            page.number
        );
        note_lost(change, page.at, page.unnamed, &because)?;
    }
    Ok(())
}

/// A process that was noted before its identity was known gets it now.
fn take_name(change: &Transaction<'_>, row: i64, one: &Person) -> rusqlite::Result<()> {
    change.execute(
        "UPDATE OR IGNORE process SET key = ?3 WHERE pid = ?1 AND incident = ?2 AND key = ''",
        params![one.pid, row, one.key],
    )?;
    // Where it had a line of its own already.
    change.execute(
        "DELETE FROM process WHERE pid = ?1 AND incident = ?2 AND key = ''",
        params![one.pid, row],
    )?;
    Ok(())
}

/// The newest incident of this number in this boot.
fn find(change: &Transaction<'_>, page: &Page) -> rusqlite::Result<Option<i64>> {
    change
        .query_row(
            "SELECT row FROM incident WHERE number = ?1 AND boot = ?2 ORDER BY row DESC LIMIT 1",
            params![number(page.number), &*page.boot],
            |row| row.get(0),
        )
        .optional()
}

fn begin(change: &Transaction<'_>, page: &Page) -> rusqlite::Result<i64> {
    let head = &page.head;
    change.execute(
        "INSERT INTO incident (number, boot, began, last, rule, owner, root, key, program, command, closed)
         VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            number(page.number),
            &*page.boot,
            page.at,
            head.rule,
            head.owner,
            head.root,
            head.key,
            head.program,
            head.command,
            page.effect.closed()
        ],
    )?;
    Ok(change.last_insert_rowid())
}

/// The case may be another's by now: of a root found above.
fn update(change: &Transaction<'_>, page: &Page, row: i64) -> rusqlite::Result<i64> {
    let head = &page.head;
    change.execute(
        "UPDATE incident SET last = ?2, rule = ?3, owner = ?4, root = ?5, key = ?6, program = ?7, command = ?8
         WHERE row = ?1",
        params![
            row,
            page.at,
            head.rule,
            head.owner,
            head.root,
            head.key,
            head.program,
            head.command
        ],
    )?;
    if page.effect != Effect::None {
        change.execute(
            "UPDATE incident SET closed = ?2 WHERE row = ?1",
            params![row, page.effect.closed()],
        )?;
    }
    Ok(row)
}

impl Effect {
    fn closed(&self) -> Option<&str> {
        match self {
            Self::Ends(how) => Some(how),
            Self::Begins | Self::Goes | Self::None => None,
        }
    }
}

pub(super) fn note_lost(
    change: &Transaction<'_>,
    at: i64,
    records: u64,
    because: &str,
) -> rusqlite::Result<()> {
    change.execute(
        "INSERT INTO lost VALUES (?1, ?2, ?3)",
        params![at, number(records), because],
    )?;
    Ok(())
}

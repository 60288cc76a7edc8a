//! Questions to history.

use rusqlite::{OptionalExtension, Row, params};

use super::{History, page};
use crate::store::StoreError;

/// Pages of one story that are told: the newest. An incident that opens again and again may have any number.
const PAGES: usize = 400;

/// Bytes of their bodies.
const BYTES: usize = 6 << 20;

/// Which incidents are asked for. What is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Those of this owner.
    pub owner: Option<u32>,
    /// Those of this rule.
    pub rule: Option<String>,
    /// Those in which something happened since this moment: milliseconds of wall time.
    pub since: Option<i64>,
    /// Those in which a process of this number had a part.
    pub pid: Option<u32>,
    /// At most so many.
    pub most: u32,
}

/// An incident at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// Its number.
    pub number: u64,
    /// The boot it is of.
    pub boot: String,
    /// When it began: milliseconds of wall time.
    pub began: i64,
    /// The last that happened.
    pub last: i64,
    /// The rule.
    pub rule: String,
    /// Effective user.
    pub owner: Option<u32>,
    /// The root's number.
    pub root: u32,
    /// The root's identity.
    pub key: String,
    /// What the root ran.
    pub program: String,
    /// Its command line.
    pub command: String,
    /// How it was closed; `None` while it is open, or when nobody closed it.
    pub closed: Option<String>,
    /// The gravest signal that was sent, without `SIG`.
    pub signal: Option<String>,
    /// To how many processes any signal was sent.
    pub signalled: u32,
    /// To how many of them SIGKILL.
    pub killed: u32,
    /// The parts of processes of the number that was asked for.
    pub parts: Vec<PartRow>,
    row: i64,
}

/// The part of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// Its number.
    pub pid: u32,
    /// Its identity; empty where not known.
    pub key: String,
    /// The last that concerned it: milliseconds of wall time.
    pub at: i64,
    /// What it ran; empty where not known.
    pub program: String,
    /// Its part, in a word.
    pub part: String,
    /// The last signal that was ordered for it.
    pub signal: Option<String>,
    /// What came of that.
    pub outcome: Option<String>,
    /// Why it was spared, or the signal held back.
    pub because: Option<String>,
}

/// All that is kept of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoryRows {
    /// At a glance.
    pub kept: KeptRow,
    /// Its pages, oldest first.
    pub pages: Vec<PageRow>,
    /// Older pages that are not told.
    pub left_out: usize,
}

/// A page as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRow {
    /// When: milliseconds of wall time.
    pub at: i64,
    /// What kind of thing.
    pub kind: String,
    /// The version of its body.
    pub form: u32,
    /// What happened.
    pub body: String,
}

/// How far back all is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Since this moment: milliseconds of wall time.
    pub since: i64,
    /// What could not be kept, newest first.
    pub lost: Vec<LostRow>,
}

/// Something that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRow {
    /// When that was noted: milliseconds of wall time.
    pub at: i64,
    /// How many records; 0 where nobody can tell.
    pub records: u64,
    /// Why.
    pub because: String,
}

/// What is needed of an incident at a glance; a signal counts where it was really sent.
const KEPT: &str = "
SELECT number, boot, began, last, rule, owner, root, key, program, command, closed,
    (SELECT signal FROM process WHERE process.incident = incident.row AND outcome IN ('sent', 'survived')
     ORDER BY signal = 'KILL' DESC, signal = 'TERM' DESC LIMIT 1),
    (SELECT count(*) FROM process WHERE process.incident = incident.row AND outcome IN ('sent', 'survived')),
    (SELECT count(*) FROM process WHERE process.incident = incident.row AND outcome IN ('sent', 'survived')
     AND signal = 'KILL'),
    row
FROM incident ";

impl History {
    /// The incidents that fit, newest first, and whether there are more.
    pub fn list(&self, query: &Query) -> Result<(Vec<KeptRow>, bool), StoreError> {
        let read = || -> rusqlite::Result<Vec<KeptRow>> {
            let mut statement = self.file.prepare(&format!(
                "{KEPT} WHERE (?1 IS NULL OR owner = ?1)
                   AND (?2 IS NULL OR rule = ?2)
                   AND (?3 IS NULL OR last >= ?3)
                   AND (?4 IS NULL OR row IN (SELECT incident FROM process WHERE pid = ?4))
                 ORDER BY row DESC LIMIT ?5"
            ))?;
            let most = i64::from(query.most).saturating_add(1);
            let rows = statement.query_map(
                params![query.owner, query.rule, query.since, query.pid, most],
                kept,
            )?;
            rows.collect()
        };
        let mut found = read().map_err(self.unread())?;
        let most = usize::try_from(query.most).unwrap_or(usize::MAX);
        let more = found.len() > most;
        found.truncate(most);
        if let Some(pid) = query.pid {
            for kept in &mut found {
                kept.parts = self.parts(kept.row, pid).map_err(self.unread())?;
            }
        }
        Ok((found, more))
    }

    /// All that is kept of the newest incident of this number.
    pub fn story(&self, number: u64) -> Result<Option<StoryRows>, StoreError> {
        let read = || -> rusqlite::Result<Option<StoryRows>> {
            let one = format!("{KEPT} WHERE number = ?1 ORDER BY row DESC LIMIT 1");
            let number = params![page::number(number)];
            let Some(kept) = self.file.query_row(&one, number, kept).optional()? else {
                return Ok(None);
            };
            let mut statement = self.file.prepare(
                "SELECT at, kind, form, body FROM page WHERE incident = ?1 ORDER BY row DESC",
            )?;
            let mut rows = statement.query(params![kept.row])?;
            let (mut pages, mut left_out, mut room) = (Vec::new(), 0_usize, BYTES);
            while let Some(row) = rows.next()? {
                let page = PageRow {
                    at: row.get(0)?,
                    kind: row.get(1)?,
                    form: row.get(2)?,
                    body: row.get(3)?,
                };
                match room.checked_sub(page.body.len()) {
                    Some(left) if pages.len() < PAGES && left_out == 0 => {
                        room = left;
                        pages.push(page);
                    }
                    Some(_) | None => left_out = left_out.saturating_add(1),
                }
            }
            pages.reverse();
            Ok(Some(StoryRows {
                kept,
                pages,
                left_out,
            }))
        };
        read().map_err(self.unread())
    }

    /// How far back all is kept.
    pub fn reach(&self) -> Result<Reach, StoreError> {
        let read = || -> rusqlite::Result<Reach> {
            let since = self
                .file
                .query_row("SELECT since FROM reach", [], |row| row.get(0))?;
            let mut statement = self
                .file
                .prepare("SELECT at, records, because FROM lost ORDER BY rowid DESC LIMIT 20")?;
            let lost = statement.query_map([], |row| {
                Ok(LostRow {
                    at: row.get(0)?,
                    records: count(row.get(1)?),
                    because: row.get(2)?,
                })
            })?;
            Ok(Reach {
                since,
                lost: lost.collect::<rusqlite::Result<_>>()?,
            })
        };
        read().map_err(self.unread())
    }

    fn parts(&self, incident: i64, pid: u32) -> rusqlite::Result<Vec<PartRow>> {
        let mut statement = self.file.prepare(
            "SELECT pid, key, at, program, part, signal, outcome, because FROM process
             WHERE pid = ?1 AND incident = ?2 ORDER BY at DESC LIMIT 20",
        )?;
        let parts = statement.query_map(params![pid, incident], |row| {
            Ok(PartRow {
                pid: row.get(0)?,
                key: row.get(1)?,
                at: row.get(2)?,
                program: row.get(3)?,
                part: row.get(4)?,
                signal: row.get(5)?,
                outcome: row.get(6)?,
                because: row.get(7)?,
            })
        })?;
        parts.collect()
    }

    fn unread(&self) -> impl Fn(rusqlite::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::sql("read", &path)(source)
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptRow> {
    Ok(KeptRow {
        number: count(row.get(0)?),
        boot: row.get(1)?,
        began: row.get(2)?,
        last: row.get(3)?,
        rule: row.get(4)?,
        owner: row.get(5)?,
        root: row.get(6)?,
        key: row.get(7)?,
        program: row.get(8)?,
        command: row.get(9)?,
        closed: row.get(10)?,
        signal: row.get(11)?,
        signalled: row.get(12)?,
        killed: row.get(13)?,
        parts: Vec::new(),
        row: row.get(14)?,
    })
}

/// A count as it was written: never negative.
fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

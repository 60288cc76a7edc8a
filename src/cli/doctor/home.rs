//! What is kept, what is read, and who watches already.

use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::{Args, Finding, Reach, Surroundings};
use crate::control::client::AskError;
use crate::control::protocol::{Answer, Question};
use crate::control::wire::Status;
use crate::daemon::{Rules, state_folder};
use crate::engine::rule::Mode;
use crate::engine::units::{Bytes, Span};
use crate::sys::users::Users;

/// Less room than this, and history may have to stop.
const ROOM: Bytes = Bytes::mib(128);

/// All of it.
pub(super) fn findings(args: &Args, around: &Surroundings) -> Vec<Finding> {
    let mut findings = vec![rules(args.config.as_deref(), around), history(around)];
    findings.extend(daemon(&args.reach, around));
    findings
}

/// Whether `beadle watch` would begin with these rules.
fn rules(config: Option<&Path>, around: &Surroundings) -> Finding {
    let part = "rules";
    let (config, home) = (config.map(Path::to_owned), around.config_home.clone());
    let loaded = match Rules::new(config, home, around.uid, None).load(&Users::default()) {
        Ok(loaded) => loaded,
        Err(refusal) => {
            let first = refusal.to_string();
            return Finding::bad(part, first.lines().next().unwrap_or("refused"))
                .remedy("`beadle check` shows every problem with its line");
        }
    };
    let rules = &loaded.rules.rules;
    let enforcing = rules
        .iter()
        .filter(|rule| rule.mode == Mode::Enforce)
        .count();
    let from = match loaded.files.as_slice() {
        [] => "built in; no rule file is there".to_owned(),
        [one] => format!("from {} and what is built in", one.display()),
        many => format!("from {} files and what is built in", many.len()),
    };
    let found = format!(
        "{} rules, {from}; {enforcing} of them may signal",
        rules.len()
    );
    if loaded.warnings.is_empty() {
        return Finding::well(part, found);
    }
    let found = format!("{found}; doubtful: {}", loaded.warnings.len());
    Finding::less(part, found, "what the warnings say").remedy("`beadle check` shows them")
}

/// Whether history can be kept.
fn history(around: &Surroundings) -> Finding {
    let part = "history";
    let Some(folder) = state_folder(around.uid, around.state_home.as_deref()) else {
        return Finding::less(
            part,
            "there is no place for it: neither XDG_STATE_HOME nor HOME is set",
            "incidents are told in the log alone, and their numbers begin anew with each boot",
        )
        .remedy("set HOME, or name a folder with --state");
    };
    // Nothing is made here: what is not there yet will be made in the nearest folder that is.
    let place = standing(&folder);
    if let Err(error) = access(place, Access::WRITE_OK | Access::EXEC_OK) {
        let (folder, place) = (folder.display(), place.display());
        let found = format!("it belongs in {folder}, and {place} cannot be written: {error}");
        return Finding::bad(part, found)
            .remedy("make it writable for this user, or name another folder with --state");
    }
    let Ok(disk) = statvfs(place) else {
        return Finding::well(part, format!("in {}", folder.display()));
    };
    let room = Bytes(disk.f_bavail.saturating_mul(disk.f_frsize));
    let found = format!("in {}, with {room} to spare", folder.display());
    if room >= ROOM {
        return Finding::well(part, found);
    }
    let lost = "when the disk is full nothing more is kept, and that is told; what is to be done is done all the same";
    Finding::less(part, found, lost).remedy("make room, or set `store: { size: … }` lower")
}

/// The nearest folder above that is there.
fn standing(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or_else(|| Path::new("/"))
}

/// Whether somebody watches, and what that one found wanting.
fn daemon(reach: &Reach, around: &Surroundings) -> Vec<Finding> {
    let part = "watch";
    match reach.try_to_ask(&Question::Status, around) {
        Ok(Answer::Status(status)) => watching(&status),
        Ok(_) => vec![Finding::bad(part, "the daemon answered another question").remedy(SAME)],
        Err(none @ AskError::NoDaemon { .. }) => vec![
            Finding::less(part, none.to_string(), "nobody watches")
                .remedy("`beadle watch` guards at once; `beadle service install` keeps it going"),
        ],
        Err(error) => vec![Finding::bad(part, error.to_string())],
    }
}

const SAME: &str = "run one version of both: `beadle --version`, `beadle status`";

fn watching(status: &Status) -> Vec<Finding> {
    let part = "watch";
    let daemon = &status.daemon;
    let up = Span(std::time::Duration::from_secs_f64(
        daemon.up.max(0.0).trunc(),
    ));
    let found = format!(
        "beadle {} watches as user {} since {up} (process {}, mode {}, {} tier)",
        daemon.version, daemon.owner, daemon.pid, status.mode, status.tier
    );
    let mut findings = vec![if daemon.version.as_str() == env!("CARGO_PKG_VERSION") {
        Finding::well(part, found)
    } else {
        Finding::less(part, found, "it is of another version than this program").remedy(SAME)
    }];
    for fault in &daemon.faults {
        let found = format!("the watch's {} does not work: {}", fault.part, fault.text);
        findings
            .push(Finding::bad(part, found).remedy("`beadle status`, and its log, say since when"));
    }
    if let Some(leash) = daemon.leash {
        let found = format!("on a leash: only descendants of process {leash} are signalled");
        findings.push(Finding::less(part, found, "everybody else is only nudged"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_lies_in_the_nearest_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        assert_eq!(standing(&deep), folder.path());
        assert_eq!(standing(Path::new("/nowhere/at/all")), Path::new("/"));
    }
}

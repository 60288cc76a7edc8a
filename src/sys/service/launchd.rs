//! launchd: a daemon for the machine, an agent for one user.
//!
//! It knows no word for *ready*, *reloading* or *alive*: it starts us, and starts us again.

use std::path::{Path, PathBuf};

use super::Whose;
use super::plan::{ServiceError, Step, answer, plain};

const DAEMON: &str = include_str!("../../../launchd/org.beadle.daemon.plist");
const AGENT: &str = include_str!("../../../launchd/org.beadle.agent.plist");

/// The program in those texts.
const PROGRAM: &str = "/usr/local/bin/beadle";

/// The file that tells launchd of it.
pub fn plist(whose: &Whose) -> PathBuf {
    let folder = match whose {
        Whose::Machine => PathBuf::from("/Library/LaunchDaemons"),
        Whose::User { home, .. } => home.join("Library/LaunchAgents"),
    };
    folder.join(format!("{}.plist", label(whose)))
}

/// What it takes to have `program` started, now and from now on.
pub fn install(whose: &Whose, program: &Path) -> Result<Vec<Step>, ServiceError> {
    let program = plain(program)?;
    let text = match whose {
        Whose::Machine => DAEMON,
        Whose::User { .. } => AGENT,
    };
    let path = plist(whose);
    let file = path.display().to_string();
    let (domain, name) = (domain(whose), name(whose));
    Ok(vec![
        // A beadle that runs is not replaced by one that would not start.
        Step::run(&[program, "check"], "mend the rules first"),
        Step::Write {
            path,
            text: text.replace(PROGRAM, program),
        },
        // It reads a changed file only when the job is new to it.
        Step::attempt(&["launchctl", "bootout", &name]),
        Step::run(&["launchctl", "enable", &name], "try it by hand"),
        Step::run(
            &["launchctl", "bootstrap", &domain, &file],
            "`launchctl print` of the same place says more",
        ),
    ])
}

/// What it takes to have nothing of it left; `leftovers` are folders of the daemon's own.
///
/// `used` are those a daemon that lives would use.
pub fn uninstall(whose: &Whose, leftovers: &[PathBuf], used: &[PathBuf]) -> Vec<Step> {
    let mut steps = vec![Step::attempt(&["launchctl", "bootout", &name(whose)])];
    steps.extend(used.iter().cloned().map(Step::Unused));
    steps.push(Step::Remove(plist(whose)));
    steps.extend(leftovers.iter().cloned().map(Step::Clear));
    steps
}

/// The process of the job, if launchd knows the job: `None` inside where it does not run.
pub fn look(whose: &Whose) -> Option<Option<u32>> {
    let words = ["launchctl", "print", &name(whose)].map(str::to_owned);
    answer(&words).ok().map(|text| pid(&text))
}

fn pid(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("pid = "));
    line.and_then(|number| number.parse().ok())
}

const fn label(whose: &Whose) -> &'static str {
    match whose {
        Whose::Machine => "org.beadle.daemon",
        Whose::User { .. } => "org.beadle.agent",
    }
}

fn domain(whose: &Whose) -> String {
    match whose {
        Whose::Machine => "system".to_owned(),
        Whose::User { uid, .. } => format!("gui/{uid}"),
    }
}

fn name(whose: &Whose) -> String {
    format!("{}/{}", domain(whose), label(whose))
}

#[cfg(test)]
mod tests {
    use super::super::MARK;
    use super::*;

    fn user() -> Whose {
        Whose::User {
            uid: 501,
            home: "/Users/ann".into(),
            data: "/Users/ann/.local/share".into(),
        }
    }

    #[test]
    fn each_has_its_place_and_its_program() {
        let steps = install(&user(), Path::new("/opt/b/beadle")).unwrap();
        let [check, write, out, enable, bootstrap] = steps.as_slice() else {
            panic!("{steps:?}")
        };
        assert_eq!(
            *check,
            Step::run(&["/opt/b/beadle", "check"], "mend the rules first")
        );
        let Step::Write { path, text } = write else {
            panic!("{write:?}")
        };
        let place = "/Users/ann/Library/LaunchAgents/org.beadle.agent.plist";
        assert_eq!(path, Path::new(place));
        assert!(text.contains(MARK) && text.contains("<string>/opt/b/beadle</string>"));
        assert!(!text.contains(PROGRAM));
        let name = "gui/501/org.beadle.agent";
        assert_eq!(*out, Step::attempt(&["launchctl", "bootout", name]));
        assert_eq!(
            *enable,
            Step::run(&["launchctl", "enable", name], "try it by hand")
        );
        let help = "`launchctl print` of the same place says more";
        let words = ["launchctl", "bootstrap", "gui/501", place];
        assert_eq!(*bootstrap, Step::run(&words, help));

        let machine = uninstall(&Whose::Machine, &[], &[]);
        let plist = "/Library/LaunchDaemons/org.beadle.daemon.plist";
        let bootout = ["launchctl", "bootout", "system/org.beadle.daemon"];
        assert_eq!(
            machine,
            [Step::attempt(&bootout), Step::Remove(plist.into())]
        );
    }

    #[test]
    fn launchd_tells_of_the_process() {
        let text = "system/org.beadle.daemon = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 4711\n}";
        assert_eq!(pid(text), Some(4711));
        assert_eq!(pid("state = not running"), None);
    }
}

//! systemd: units, the group, and what is left alone when `/tmp` is cleaned.
//!
//! The machine's has three units: the watch, and a socket at which systemd starts a process for each user who is to see a
//! notification. The socket comes and goes with the watch.
//!
//! What is written goes to `/usr/local/lib` or, for one user, to `$XDG_DATA_HOME`: there it takes precedence over nothing of
//! the administrator's, and `systemctl edit` works as for any package.

use std::path::{Path, PathBuf};

use super::plan::{ServiceError, Step, answer, plain};
use super::{Kept, Whose};

const MACHINE_UNIT: &str = include_str!("../../../systemd/beadle.service");
const USER_UNIT: &str = include_str!("../../../systemd/user/beadle.service");
const PORTER_SOCKET: &str = include_str!("../../../systemd/beadle-notify.socket");
const PORTER_UNIT: &str = include_str!("../../../systemd/beadle-notify@.service");
const GROUP: &str = include_str!("../../../systemd/sysusers.d/beadle.conf");
const CLEANING: &str = include_str!("../../../systemd/tmpfiles.d/beadle.conf");

/// The program in those texts.
const PROGRAM: &str = "/usr/local/bin/beadle";

/// The name of the unit.
pub const UNIT: &str = "beadle.service";

/// The socket of those who show notifications, for the machine's.
const PORTER: &str = "beadle-notify.socket";

/// Where systemd is, if it runs the machine (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// The first version that waits for the end of a reload by itself.
const NOTIFY_RELOAD: u32 = 253;

/// Where packages put units.
const PACKAGES: [&str; 2] = ["/usr/lib/systemd", "/lib/systemd"];

/// How things are with the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// The file it was read from.
    pub file: String,
    /// `enabled`, `disabled`, …
    pub enabled: String,
    /// `active`, `failed`, `activating`, …
    pub active: String,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How often it was restarted since it was started.
    pub restarts: Option<u64>,
    /// What it says of itself.
    pub says: String,
}

/// The file of our own unit.
pub fn unit(whose: &Whose) -> PathBuf {
    match whose {
        Whose::Machine => PathBuf::from("/usr/local/lib/systemd/system").join(UNIT),
        Whose::User { data, .. } => data.join("systemd/user").join(UNIT),
    }
}

/// Where the group is named.
const GROUP_FILE: &str = "/usr/local/lib/sysusers.d/beadle.conf";

/// Where a person's own changes of the unit are.
pub fn changes(whose: &Whose, config: Option<&Path>) -> Option<PathBuf> {
    match whose {
        Whose::Machine => Some("/etc/systemd/system/beadle.service.d".into()),
        Whose::User { .. } => Some(config?.join("systemd/user/beadle.service.d")),
    }
}

/// Makes sure that there is a systemd for this; `runtime` is `$XDG_RUNTIME_DIR`.
pub fn is_there(whose: &Whose, runtime: Option<&Path>) -> Result<(), ServiceError> {
    let missing = PathBuf::from(BOOTED);
    if !missing.exists() {
        return Err(ServiceError::NoManager { missing });
    }
    let Whose::User { uid, .. } = whose else {
        return Ok(());
    };
    let runtime = runtime.map_or_else(|| format!("/run/user/{uid}").into(), PathBuf::from);
    let missing = runtime.join("systemd/private");
    if missing.exists() {
        Ok(())
    } else {
        Err(ServiceError::NoUserManager { missing })
    }
}

/// Makes sure that no package has installed the service.
pub fn is_free(whose: &Whose) -> Result<(), ServiceError> {
    let kind = match whose {
        Whose::Machine => "system",
        Whose::User { .. } => "user",
    };
    let units = PACKAGES.map(|folder| Path::new(folder).join(kind).join(UNIT));
    match units.into_iter().find(|unit| unit.exists()) {
        Some(unit) => Err(ServiceError::Packaged {
            unit,
            start: control(whose, &["enable", "--now", UNIT]).join(" "),
        }),
        None => Ok(()),
    }
}

/// Makes sure that what systemd has, or would find, by our name is our own. `seen` is what it has loaded, `folders` are those it
/// reads; what it has may be older than what it would find.
pub fn is_ours(whose: &Whose, seen: &Seen, folders: &[PathBuf]) -> Result<(), ServiceError> {
    let ours = unit(whose);
    let reload = || control(whose, &["daemon-reload"]).join(" ");
    if seen.load == "masked" {
        return Err(ServiceError::Shadowed {
            unit: if seen.file.is_empty() {
                UNIT.into()
            } else {
                seen.file.clone().into()
            },
            what: "mask",
            mend: format!(
                "`{}` takes it back",
                control(whose, &["unmask", UNIT]).join(" ")
            ),
        });
    }
    let found = folders.iter().map(|folder| folder.join(UNIT));
    let found = found.filter(|unit| unit.symlink_metadata().is_ok());
    let loaded = Some(PathBuf::from(&seen.file)).filter(|file| file.is_absolute());
    match loaded
        .into_iter()
        .chain(found)
        .find(|unit| !is_same(unit, &ours))
    {
        Some(unit) => Err(ServiceError::Shadowed {
            unit,
            what: "unit",
            mend: format!(
                "move it away and run `{}`, or keep it and start beadle by it alone",
                reload()
            ),
        }),
        None => Ok(()),
    }
}

/// Whether both are one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    one == other || whole(one).is_some_and(|path| Some(path) == whole(other))
}

/// Where systemd reads units: where people put theirs, and what it says itself while it runs. `config` is `$XDG_CONFIG_HOME`.
pub fn folders(whose: &Whose, config: Option<&Path>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = match whose {
        Whose::Machine => vec!["/etc/systemd/system".into(), "/run/systemd/system".into()],
        Whose::User { .. } => {
            let own = config.map(|config| config.join("systemd/user"));
            own.into_iter()
                .chain(["/etc/systemd/user".into()])
                .collect()
        }
    };
    let words = control(whose, &["show", "--property", "UnitPath"]);
    let said = answer(&words).unwrap_or_default();
    let paths = said.strip_prefix("UnitPath=").unwrap_or_default();
    all.extend(paths.split_whitespace().map(PathBuf::from));
    all
}

/// The version that runs here; 0 where it does not say.
pub fn version() -> u32 {
    let said = answer(&["systemctl".to_owned(), "--version".to_owned()]).unwrap_or_default();
    let number = said.split_whitespace().nth(1);
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What it takes to have `program` started by a systemd of this version, now and from now on.
pub fn install(whose: &Whose, program: &Path, version: u32) -> Result<Vec<Step>, ServiceError> {
    let program = plain(program)?;
    let text = match whose {
        Whose::Machine => MACHINE_UNIT,
        Whose::User { .. } => USER_UNIT,
    };
    let mut steps = vec![
        // A beadle that runs is not replaced by one that would not start.
        Step::run(&[program, "check"], "mend the rules first"),
        Step::Write {
            path: unit(whose),
            text: written(text, program, version),
        },
    ];
    if *whose == Whose::Machine {
        for (path, text) in more() {
            let text = text.replace(PROGRAM, program);
            steps.push(Step::Write { path, text });
        }
        let help = "is systemd-sysusers there? `groupadd --system beadle` does the same";
        steps.push(Step::run(&["systemd-sysusers", GROUP_FILE], help));
    }
    let mut run = |words: &[&str], help| {
        let words = control(whose, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        steps.push(Step::run(&words, help));
    };
    run(&["daemon-reload"], "try it by hand");
    run(
        &["enable", UNIT],
        "is the unit masked? `systemctl unmask beadle` takes that back",
    );
    let log = match whose {
        Whose::Machine => "`journalctl -u beadle` says why",
        Whose::User { .. } => "`journalctl --user -u beadle` says why",
    };
    // It comes back when it watches.
    run(&["restart", UNIT], log);
    Ok(steps)
}

/// What it takes to have nothing of it left; `leftovers` are folders of the daemon's own.
///
/// `used` are those a daemon that lives would use.
pub fn uninstall(
    whose: &Whose,
    kept: Kept,
    (leftovers, used): (&[PathBuf], &[PathBuf]),
    has_group: bool,
) -> Vec<Step> {
    let attempt = |words: &[&str]| {
        let words = control(whose, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Step::attempt(&words)
    };
    let mut steps = vec![attempt(&["disable", "--now", UNIT])];
    if *whose == Whose::Machine {
        // It goes with the watch, unless it was started alone.
        steps.push(attempt(&["stop", PORTER]));
    }
    // It may not have ended, and another may have been started by hand: what it stands on stays.
    steps.extend(used.iter().cloned().map(Step::Unused));
    steps.push(Step::Remove(unit(whose)));
    if *whose == Whose::Machine {
        steps.extend(more().map(|(path, _)| Step::Remove(path)));
    }
    steps.push(attempt(&["daemon-reload"]));
    steps.push(attempt(&["reset-failed", UNIT]));
    steps.extend(leftovers.iter().cloned().map(Step::Clear));
    if *whose == Whose::Machine && kept == Kept::Goes && has_group {
        steps.push(Step::attempt(&["groupdel", "beadle"]));
    }
    steps
}

/// How things are.
pub fn look(whose: &Whose) -> Result<Seen, ServiceError> {
    let names = "LoadState,FragmentPath,UnitFileState,ActiveState,MainPID,NRestarts,StatusText";
    let words = control(whose, &["show", UNIT, "--property", names]);
    match answer(&words) {
        Ok(text) => Ok(read(&text)),
        Err(said) => Err(ServiceError::Failed {
            command: words.join(" "),
            said,
            help: "does systemd answer at all?",
        }),
    }
}

/// Whether systemd listens for the watch, to have notifications shown: `active`, `inactive`, `not-found`, …; for the machine's.
pub fn porter(whose: &Whose) -> Option<String> {
    if *whose != Whose::Machine {
        return None;
    }
    let seen = read(
        &answer(&control(
            whose,
            &["show", PORTER, "--property", "LoadState,ActiveState"],
        ))
        .ok()?,
    );
    Some(if seen.load == "loaded" {
        seen.active
    } else {
        seen.load
    })
}

fn read(text: &str) -> Seen {
    let value = |name: &str| {
        let found = text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key == name).then(|| value.to_owned())
        });
        found.unwrap_or_default()
    };
    Seen {
        load: value("LoadState"),
        file: value("FragmentPath"),
        enabled: value("UnitFileState"),
        active: value("ActiveState"),
        pid: value("MainPID").parse().ok().filter(|pid| *pid > 0),
        restarts: value("NRestarts").parse().ok(),
        says: value("StatusText"),
    }
}

/// The unit for this program, and for a systemd of this version.
fn written(text: &str, program: &str, version: u32) -> String {
    let text = text.replace(PROGRAM, program);
    if version < NOTIFY_RELOAD {
        return text;
    }
    let lines = text.lines().filter(|line| !line.starts_with("ExecReload="));
    let lines = lines.map(|line| match line {
        "Type=notify" => "Type=notify-reload",
        line => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// What goes with the machine's unit.
fn more() -> [(PathBuf, &'static str); 4] {
    [
        (
            "/usr/local/lib/systemd/system/beadle-notify.socket".into(),
            PORTER_SOCKET,
        ),
        (
            "/usr/local/lib/systemd/system/beadle-notify@.service".into(),
            PORTER_UNIT,
        ),
        (GROUP_FILE.into(), GROUP),
        ("/usr/local/lib/tmpfiles.d/beadle.conf".into(), CLEANING),
    ]
}

fn control(whose: &Whose, words: &[&str]) -> Vec<String> {
    let user = match whose {
        Whose::Machine => None,
        Whose::User { .. } => Some("--user"),
    };
    let all = ["systemctl"].into_iter().chain(user);
    all.chain(words.iter().copied())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::MARK;
    use super::*;

    fn user() -> Whose {
        Whose::User {
            uid: 1000,
            home: "/home/ann".into(),
            data: "/home/ann/.local/share".into(),
        }
    }

    fn commands(steps: &[Step]) -> Vec<String> {
        let words = steps.iter().filter_map(|step| match step {
            Step::Run { words, .. } => Some(words.join(" ")),
            Step::Write { .. } | Step::Remove(_) | Step::Unused(_) | Step::Clear(_) => None,
        });
        words.collect()
    }

    #[test]
    fn what_is_written_is_known_again_and_starts_the_program_that_is_installed() {
        for whose in [Whose::Machine, user()] {
            for version in [0, 252, 253, 260] {
                let steps = install(&whose, Path::new("/opt/b/beadle"), version).unwrap();
                let texts = steps.iter().filter_map(|step| match step {
                    Step::Write { text, .. } => Some(text),
                    Step::Remove(_) | Step::Unused(_) | Step::Clear(_) | Step::Run { .. } => None,
                });
                assert!(texts.clone().all(|text| text.contains(MARK)));
                assert!(texts.clone().all(|text| !text.contains(PROGRAM)));
                let unit = texts.clone().next().unwrap();
                assert!(unit.contains("\nExecStart=/opt/b/beadle watch --log journald\n"));
                let new = version >= NOTIFY_RELOAD;
                assert_eq!(unit.contains("\nType=notify-reload\n"), new);
                assert_eq!(unit.contains("\nType=notify\n"), !new);
                assert_eq!(unit.contains("\nExecReload="), !new);
                assert!(unit.ends_with('\n'));
            }
        }
        install(&Whose::Machine, Path::new("/a b/beadle"), 252).unwrap_err();
    }

    #[test]
    fn rules_are_checked_before_anything_is_touched_and_it_is_started_last() {
        let machine = install(&Whose::Machine, Path::new(PROGRAM), 252).unwrap();
        assert_eq!(
            commands(&machine),
            [
                "/usr/local/bin/beadle check",
                "systemd-sysusers /usr/local/lib/sysusers.d/beadle.conf",
                "systemctl daemon-reload",
                "systemctl enable beadle.service",
                "systemctl restart beadle.service",
            ]
        );
        let own = install(&user(), Path::new("/home/ann/.local/bin/beadle"), 252).unwrap();
        assert_eq!(
            commands(&own),
            [
                "/home/ann/.local/bin/beadle check",
                "systemctl --user daemon-reload",
                "systemctl --user enable beadle.service",
                "systemctl --user restart beadle.service",
            ]
        );
    }

    #[test]
    fn all_that_was_written_is_removed() {
        for whose in [Whose::Machine, user()] {
            let written = install(&whose, Path::new(PROGRAM), 252).unwrap();
            let folders = ["/run/beadle".into()];
            let taken_back = uninstall(&whose, Kept::Stays, (&folders, &folders), true);
            for step in written {
                if let Step::Write { path, .. } = step {
                    assert!(taken_back.contains(&Step::Remove(path)));
                }
            }
            // Once it is stopped, and before anything is gone.
            let gone = |step: &Step| matches!(step, Step::Remove(_) | Step::Clear(_));
            let first = taken_back.iter().position(gone).unwrap();
            assert_eq!(taken_back[first - 1], Step::Unused("/run/beadle".into()));
            assert!(taken_back.contains(&Step::Clear("/run/beadle".into())));
            assert!(
                !commands(&taken_back)
                    .iter()
                    .any(|line| line.contains("groupdel"))
            );
        }
        let all = uninstall(&Whose::Machine, Kept::Goes, (&[], &[]), true);
        assert_eq!(commands(&all).last().unwrap(), "groupdel beadle");
    }

    #[test]
    fn a_unit_of_somebody_elses_is_noticed_wherever_it_was_found() {
        let loaded = |load: &str, file: &Path| Seen {
            load: load.to_owned(),
            file: file.display().to_string(),
            ..Seen::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let whose = Whose::User {
            uid: 7,
            home: dir.path().into(),
            data: dir.path().join("share"),
        };
        let ours = unit(&whose);
        let etc = dir.path().join("etc");
        for folder in [ours.parent().unwrap(), &etc] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let folders = [etc.clone(), ours.parent().unwrap().to_owned()];
        let good = |seen: &Seen| is_ours(&whose, seen, &folders).unwrap();
        let refused = |seen: &Seen| is_ours(&whose, seen, &folders).unwrap_err().to_string();
        let none = loaded("not-found", Path::new(""));
        good(&none);
        std::fs::write(&ours, MARK).unwrap();
        good(&loaded("loaded", &ours));
        // Loaded from elsewhere.
        let theirs = etc.join(UNIT);
        let said = refused(&loaded("loaded", &theirs));
        let begin = format!("{} is the unit that systemd starts", theirs.display());
        assert!(said.starts_with(&begin), "{said}");
        assert!(said.contains("systemctl --user daemon-reload"), "{said}");
        // Ours is loaded still, and at the next reload theirs is.
        std::fs::write(&theirs, "[Service]").unwrap();
        assert!(refused(&loaded("loaded", &ours)).starts_with(&begin));
        assert!(refused(&none).starts_with(&begin));
        // Another name for our own file.
        std::fs::remove_file(&theirs).unwrap();
        std::os::unix::fs::symlink(&ours, &theirs).unwrap();
        good(&loaded("loaded", &theirs));
        let said = refused(&loaded("masked", Path::new("")));
        assert!(
            said.contains("`systemctl --user unmask beadle.service`"),
            "{said}"
        );
    }

    #[test]
    fn what_systemd_shows_is_read() {
        let text = "LoadState=loaded\nActiveState=active\nMainPID=71\nNRestarts=1\nStatusText=Mode nudge, x=1\n";
        let seen = read(text);
        assert_eq!((seen.pid, seen.restarts), (Some(71), Some(1)));
        assert_eq!(seen.says, "Mode nudge, x=1");
        assert_eq!(
            (seen.enabled.as_str(), seen.active.as_str()),
            ("", "active")
        );
        assert_eq!(read("MainPID=0\n").pid, None);
    }
}

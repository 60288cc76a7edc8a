//! `beadle service`: have the machine's service manager keep a watch going.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::render::{Paint, Tone};
use super::{Failure, Surroundings, json, say};
use crate::daemon;
use crate::engine::process::Uid;
use crate::sys::service::plan::{self, ServiceError, Step};
use crate::sys::service::{Kept, Whose, launchd, systemd};
use crate::sys::users::Users;

/// Have the watch started with the machine, or with your session, and kept going
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo beadle service install           guard the machine from now on
  beadle service install --user         guard my own processes, without root
  beadle service status
  sudo beadle service uninstall         stop, and leave rules and history
  sudo beadle service uninstall --purge the same, and history goes too

It works with systemd and launchd, and starts this very program, wherever it is: `packaging/install` puts it in
place first. Each thing that is done is said. What beadle did not write it leaves alone.
Exits 1 when it cannot, or, for `status`, when nothing runs.")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start it now and from now on; a service of an earlier version is replaced
    Install {
        #[command(flatten)]
        whose: Choice,
    },
    /// Stop it and remove what `install` wrote
    Uninstall {
        #[command(flatten)]
        whose: Choice,
        /// Remove history and incident numbers too
        #[arg(long)]
        purge: bool,
    },
    /// Show whether it is installed and runs
    Status {
        #[command(flatten)]
        whose: Choice,
        /// Print it as one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Choice {
    /// Yours, for your own processes, instead of the machine's
    #[arg(long)]
    user: bool,
}

/// Who keeps services going here.
#[derive(Clone, Copy, Debug)]
enum Manager {
    Systemd,
    Launchd,
}

/// How things stand with the service.
#[derive(Debug, serde::Serialize)]
struct Standing {
    manager: &'static str,
    /// The file that it is started by, if there is one.
    file: Option<String>,
    /// Whether `beadle service install` wrote it.
    ours: bool,
    enabled: bool,
    state: String,
    pid: Option<u32>,
    restarts: Option<u64>,
    says: Option<String>,
    /// How the socket is through which notifications go, where there is to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    porter: Option<String>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    match &args.what {
        What::Install { whose } => install(&whose.of(around)?, around),
        What::Uninstall { whose, purge } => {
            let kept = if *purge { Kept::Goes } else { Kept::Stays };
            uninstall(&whose.of(around)?, kept, around)
        }
        What::Status { whose, json } => status(&whose.any(around)?, *json, around),
    }
}

impl Choice {
    /// Whose service is meant, where it is to be changed.
    fn of(self, around: &Surroundings) -> Result<Whose, ServiceError> {
        match (self.user, around.uid) {
            (false, Uid::ROOT) | (true, Uid(1..)) => self.any(around),
            (false, Uid(_)) => Err(ServiceError::NotRoot),
            (true, Uid(_)) => Err(ServiceError::RootUser),
        }
    }

    fn any(self, around: &Surroundings) -> Result<Whose, ServiceError> {
        if !self.user {
            return Ok(Whose::Machine);
        }
        let found = around.home.clone().zip(around.data_home.clone());
        let (home, data) = found.ok_or(ServiceError::NoHome)?;
        let uid = around.uid.0;
        Ok(Whose::User { uid, home, data })
    }
}

impl Manager {
    const fn here() -> Self {
        if cfg!(target_os = "macos") {
            Self::Launchd
        } else {
            Self::Systemd
        }
    }
}

fn install(whose: &Whose, around: &Surroundings) -> Result<(), Failure> {
    // A service that can only fail is none.
    daemon::can_watch()?;
    let program = std::env::current_exe().map_err(|source| ServiceError::Io {
        what: "find",
        path: PathBuf::from("this very program"),
        source,
    })?;
    let steps = match Manager::here() {
        Manager::Systemd => {
            systemd::is_there(whose, around.runtime.as_deref())?;
            systemd::is_free(whose)?;
            is_not_shadowed(whose, around)?;
            systemd::install(whose, &program, systemd::version())?
        }
        Manager::Launchd => launchd::install(whose, &program)?,
    };
    if *whose == Whose::Machine {
        plan::only_roots(&program)?;
    }
    take(&steps)?;
    let user = flag(whose);
    say(&format!(
        "beadle watches. `beadle status` shows how it goes, `beadle service uninstall{user}` takes this back.\n"
    ));
    Ok(())
}

fn uninstall(whose: &Whose, kept: Kept, around: &Surroundings) -> Result<(), Failure> {
    let places = Places::of(whose, around);
    let mut leftovers = places.passing.clone();
    if kept == Kept::Goes {
        leftovers.extend(places.state.clone());
    }
    // Whoever watches without our service, or goes on in spite of it, is at home in one of them.
    let used: Vec<PathBuf> = places
        .passing
        .iter()
        .chain(&places.state)
        .cloned()
        .collect();
    let steps = match Manager::here() {
        Manager::Systemd => {
            systemd::is_free(whose)?;
            is_not_shadowed(whose, around)?;
            let has_group = Users::default().group("beadle").is_some();
            systemd::uninstall(whose, kept, (&leftovers, &used), has_group)
        }
        Manager::Launchd => launchd::uninstall(whose, &leftovers, &used),
    };
    take(&steps)?;
    for (what, place) in places.left() {
        say(&format!("left: {} ({what})\n", place.display()));
    }
    say("The service is gone.\n");
    Ok(())
}

/// Makes sure that systemd starts no unit but ours by our name.
fn is_not_shadowed(whose: &Whose, around: &Surroundings) -> Result<(), ServiceError> {
    // Where no manager runs, nothing is loaded; what it would read is looked at all the same.
    let seen = match systemd::is_there(whose, around.runtime.as_deref()) {
        Ok(()) => systemd::look(whose)?,
        Err(_) => systemd::Seen::default(),
    };
    let folders = systemd::folders(whose, around.config_home.as_deref());
    systemd::is_ours(whose, &seen, &folders)
}

/// What a daemon and a person keep, beside what `install` writes.
struct Places {
    /// Gone with the boot anyhow.
    passing: Vec<PathBuf>,
    state: Option<PathBuf>,
    rules: Option<PathBuf>,
    changes: Option<PathBuf>,
}

impl Places {
    fn of(whose: &Whose, around: &Surroundings) -> Self {
        let (owner, passing, rules) = match whose {
            Whose::Machine => (
                Uid::ROOT,
                Some(PathBuf::from("/run/beadle")),
                Some(PathBuf::from("/etc/beadle")),
            ),
            Whose::User { uid, .. } => (
                Uid(*uid),
                around.runtime.as_ref().map(|folder| folder.join("beadle")),
                around
                    .config_home
                    .as_ref()
                    .map(|folder| folder.join("beadle")),
            ),
        };
        let changes = match Manager::here() {
            Manager::Systemd => systemd::changes(whose, around.config_home.as_deref()),
            Manager::Launchd => None,
        };
        Self {
            passing: passing.into_iter().collect(),
            state: daemon::state_folder(owner, around.state_home.as_deref()),
            rules,
            changes,
        }
    }

    /// What is there still.
    fn left(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [
            ("rules; a person wrote them", &self.rules),
            ("changes of the service; a person wrote them", &self.changes),
            (
                "history and incident numbers; --purge takes them too",
                &self.state,
            ),
        ];
        let all = all
            .into_iter()
            .filter_map(|(what, place)| Some((what, place.as_deref()?)));
        all.filter(|(_, place)| place.exists())
    }
}

fn status(whose: &Whose, as_json: bool, around: &Surroundings) -> Result<(), Failure> {
    let standing = match Manager::here() {
        Manager::Systemd => {
            systemd::is_there(whose, around.runtime.as_deref())?;
            by_systemd(whose)?
        }
        Manager::Launchd => by_launchd(whose)?,
    };
    if as_json {
        say(&json(&standing));
    } else {
        say(&page(&standing, whose, around.out));
    }
    if standing.pid.is_some() {
        Ok(())
    } else {
        Err(Failure::silent())
    }
}

fn by_systemd(whose: &Whose) -> Result<Standing, ServiceError> {
    let seen = systemd::look(whose)?;
    let file = Some(seen.file).filter(|file| !file.is_empty());
    let ours = file.as_deref().map(Path::new) == Some(&systemd::unit(whose));
    Ok(Standing {
        manager: "systemd",
        enabled: seen.enabled == "enabled",
        state: match (&file, seen.load.as_str()) {
            (None, "not-found") => "not installed".to_owned(),
            (_, "loaded") => seen.active,
            (_, other) => other.to_owned(),
        },
        file,
        ours,
        pid: seen.pid,
        restarts: seen.restarts.filter(|_| seen.pid.is_some()),
        says: Some(seen.says).filter(|says| !says.is_empty()),
        porter: systemd::porter(whose).filter(|_| seen.pid.is_some()),
    })
}

fn by_launchd(whose: &Whose) -> Result<Standing, ServiceError> {
    let plist = launchd::plist(whose);
    let ours = plan::is_ours(&plist)?;
    let job = launchd::look(whose);
    let state = match (ours, job) {
        (_, Some(Some(_))) => "running",
        (_, Some(None)) => "loaded, not running",
        (true, None) => "not loaded",
        (false, None) => "not installed",
    };
    Ok(Standing {
        manager: "launchd",
        file: ours.then(|| plist.display().to_string()),
        ours,
        enabled: job.is_some(),
        state: state.to_owned(),
        pid: job.flatten(),
        restarts: None,
        says: None,
        porter: None,
    })
}

fn page(standing: &Standing, whose: &Whose, paint: Paint) -> String {
    let tone = if standing.pid.is_some() {
        Tone::Good
    } else {
        Tone::Warn
    };
    let whom = match whose {
        Whose::Machine => "the machine's",
        Whose::User { .. } => "your own",
    };
    let mut lines = vec![format!(
        "beadle as {whom} service under {}: {}{}",
        standing.manager,
        paint.tone(tone, &standing.state),
        standing
            .pid
            .map(|pid| format!(" [{pid}]"))
            .unwrap_or_default(),
    )];
    lines.extend(standing.says.clone());
    match &standing.file {
        Some(file) => {
            let by = if standing.ours {
                ""
            } else {
                ", not by `beadle service install`"
            };
            let when = match (standing.enabled, whose) {
                (true, Whose::Machine) => "started with the machine",
                (true, Whose::User { .. }) => "started with your session",
                (false, _) => "not started by itself",
            };
            lines.push(format!("{when} ({file}{by})"));
        }
        None => lines.push(format!(
            "`beadle service install{}` installs it",
            flag(whose)
        )),
    }
    if let Some(restarts @ 1..) = standing.restarts {
        let times = super::render::words::count(restarts, "time", "times");
        lines.push(format!("started again {times} after it had failed"));
    }
    lines.extend(standing.porter.as_deref().and_then(without_porter));
    lines.join("\n") + "\n"
}

/// What is lost where nobody listens who could step into sessions.
fn without_porter(state: &str) -> Option<String> {
    (state != "active").then(|| {
        let mend = match state {
            "not-found" => "`beadle service install` puts it there",
            _ => "`systemctl start beadle-notify.socket` mends that",
        };
        format!("it shows no notifications: beadle-notify.socket is {state}; {mend}")
    })
}

const fn flag(whose: &Whose) -> &'static str {
    match whose {
        Whose::Machine => "",
        Whose::User { .. } => " --user",
    }
}

fn take(steps: &[Step]) -> Result<(), ServiceError> {
    plan::take(steps, |step| say(&format!("{step}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(uid: u32) -> Surroundings {
        let folder = |path: &str| Some(PathBuf::from(path));
        Surroundings {
            bus: None,
            uid: Uid(uid),
            runtime: folder("/run/user/7"),
            config_home: folder("/h/.config"),
            state_home: folder("/h/.local/state"),
            home: folder("/h"),
            data_home: folder("/h/.local/share"),
            service: crate::sys::service::notify::Given::default(),
            out: Paint::Plain,
            err: Paint::Plain,
        }
    }

    #[test]
    fn root_has_the_machines_service_and_everybody_else_their_own() {
        let machine = Choice { user: false };
        let own = Choice { user: true };
        assert_eq!(machine.of(&around(0)).unwrap(), Whose::Machine);
        assert!(matches!(
            own.of(&around(7)).unwrap(),
            Whose::User { uid: 7, .. }
        ));
        let refused = |choice: Choice, uid| choice.of(&around(uid)).unwrap_err().to_string();
        assert!(refused(machine, 7).contains("use sudo, or --user"));
        assert!(refused(own, 0).contains("leave out --user"));
        // Everybody may look.
        assert_eq!(machine.any(&around(7)).unwrap(), Whose::Machine);
        let homeless = Surroundings {
            home: None,
            ..around(7)
        };
        assert!(own.of(&homeless).unwrap_err().to_string().contains("$HOME"));
    }

    #[test]
    fn what_people_wrote_is_never_among_what_goes() {
        for (whose, uid) in [
            (Whose::Machine, 0),
            (Choice { user: true }.any(&around(7)).unwrap(), 7),
        ] {
            let places = Places::of(&whose, &around(uid));
            let goes: Vec<_> = places.passing.iter().chain(&places.state).collect();
            assert_eq!(goes.len(), 2);
            for path in [&places.rules, &places.changes].into_iter().flatten() {
                assert!(!goes.iter().any(|gone| path.starts_with(gone)), "{goes:?}");
            }
            assert!(goes.iter().all(|path| path.ends_with("beadle")), "{goes:?}");
        }
    }

    #[test]
    fn the_page_says_what_to_do() {
        let mut standing = Standing {
            manager: "systemd",
            file: None,
            ours: false,
            enabled: false,
            state: "not installed".to_owned(),
            pid: None,
            restarts: None,
            says: None,
            porter: None,
        };
        let text = page(&standing, &Whose::Machine, Paint::Plain);
        assert_eq!(
            text,
            "beadle as the machine's service under systemd: not installed\n\
             `beadle service install` installs it\n"
        );
        standing.file = Some("/usr/lib/systemd/system/beadle.service".to_owned());
        (standing.pid, standing.enabled, standing.restarts) = (Some(7), true, Some(2));
        standing.says = Some("Mode nudge".to_owned());
        "active".clone_into(&mut standing.state);
        assert_eq!(
            page(&standing, &Whose::Machine, Paint::Plain),
            "beadle as the machine's service under systemd: active [7]\n\
             Mode nudge\n\
             started with the machine (/usr/lib/systemd/system/beadle.service, not by `beadle service install`)\n\
             started again 2 times after it had failed\n"
        );
        standing.porter = Some("active".to_owned());
        assert!(!page(&standing, &Whose::Machine, Paint::Plain).contains("notifications"));
        for (state, mend) in [
            ("not-found", "service install"),
            ("inactive", "systemctl start"),
        ] {
            standing.porter = Some(state.to_owned());
            let text = page(&standing, &Whose::Machine, Paint::Plain);
            let last = text.lines().last().unwrap();
            assert!(
                last.contains("no notifications") && last.contains(mend),
                "{last}"
            );
        }
    }
}

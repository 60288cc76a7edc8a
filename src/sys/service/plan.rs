//! Steps that make a service, or unmake it: carried out one by one, each told before it is taken.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::MARK;

/// Folders that hold nothing but services, and need not be there.
const MADE: [&str; 5] = ["system", "user", "systemd", "sysusers.d", "tmpfiles.d"];

/// Whether a daemon holds a file of this name while it lives: `socket.lock` beside its socket, `lock` in its state folder.
fn is_lock(path: &Path) -> bool {
    let is_lock = |part: Option<&std::ffi::OsStr>| part.is_some_and(|part| part == "lock");
    is_lock(path.file_name()) || is_lock(path.extension())
}

/// One step. Each may be taken again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A file of ours gets this text, and the folders above it are made.
    Write {
        /// Where.
        path: PathBuf,
        /// What.
        text: String,
    },
    /// A file of ours goes.
    Remove(PathBuf),
    /// No daemon may be using this folder: else the rest is given up.
    Unused(PathBuf),
    /// A folder of the daemon's goes, with all that is in it; not while a daemon uses it.
    Clear(PathBuf),
    /// A command is run.
    Run {
        /// Its words.
        words: Vec<String>,
        /// What becomes of the rest where it fails.
        or: Or,
    },
}

/// What becomes of the rest where a command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Or {
    /// It is given up, and this is what to do.
    GiveUp(&'static str),
    /// Nothing: there was nothing to be done.
    GoOn,
}

impl Step {
    /// A command that must succeed; `help` says what to do where it does not.
    pub fn run(words: &[&str], help: &'static str) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let or = Or::GiveUp(help);
        Self::Run { words, or }
    }

    /// A command that may find nothing to do.
    pub fn attempt(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let or = Or::GoOn;
        Self::Run { words, or }
    }
}

/// Why a service cannot be made, unmade or looked at. Every text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The machine is run by something else.
    #[error(
        "systemd does not run this machine (there is no {}): have your own supervisor start `beadle watch`", missing.display()
    )]
    NoManager {
        /// What would be there.
        missing: PathBuf,
    },
    /// Nobody's manager runs for this user.
    #[error(
        "your own service manager is not running (there is no {}): log in, or have root run `loginctl enable-linger`; \
         in a shell of `su` or `sudo`, set XDG_RUNTIME_DIR=/run/user/$(id -u)", missing.display()
    )]
    NoUserManager {
        /// What would be there.
        missing: PathBuf,
    },
    /// The machine's service is root's.
    #[error(
        "the machine's service is root's affair: use sudo, or --user to guard your own processes alone"
    )]
    NotRoot,
    /// Root has no processes but the machine's.
    #[error(
        "as root, beadle guards the machine: leave out --user, or run this as the user it is for"
    )]
    RootUser,
    /// There is no home.
    #[error("cannot tell where your services live: $HOME is not set; set it")]
    NoHome,
    /// A package has installed it.
    #[error(
        "a package has installed beadle's service ({}): `{start}` starts it, and the package manager removes it",
        unit.display()
    )]
    Packaged {
        /// Its unit.
        unit: PathBuf,
        /// The command that starts it.
        start: String,
    },
    /// There is a file that we did not write.
    #[error("{} was not written by beadle, so it is left alone: move it away and try again", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The manager starts something else by our name.
    #[error(
        "{} is the {what} that systemd starts, and beadle did not put it there, so it is left alone: {mend}, then try again",
        unit.display()
    )]
    Shadowed {
        /// The unit.
        unit: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do.
        mend: String,
    },
    /// Somebody still watches there.
    #[error(
        "a beadle{} still watches and uses {}, which is left as it is: end it (a service by its manager, another where it was \
         started), then try again", holder.map(|pid| format!(", pid {pid},")).unwrap_or_default(), folder.display()
    )]
    Watched {
        /// Its number, when it said so.
        holder: Option<u32>,
        /// What it uses.
        folder: PathBuf,
    },
    /// Somebody else could change what root runs.
    #[error(
        "root would run {}, which others may change (see {}): put it where only root writes, say with \
         packaging/install --prefix /opt/beadle", program.display(), at.display()
    )]
    Open {
        /// The program.
        program: PathBuf,
        /// What is open to others.
        at: PathBuf,
    },
    /// The path cannot be written into a service.
    #[error("the path {} has characters that a service file would read otherwise: install it under a plain name", program.display())]
    Odd {
        /// The program.
        program: PathBuf,
    },
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A command failed.
    #[error("`{command}` failed: {said}; {help}")]
    Failed {
        /// Its words.
        command: String,
        /// What it said, or how it ended.
        said: String,
        /// What to do.
        help: &'static str,
    },
}

impl ServiceError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Takes the steps, and tells each.
pub fn take(steps: &[Step], mut tell: impl FnMut(&str)) -> Result<(), ServiceError> {
    // Before anything is done: what is not ours is not found out half-way.
    for step in steps {
        if let Step::Write { path, .. } | Step::Remove(path) = step {
            is_ours(path)?;
        }
    }
    for step in steps {
        match step {
            Step::Write { path, text } => write(path, text, &mut tell)?,
            Step::Remove(path) => remove(path, &mut tell)?,
            Step::Unused(folder) => drop(held(folder)?),
            Step::Clear(folder) => clear(folder, &mut tell)?,
            Step::Run { words, or } => run(words, *or, &mut tell)?,
        }
    }
    Ok(())
}

/// Whether there is a file of ours. One of somebody else's is an error.
pub fn is_ours(path: &Path) -> Result<bool, ServiceError> {
    let foreign = || ServiceError::Foreign {
        path: path.to_owned(),
    };
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => Err(foreign()),
        Ok(_) => match fs::read_to_string(path) {
            Ok(text) if text.contains(MARK) => Ok(true),
            Ok(_) => Err(foreign()),
            Err(error) => Err(ServiceError::io("read", path)(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ServiceError::io("look at", path)(error)),
    }
}

/// Whether nobody but root can change what is run under this path; else what is open.
pub fn only_roots(program: &Path) -> Result<(), ServiceError> {
    for at in program.ancestors() {
        let found = at.metadata().map_err(ServiceError::io("look at", at))?;
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            return Err(ServiceError::Open {
                program: program.to_owned(),
                at: at.to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether a service file reads this path as it is.
pub fn plain(program: &Path) -> Result<&str, ServiceError> {
    let is_plain = |text: &&str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
        text.starts_with('/') && text.chars().all(letter)
    };
    let odd = || ServiceError::Odd {
        program: program.to_owned(),
    };
    program.to_str().filter(is_plain).ok_or_else(odd)
}

fn write(path: &Path, text: &str, tell: &mut impl FnMut(&str)) -> Result<(), ServiceError> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        tell(&format!("{} is as it should be", path.display()));
        return Ok(());
    }
    tell(&format!("writing {}", path.display()));
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(ServiceError::io("make", folder))?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&draft);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&draft, path))
        .map_err(ServiceError::io("write", path))
}

fn remove(path: &Path, tell: &mut impl FnMut(&str)) -> Result<(), ServiceError> {
    if !is_ours(path)? {
        return Ok(());
    }
    tell(&format!("removing {}", path.display()));
    fs::remove_file(path).map_err(ServiceError::io("remove", path))?;
    // Folders that may have been made for it go too where nothing else is in them.
    for folder in path.ancestors().skip(1) {
        let made = folder
            .file_name()
            .is_some_and(|name| MADE.iter().any(|made| name == *made));
        if !made || fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

/// Holds what a daemon that uses this folder would hold (the kernel's locks end with it, so they tell of the living alone): while
/// it is held, none begins there.
fn held(folder: &Path) -> Result<Vec<File>, ServiceError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ServiceError::io("look into", folder)(error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ServiceError::io("look into", folder))?;
        let path = entry.path();
        let kind = entry.file_type();
        let is_file = kind.map_err(ServiceError::io("look at", &path))?.is_file();
        if !is_file || !is_lock(&path) {
            continue;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let mut file = file.map_err(ServiceError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => all.push(file),
            Err(TryLockError::WouldBlock) => {
                let mut said = String::new();
                let read = (&mut file).take(16).read_to_string(&mut said);
                return Err(ServiceError::Watched {
                    holder: read.ok().and_then(|_| said.trim().parse().ok()),
                    folder: folder.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(ServiceError::io("lock", &path)(error)),
        }
    }
    Ok(all)
}

fn clear(folder: &Path, tell: &mut impl FnMut(&str)) -> Result<(), ServiceError> {
    match folder.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ServiceError::io("look at", folder)(error)),
        Ok(_) => {}
    }
    let _held = held(folder)?;
    tell(&format!(
        "removing {} and all that is in it",
        folder.display()
    ));
    fs::remove_dir_all(folder).map_err(ServiceError::io("remove", folder))
}

fn run(words: &[String], or: Or, tell: &mut impl FnMut(&str)) -> Result<(), ServiceError> {
    let command = words.join(" ");
    tell(&format!("running {command}"));
    match (answer(words), or) {
        (Ok(_), _) | (Err(_), Or::GoOn) => Ok(()),
        (Err(said), Or::GiveUp(help)) => Err(ServiceError::Failed {
            command,
            said,
            help,
        }),
    }
}

/// What a command answers on its standard output; else what it complains of.
pub fn answer(words: &[String]) -> Result<String, String> {
    let [program, arguments @ ..] = words else {
        return Err("there is no command".to_owned());
    };
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if ended.status.success() {
        return Ok(text(&ended.stdout));
    }
    let said = [text(&ended.stderr), text(&ended.stdout)];
    let said = said.into_iter().find(|said| !said.is_empty());
    Err(said.unwrap_or_else(|| ended.status.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn told(steps: &[Step]) -> Result<Vec<String>, ServiceError> {
        let mut all = Vec::new();
        take(steps, |line| all.push(line.to_owned()))?;
        Ok(all)
    }

    fn file(path: &Path, text: &str) -> Step {
        Step::Write {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_was_written_once_is_not_written_again_and_goes_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("systemd/user/beadle.service");
        let ours = format!("# {MARK}\n");
        let steps = [file(&path, &ours)];
        assert!(told(&steps).unwrap()[0].starts_with("writing "));
        assert!(told(&steps).unwrap()[0].ends_with("is as it should be"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        let newer = format!("# {MARK}, newer\n");
        told(&[file(&path, &newer)]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
        let gone = [Step::Remove(path.clone())];
        assert_eq!(told(&gone).unwrap().len(), 1);
        assert_eq!(told(&gone).unwrap(), Vec::<String>::new());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_somebody_else_wrote_is_left_alone_and_nothing_else_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let (first, theirs) = (dir.path().join("first"), dir.path().join("theirs"));
        let ours = format!("# {MARK}\n");
        for precious in ["[Service]\n", ""] {
            fs::write(&theirs, precious).unwrap();
            for last in [file(&theirs, &ours), Step::Remove(theirs.clone())] {
                let refused = told(&[file(&first, &ours), last]).unwrap_err();
                assert!(
                    refused
                        .to_string()
                        .contains("theirs was not written by beadle")
                );
                assert!(!first.exists());
            }
            assert_eq!(fs::read_to_string(&theirs).unwrap(), precious);
        }
        let link = dir.path().join("link");
        fs::write(&first, &ours).unwrap();
        symlink(&first, &link).unwrap();
        told(&[file(&link, "")]).unwrap_err();
        assert_eq!(fs::read_to_string(&first).unwrap(), ours);
    }

    #[test]
    fn a_folder_that_is_cleared_takes_nothing_with_it_that_it_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, precious) = (dir.path().join("beadle"), dir.path().join("precious"));
        fs::create_dir_all(folder.join("in")).unwrap();
        fs::write(&precious, "keep").unwrap();
        symlink(&precious, folder.join("in/link")).unwrap();
        told(&[Step::Clear(folder.clone())]).unwrap();
        assert!(!folder.exists() && precious.exists());
        assert_eq!(told(&[Step::Clear(folder)]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_a_living_daemon_uses_is_not_cleared_and_nothing_else_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let unit = dir.path().join("beadle.service");
        fs::write(&unit, MARK).unwrap();
        for lock in ["socket.lock", "lock"] {
            let folder = dir.path().join("beadle");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("intent"), "an act").unwrap();
            let mut daemon = File::create(folder.join(lock)).unwrap();
            daemon.lock().unwrap();
            writeln!(daemon, "4711").unwrap();
            let refused = told(&[Step::Clear(folder.clone())]).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("a beadle, pid 4711, still watches"), "{said}");
            let steps = [Step::Unused(folder.clone()), Step::Remove(unit.clone())];
            told(&steps).unwrap_err();
            assert!(unit.exists() && folder.join("intent").exists());
            // Whatever way it ends, its hold ends with it.
            drop(daemon);
            told(&[Step::Unused(folder.clone()), Step::Clear(folder.clone())]).unwrap();
            assert!(!folder.exists());
        }
    }

    #[test]
    fn a_command_that_fails_says_why_and_what_to_do() {
        let sh = |line| ["sh", "-c", line];
        let failed = told(&[Step::run(&sh("echo no bus >&2; exit 1"), "start the bus")]);
        assert_eq!(
            failed.unwrap_err().to_string(),
            "`sh -c echo no bus >&2; exit 1` failed: no bus; start the bus"
        );
        assert_eq!(told(&[Step::attempt(&sh("exit 1"))]).unwrap().len(), 1);
        told(&[Step::attempt(&["/no/such/program"])]).unwrap();
        told(&[Step::run(&["/no/such/program"], "")]).unwrap_err();
    }

    #[test]
    fn root_runs_only_what_root_alone_can_change() {
        // Whoever the tester is: a folder of theirs below /tmp is open to others, or is not root's.
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("beadle");
        fs::write(&program, "").unwrap();
        let refused = only_roots(&program).unwrap_err().to_string();
        assert!(refused.contains("which others may change"), "{refused}");
        let shell = fs::canonicalize("/bin/sh").unwrap();
        only_roots(&shell).unwrap();
    }

    #[test]
    fn a_path_is_written_only_where_it_is_read_as_it_is() {
        assert_eq!(
            plain(Path::new("/opt/b-1.0_2+3/beadle")).unwrap(),
            "/opt/b-1.0_2+3/beadle"
        );
        for odd in [
            "/a b", "/a%n", "/a$x", "/a\n", "/a\"", "/ä", "a", "/a<b", "/a\\b",
        ] {
            plain(Path::new(odd)).unwrap_err();
        }
    }
}

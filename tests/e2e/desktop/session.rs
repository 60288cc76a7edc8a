//! Sessions: a bus for each user, in folders that a daemon finds where it looks for them, and notification servers on them.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::e2e::log::Log;
use crate::e2e::villain::{self, MANNER, OTHER, UNTIL};
use crate::e2e::wait::wait_until;

/// Seconds that a bus or a server lives at most.
const LIFE: u32 = 120;

/// Whether there is a message bus to be had here.
pub(super) fn has_bus() -> bool {
    let found = Command::new("dbus-daemon").arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

/// What stands in for `/run/user`.
pub(super) struct Sessions {
    root: PathBuf,
    villain: PathBuf,
}

/// A user who is logged in.
pub(super) struct Session {
    uid: u32,
    folder: PathBuf,
    villain: PathBuf,
    _bus: Bounded,
}

/// A notification server, and what it is asked.
pub(super) struct Server {
    process: Bounded,
    orders: Option<ChildStdin>,
    /// What it is asked.
    pub(super) asked: Log,
}

/// A process that ends with its handle, or by its alarm.
struct Bounded(Child);

impl Drop for Bounded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sessions {
    /// Nobody is logged in.
    pub(super) fn new(root: PathBuf, villain: &Path) -> Self {
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        Self {
            root,
            villain: villain.to_owned(),
        }
    }

    /// What runs a daemon that finds them in `/run/user`: in a mount namespace of its own.
    pub(super) fn before(&self) -> Vec<String> {
        let script = format!(
            "mount -t tmpfs none /run && mkdir /run/user && mount --bind '{}' /run/user && exec \"$@\"",
            self.root.display()
        );
        ["unshare", "--mount", "sh", "-c", &script, "sh"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Where the sessions are.
    pub(super) fn folder(&self) -> std::path::Display<'_> {
        self.root.display()
    }

    /// The machine's users, and this one.
    pub(super) fn users(&self, uid: u32) -> PathBuf {
        let users = self.root.join(format!("{uid}.passwd"));
        let known = fs::read_to_string("/etc/passwd").unwrap();
        fs::write(&users, format!("{known}u{uid}:x:{uid}:{uid}::/:/bin/sh\n")).unwrap();
        users
    }

    /// The bus wants its user to be known by name: among other users than the machine's, where we may have that.
    fn bus_daemon(&self, uid: u32) -> Command {
        if !rustix::process::geteuid().is_root() {
            return Command::new("dbus-daemon");
        }
        let users = self.users(uid);
        let script = format!(
            "mount --bind '{}' /etc/passwd &&
             exec setpriv --reuid={uid} --regid={uid} --clear-groups dbus-daemon \"$@\"",
            users.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command
    }

    /// Logs a user in.
    pub(super) fn open(&self, uid: u32) -> Session {
        let folder = self.root.join(uid.to_string());
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        chown(&folder, Some(uid), Some(uid)).unwrap();
        let bus = folder.join("bus");
        let config = self.root.join(format!("{uid}.conf"));
        // No folder of services: nothing is started that is not there.
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
            <busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
            <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>
            <allow own=\"*\"/></policy>
            </busconfig>",
            bus.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = self.bus_daemon(uid);
        command
            .arg("--nofork")
            .arg("--nopidfile")
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null());
        // As root the command itself becomes the user.
        let bus_daemon = start(command, 0);
        // Its name is there before anybody listens behind it.
        wait_until("the bus", || UnixStream::connect(&bus).is_ok());
        Session {
            uid,
            folder,
            villain: self.villain.clone(),
            _bus: Bounded(bus_daemon),
        }
    }
}

impl Session {
    /// Its folder: what `XDG_RUNTIME_DIR` is there.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a notification server of this manner.
    pub(super) fn serve(&self, manner: &str) -> Server {
        let mut command = Command::new(&self.villain);
        let until = villain::now() + u64::from(LIFE) * 1000;
        command
            .env_clear()
            .env(MANNER, "notifications")
            .env(OTHER, manner)
            .env(UNTIL, until.to_string())
            .env(
                "DBUS_SESSION_BUS_ADDRESS",
                format!("unix:path={}", self.folder.join("bus").display()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = start(command, self.uid);
        let orders = process.stdin.take();
        let asked = Log::follow(process.stdout.take().unwrap());
        asked.wait("the server", |says| says["serves"] == manner);
        Server {
            process: Bounded(process),
            orders,
            asked,
        }
    }
}

/// What a button means, without the mark that is made anew for each notification.
fn plain(key: &str) -> &str {
    key.split_once('-').map_or(key, |(word, _)| word)
}

/// The buttons of a notification: what each means, and what stands on it.
pub(super) fn buttons(says: &serde_json::Value) -> Vec<(String, String)> {
    let actions = says["actions"].as_array().unwrap();
    let words: Vec<&str> = actions.iter().map(|it| it.as_str().unwrap()).collect();
    let pairs = words.chunks(2);
    pairs
        .map(|pair| (plain(pair[0]).to_owned(), pair[1].to_owned()))
        .collect()
}

impl Server {
    /// Presses a button of what is on the screen.
    pub(super) fn press(&mut self, id: u64, word: &str) {
        let shown = self.shown();
        let newest = shown.iter().rfind(|says| says["id"] == id).unwrap();
        let actions = newest["actions"].as_array().unwrap();
        let mut keys = actions
            .iter()
            .step_by(2)
            .map(|action| action.as_str().unwrap());
        let key = keys.find(|key| plain(key) == word);
        let key = key
            .unwrap_or_else(|| panic!("no {word} on {newest}"))
            .to_owned();
        self.say(id, &key);
    }

    /// Says that this action was invoked, whether there is such a button or not: as anybody on the bus may.
    pub(super) fn say(&mut self, id: u64, key: &str) {
        self.order(&format!("press {id} {key}"));
    }

    /// Takes a notification away, as its person.
    pub(super) fn dismiss(&mut self, id: u64) {
        self.order(&format!("dismiss {id}"));
    }

    fn order(&mut self, order: &str) {
        assert_eq!(self.process.0.try_wait().unwrap(), None, "the server ended");
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
    }

    /// What it was asked to show so far.
    pub(super) fn shown(&self) -> Vec<serde_json::Value> {
        let lines = self.asked.lines().into_iter().map(|line| line.says);
        lines.filter(|says| says["call"] == "Notify").collect()
    }
}

/// Starts a process of this user that ends after a while, whatever happens.
pub(super) fn start(mut command: Command, uid: u32) -> Child {
    if rustix::process::geteuid().is_root() {
        command.uid(uid).gid(uid);
    }
    // SAFETY: both may be called between fork and exec, and touch no memory.
    unsafe {
        command.pre_exec(|| {
            libc::alarm(LIFE);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command.current_dir("/").spawn().unwrap()
}

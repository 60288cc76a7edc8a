//! Stewards: service and container managers, and what of theirs a tree lives in.
//!
//! **Invariants.** A name is taken from the path of the control group that the kernel tells, and from nothing else. What holds
//! more than one job (a slice, a login, a user's whole manager), what a machine cannot do without, and what is no name as managers
//! give them is never stopped. Whoever was given a part of the hierarchy names the folders in it as it likes: only what a manager
//! alone can have made is believed.

use std::fmt;

use super::process::{Pid, Text, Uid};

/// A manager, and what of its it is asked to stop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Steward {
    /// The machine's service manager.
    System {
        /// The service or scope.
        name: String,
    },
    /// A user's own.
    User {
        /// Whose.
        uid: Uid,
        /// The service or scope.
        name: String,
    },
    /// A container manager.
    Container {
        /// Which.
        by: Runtime,
        /// Whose; `None` is the machine's.
        uid: Option<Uid>,
        /// The container.
        id: String,
    },
}

/// A container manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// `docker`
    Docker,
    /// `podman`
    Podman,
}

impl Runtime {
    /// What its client is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// Which managers there are to be asked here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Managers {
    /// A running service manager, with its client.
    pub systemd: bool,
    /// The client of docker.
    pub docker: bool,
    /// The client of podman.
    pub podman: bool,
}

impl Managers {
    const fn has(self, steward: &Steward) -> bool {
        match steward {
            Steward::System { .. } | Steward::User { .. } => self.systemd,
            Steward::Container { by, .. } => match by {
                Runtime::Docker => self.docker,
                Runtime::Podman => self.podman,
            },
        }
    }
}

/// Why nobody is asked to stop what a tree lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unstoppable {
    /// Where it lives is not known, or who else does.
    Unknown,
    /// No manager started it.
    Unmanaged,
    /// It holds more than one job.
    Shared {
        /// What it is called.
        name: Text,
    },
    /// The machine, or a login, hangs on it.
    Vital {
        /// What it is called.
        name: Text,
    },
    /// Others live in it.
    Inhabited {
        /// What it is called.
        name: Text,
        /// One of them, and what it runs.
        who: (Pid, Text),
        /// How many there are.
        others: usize,
    },
    /// It is not ours to ask for.
    Foreign {
        /// What it is called.
        name: Text,
    },
    /// There is no such manager here, or none that we know how to ask.
    NoManager {
        /// What it is called.
        name: Text,
    },
}

impl Steward {
    /// Who manages what lives in the control group of this path, and the path of what it would stop. `container` is what the
    /// process is in, as far as that is known.
    pub fn of(path: &Text, container: Option<&Text>) -> Result<(Self, Text), Unstoppable> {
        let whole = std::str::from_utf8(path.bytes()).map_err(|_| Unstoppable::Unknown)?;
        let mut way = Way::along(whole)?;
        way.pass_slices();
        let first = way.step().ok_or_else(|| shared(whole))?;
        let (uid, name) = match user_of(first) {
            Some(uid) => {
                way.pass_slices();
                (Some(uid), way.step().ok_or_else(|| shared(first))?)
            }
            None => (None, first),
        };
        if let Some(id) = container {
            let id = std::str::from_utf8(id.bytes()).map_err(|_| Unstoppable::Unknown)?;
            while !way.passed().contains(id) {
                way.step().ok_or(Unstoppable::Unknown)?;
            }
            // In a user's own part of the hierarchy that user names things, and is asked for its own.
            let sound = uid.is_some() || is_made_by_managers(way.passed());
            let by = runtime(way.passed()).filter(|_| sound && is_id(id));
            let by = by.ok_or_else(|| Unstoppable::NoManager {
                name: format!("container {id}").as_str().into(),
            })?;
            let id = id.to_owned();
            return Ok((Self::Container { by, uid, id }, way.passed().into()));
        }
        if !is_a(name, "service") && !is_a(name, "scope") {
            return Err(Unstoppable::Unmanaged);
        }
        if !is_name(name) || is_vital(name) {
            return Err(Unstoppable::Vital { name: name.into() });
        }
        if is_login(name) {
            return Err(shared(name));
        }
        let name = name.to_owned();
        let steward = match uid {
            Some(uid) => Self::User { uid, name },
            None => Self::System { name },
        };
        Ok((steward, way.passed().into()))
    }

    /// As whom it is asked; `None` is as whoever we are.
    pub const fn user(&self) -> Option<Uid> {
        match self {
            Self::System { .. } => None,
            Self::User { uid, .. } => Some(*uid),
            Self::Container { uid, .. } => *uid,
        }
    }

    /// Whether we may ask it, and can: a beadle of one user asks that user's managers only. One of all asks no user's container
    /// manager: that one has no daemon, and what it does by itself, with programs of that user's, it would do below us.
    pub fn may_be_asked(&self, only: Option<Uid>, here: Managers) -> Result<(), Unstoppable> {
        let name = || self.name().into();
        if only.is_some() && self.user() != only {
            return Err(Unstoppable::Foreign { name: name() });
        }
        let below = only.is_none() && matches!(self, Self::Container { uid: Some(_), .. });
        if here.has(self) && !below {
            Ok(())
        } else {
            Err(Unstoppable::NoManager { name: name() })
        }
    }

    /// What is stopped.
    pub fn name(&self) -> &str {
        match self {
            Self::System { name } | Self::User { name, .. } => name,
            Self::Container { id, .. } => id,
        }
    }
}

impl fmt::Display for Steward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { name } => write!(f, "systemd to stop {name}"),
            Self::User { uid, name } => {
                write!(f, "the systemd of user {} to stop {name}", uid.0)
            }
            Self::Container { by, uid: None, id } => {
                write!(f, "{} to stop container {id}", by.word())
            }
            Self::Container {
                by,
                uid: Some(uid),
                id,
            } => write!(f, "{} of user {} to stop container {id}", by.word(), uid.0),
        }
    }
}

impl fmt::Display for Unstoppable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("what it lives in, or who else does, is not known"),
            Self::Unmanaged => f.write_str("no service manager started it"),
            Self::Shared { name } => write!(f, "{name} holds more than this"),
            Self::Vital { name } => write!(f, "{name} is never stopped"),
            Self::Inhabited {
                name,
                who: (pid, program),
                others,
            } => {
                write!(f, "{program}[{pid}]")?;
                match others.saturating_sub(1) {
                    0 => {}
                    more => write!(f, " and {more} more")?,
                }
                write!(f, " in {name} would go with it")
            }
            Self::Foreign { name } => write!(f, "{name} is not this user's to stop"),
            Self::NoManager { name } => {
                write!(f, "there is nobody here to be asked to stop {name}")
            }
        }
    }
}

/// A path of control groups, as far as it was followed.
struct Way<'p> {
    whole: &'p str,
    passed: usize,
}

impl<'p> Way<'p> {
    fn along(whole: &'p str) -> Result<Self, Unstoppable> {
        let sound = whole.strip_prefix('/').is_some_and(|below| {
            let mut parts = below.split('/');
            parts.all(|part| !part.is_empty() && part != ".." && part != ".")
        });
        match sound {
            true => Ok(Self { whole, passed: 0 }),
            false if whole == "/" => Err(Unstoppable::Unmanaged),
            // It leaves our namespace, or is none.
            false => Err(Unstoppable::Unknown),
        }
    }

    fn rest(&self) -> &'p str {
        self.whole.get(self.passed..).unwrap_or_default()
    }

    /// The next part.
    fn ahead(&self) -> Option<&'p str> {
        self.rest().strip_prefix('/')?.split('/').next()
    }

    fn step(&mut self) -> Option<&'p str> {
        let part = self.ahead()?;
        self.passed = self.passed.saturating_add(part.len()).saturating_add(1);
        Some(part)
    }

    fn pass_slices(&mut self) {
        while self.ahead().is_some_and(|part| is_a(part, "slice")) {
            self.step();
        }
    }

    /// The path so far.
    fn passed(&self) -> &'p str {
        self.whole.get(..self.passed).unwrap_or_default()
    }
}

fn shared(name: &str) -> Unstoppable {
    Unstoppable::Shared { name: name.into() }
}

/// Whether a name is one of a unit of this type.
fn is_a(name: &str, kind: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, last)| last == kind)
}

/// Whose whole manager a group holds.
fn user_of(name: &str) -> Option<Uid> {
    let number = name.strip_prefix("user@")?.strip_suffix(".service")?;
    number.parse().ok().map(Uid)
}

/// A login, or what is above all of them.
fn is_login(name: &str) -> bool {
    name == "init.scope" || name.starts_with("session-") || name.starts_with("user@")
}

/// What a machine, or whoever is logged in, cannot do without, by the beginning of its name.
const VITAL: [&str; 29] = [
    "beadle",
    "dbus",
    "systemd-",
    "init.",
    "ssh",
    "gdm",
    "sddm",
    "lightdm",
    "lxdm",
    "xdm",
    "greetd",
    "ly.",
    "ly@",
    "display-manager",
    "plasma",
    "gnome-s",
    "org.gnome.Shell",
    "kwin",
    "wayland",
    "getty@",
    "serial-getty@",
    "console-getty",
    "polkit",
    "NetworkManager",
    "network",
    "wpa_supplicant",
    "elogind",
    "user-runtime-dir@",
    "emergency",
];

fn is_vital(name: &str) -> bool {
    VITAL.iter().any(|vital| name.starts_with(vital))
}

/// Whether it is a name as systemd gives them. One that a control group has escaped begins otherwise than its unit does.
fn is_name(name: &str) -> bool {
    let sign = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    name.len() <= 255 && !name.starts_with(['-', '_', '.']) && name.chars().all(sign)
}

/// Whether it is the number of a container.
fn is_id(id: &str) -> bool {
    (12..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether a container's group is where none but a manager of the machine's makes groups: below slices alone, or in the folder
/// of all containers.
fn is_made_by_managers(path: &str) -> bool {
    let Some((above, _)) = path.rsplit_once('/') else {
        return false;
    };
    let mut parts = above.split('/').skip(1);
    matches!(above, "/docker" | "/libpod_parent") || parts.all(|part| is_a(part, "slice"))
}

/// Whose containers have control groups like this one.
fn runtime(path: &str) -> Option<Runtime> {
    let (above, last) = path.rsplit_once('/')?;
    if last.starts_with("libpod-") || above.ends_with("/libpod_parent") {
        Some(Runtime::Podman)
    } else if last.starts_with("docker-") || above.ends_with("/docker") {
        Some(Runtime::Docker)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Result<(String, String), Unstoppable> {
        let (steward, group) = Steward::of(&path.into(), None)?;
        Ok((steward.to_string(), group.to_string()))
    }

    fn stops(path: &str) -> String {
        found(path).unwrap().0
    }

    #[test]
    fn the_first_that_is_no_slice_is_the_unit() {
        assert_eq!(
            stops("/system.slice/nightly.service"),
            "systemd to stop nightly.service"
        );
        assert_eq!(stops("/nightly.service"), "systemd to stop nightly.service");
        assert_eq!(
            found("/system.slice/nightly.service/worker/7").unwrap().1,
            "/system.slice/nightly.service"
        );
        let user = "/user.slice/user-1000.slice/user@1000.service";
        assert_eq!(
            stops(&format!("{user}/app.slice/run-r1.scope")),
            "the systemd of user 1000 to stop run-r1.scope"
        );
    }

    #[test]
    fn what_holds_more_than_one_job_is_never_stopped() {
        for path in [
            "/",
            "/system.slice",
            "/user.slice/user-1000.slice/session-3.scope",
            "/user.slice/user-1000.slice/user@1000.service",
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            "/user.slice/user-1000.slice/user@1000.service/app.slice",
            "/init.scope",
            "/job",
            "/a/../b.service",
            "relative.service",
        ] {
            assert!(found(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_a_machine_cannot_do_without_is_never_stopped() {
        for name in [
            "dbus.service",
            "dbus-broker.service",
            "sshd.service",
            "ssh@1-2.service",
            "systemd-logind.service",
            "gdm.service",
            "beadle.service",
            "getty@tty1.service",
        ] {
            let refused = found(&format!("/system.slice/{name}"));
            assert!(
                matches!(refused, Err(Unstoppable::Vital { .. })),
                "{refused:?}"
            );
        }
        for odd in ["-.service", "_x.service", "a b.service", "a$(b).service"] {
            assert!(found(&format!("/system.slice/{odd}")).is_err(), "{odd}");
        }
    }

    #[test]
    fn containers_are_their_managers_to_stop() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let of = |path: String| {
            let (steward, group) = Steward::of(&path.as_str().into(), Some(&id.into()))?;
            Ok::<_, Unstoppable>((steward.to_string(), group.to_string()))
        };
        let docker = format!("/system.slice/docker-{id}.scope");
        let (words, group) = of(format!("{docker}/init")).unwrap();
        assert_eq!(words, format!("docker to stop container {id}"));
        assert_eq!(group, docker);
        assert!(of(format!("/docker/{id}")).unwrap().0.starts_with("docker"));
        let user = "/user.slice/user-7.slice/user@7.service/user.slice";
        let podman = of(format!("{user}/libpod-{id}.scope/container"));
        assert!(podman.unwrap().0.starts_with("podman of user 7"));
        let other = of(format!("/kubepods.slice/cri-containerd-{id}.scope"));
        assert!(matches!(other, Err(Unstoppable::NoManager { .. })));
    }

    #[test]
    fn a_container_whose_folder_somebody_else_can_have_made_is_not_believed() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for above in [
            "/system.slice/build.service",
            "/system.slice/build.service/docker",
            "/build.service/system.slice",
            "/docker/0123456789abcdef/docker",
            "/system.slice/docker",
            "/a/libpod_parent",
        ] {
            for name in [
                format!("docker-{id}.scope"),
                format!("libpod-{id}"),
                id.to_owned(),
            ] {
                let path = format!("{above}/{name}");
                let found = Steward::of(&path.as_str().into(), Some(&id.into()));
                let refused = matches!(found, Err(Unstoppable::NoManager { .. }));
                assert!(refused, "{path}: {found:?}");
            }
        }
        for sound in [
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/docker-{id}.scope"),
            format!("/libpod_parent/libpod-{id}"),
        ] {
            let found = Steward::of(&sound.as_str().into(), Some(&id.into()));
            assert!(found.is_ok(), "{sound}: {found:?}");
        }
    }

    #[test]
    fn root_asks_no_users_container_manager() {
        let here = Managers {
            systemd: true,
            docker: true,
            podman: true,
        };
        let own = |by| Steward::Container {
            by,
            uid: Some(Uid(7)),
            id: "0123456789ab".into(),
        };
        for by in [Runtime::Podman, Runtime::Docker] {
            assert_eq!(own(by).may_be_asked(Some(Uid(7)), here), Ok(()));
            assert!(matches!(
                own(by).may_be_asked(None, here),
                Err(Unstoppable::NoManager { .. })
            ));
        }
    }

    #[test]
    fn one_user_asks_only_what_is_its_own() {
        let here = Managers {
            systemd: true,
            docker: false,
            podman: false,
        };
        let system = Steward::System {
            name: "a.service".into(),
        };
        let own = Steward::User {
            uid: Uid(7),
            name: "a.service".into(),
        };
        assert_eq!(system.may_be_asked(None, here), Ok(()));
        assert_eq!(own.may_be_asked(Some(Uid(7)), here), Ok(()));
        for (steward, only) in [(&system, Uid(7)), (&own, Uid(8))] {
            assert!(matches!(
                steward.may_be_asked(Some(only), here),
                Err(Unstoppable::Foreign { .. })
            ));
        }
        assert!(matches!(
            own.may_be_asked(None, Managers::default()),
            Err(Unstoppable::NoManager { .. })
        ));
    }
}

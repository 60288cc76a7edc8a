//! The clients of service and container managers, as far as they are here.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::engine::steward::{Managers, Runtime, Steward};

/// Where clients are looked for. No search path of anybody's says where.
const FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];
/// There where systemd runs (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Whom a service manager stops along with a unit, by its properties of that unit.
const DEPENDENTS: [&str; 4] = ["RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo"];
/// So many of them are named.
const NAMED: usize = 3;

/// The clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    systemctl: Option<PathBuf>,
    docker: Option<PathBuf>,
    podman: Option<PathBuf>,
}

impl Clients {
    /// Those of this machine, of which `believed` gives the path to run, if any.
    pub fn here(believed: impl Fn(&Path) -> Option<PathBuf>) -> Self {
        let find = |name: &str| {
            let places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
            let mut places = places.filter(|place| is_program(place));
            places.find(|place| believed(place).is_some())
        };
        Self {
            systemctl: find("systemctl").filter(|_| Path::new(BOOTED).is_dir()),
            docker: find(Runtime::Docker.word()),
            podman: find(Runtime::Podman.word()),
        }
    }

    /// Those in a folder, whether or not what they ask runs.
    pub fn within(folder: &Path) -> Self {
        let find = |name: &str| Some(folder.join(name)).filter(|place| is_program(place));
        Self {
            systemctl: find("systemctl"),
            docker: find(Runtime::Docker.word()),
            podman: find(Runtime::Podman.word()),
        }
    }

    /// Which managers can be asked.
    pub const fn managers(&self) -> Managers {
        Managers {
            systemd: self.systemctl.is_some(),
            docker: self.docker.is_some(),
            podman: self.podman.is_some(),
        }
    }

    /// How a manager is asked to stop what it manages: a program and its arguments. `None` where its client is not here.
    ///
    /// The service manager is asked and not waited for: whether its unit ends in time is seen by looking.
    pub fn asks(&self, steward: &Steward) -> Option<(&Path, Vec<String>)> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let systemctl = self.systemctl.as_deref();
        match steward {
            Steward::System { name } => {
                let args = [
                    "--system",
                    "--no-ask-password",
                    "--no-block",
                    "stop",
                    "--",
                    name,
                ];
                Some((systemctl?, words(&args)))
            }
            Steward::User { name, .. } => {
                let args = [
                    "--user",
                    "--no-ask-password",
                    "--no-block",
                    "stop",
                    "--",
                    name,
                ];
                Some((systemctl?, words(&args)))
            }
            Steward::Container { by, id, .. } => {
                let client = match by {
                    Runtime::Docker => self.docker.as_deref(),
                    Runtime::Podman => self.podman.as_deref(),
                };
                Some((client?, words(&["stop", id])))
            }
        }
    }
}

/// What a service manager is asked before it is asked to stop what it manages: who would be stopped along with it. `None` for
/// what nothing hangs on.
pub fn asks_first(steward: &Steward) -> Option<Vec<String>> {
    let (whose, name) = match steward {
        Steward::System { name } => ("--system", name),
        Steward::User { name, .. } => ("--user", name),
        Steward::Container { .. } => return None,
    };
    let properties = DEPENDENTS.join(",");
    let words = [whose, "show", "-p", &properties, "--", name];
    Some(words.map(str::to_owned).into())
}

/// Whether nothing hangs on a unit, by what the service manager answered.
///
/// # Errors
/// Who does, or that it cannot be told. Of `PropagatesStopTo` older managers (before 249) know nothing.
pub fn nobody_needs_it(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let value = |property: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(property)?.strip_prefix('='))
    };
    let known = DEPENDENTS.iter().take(3).all(|it| value(it).is_some());
    if !known {
        return Err("who needs it cannot be told".to_owned());
    }
    let mut names: Vec<&str> = DEPENDENTS
        .iter()
        .filter_map(|property| value(property))
        .flat_map(str::split_whitespace)
        .collect();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => Ok(()),
        count => {
            let more = match count.saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named = names.iter().take(NAMED).copied();
            Err(format!(
                "it is needed by {}{more}",
                named.collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

fn is_program(place: &Path) -> bool {
    let metadata = std::fs::metadata(place);
    metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hangs_on_a_unit_is_named() {
        let none = "RequiredBy=\nBoundBy=\nConsistsOf=\nPropagatesStopTo=\n";
        assert_eq!(nobody_needs_it(none.as_bytes()), Ok(()));
        // An older manager.
        assert_eq!(
            nobody_needs_it(b"RequiredBy=\nBoundBy=\nConsistsOf=\n"),
            Ok(())
        );
        for property in DEPENDENTS {
            let line = format!("{property}=");
            let some = none.replace(&line, &format!("{line}b.service a.service"));
            let why = nobody_needs_it(some.as_bytes()).unwrap_err();
            assert_eq!(why, "it is needed by a.service, b.service", "{property}");
        }
        let many = none.replace(
            "BoundBy=",
            "BoundBy=d.service c.service b.service a.service",
        );
        let why = nobody_needs_it(many.as_bytes()).unwrap_err();
        assert!(why.ends_with("c.service and 1 more"), "{why}");
        for answer in ["", "ConsistsOf=\n", "no such thing"] {
            assert!(nobody_needs_it(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_client_that_is_not_believed_is_not_there() {
        let none = Clients::here(|_| None);
        assert_eq!(none, Clients::default());
    }
}

//! The clients of service and container managers, as far as they are here.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::engine::steward::{Managers, Runtime, Steward};

/// Where clients are looked for. No search path of anybody's says where.
const FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];
/// There where systemd runs (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// The clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    systemctl: Option<PathBuf>,
    docker: Option<PathBuf>,
    podman: Option<PathBuf>,
}

impl Clients {
    /// Those of this machine.
    pub fn here() -> Self {
        let find = |name: &str| {
            let places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
            places.into_iter().find(|place| is_program(place))
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

fn is_program(place: &Path) -> bool {
    let metadata = std::fs::metadata(place);
    metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

//! Where a user's session bus is, and as whom it is to be reached.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::link::{Link, has_porter};
use crate::engine::process::Uid;
use crate::sys::users::Users;

/// Where the service manager keeps a folder for each user who is logged in.
const FOLDERS: &str = "/run/user";
/// Where it notes them: for whoever is not let into the folders.
const NOTES: &str = "/run/systemd/users";

/// What we know of our own session from how we were started.
#[derive(Clone, Debug)]
pub struct Own {
    /// Us.
    pub user: Uid,
    /// `$DBUS_SESSION_BUS_ADDRESS`.
    pub address: Option<String>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
    /// Our own program, which is the notifier too.
    pub program: PathBuf,
}

/// A session bus, as somebody of that session reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) address: String,
    pub(super) runtime: PathBuf,
    pub(super) home: PathBuf,
    /// User and group to become first; none where we are that user.
    pub(super) ids: Option<(u32, u32)>,
    /// What the user is called.
    pub(super) name: Option<String>,
    /// The notifier.
    pub(super) program: PathBuf,
}

impl Own {
    /// Whether a user may have a session that we may reach. Never waits: of other users' folders only the names are read.
    pub(super) fn may_reach(&self, whose: Uid) -> bool {
        if self.address_for(whose).is_some() {
            return true;
        }
        if whose == self.user {
            return self.folder(whose).join("bus").exists();
        }
        self.user == Uid::ROOT && logged_in().any(|user| user == whose)
    }

    /// A notifier for a user; `None` where there is no session. May wait, for whoever knows the users.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn reach(&self, whose: Uid) -> Result<Option<Link>, String> {
        // Whoever can do it without root's powers at hand is the one to do it.
        if self.user == Uid::ROOT && whose != Uid::ROOT && has_porter() {
            let name = Users::default().name_of(whose.0);
            if let Some(link) = Link::call(whose, name)? {
                return Ok(Some(link));
            }
        }
        let session = self.session(whose)?;
        session.map(|session| Link::start(&session)).transpose()
    }

    /// The session of a user; `None` where there is none. May wait, for whoever knows the users and for the folder, which is theirs.
    pub(super) fn session(&self, whose: Uid) -> Result<Option<Session>, String> {
        let runtime = self.folder(whose);
        let address = match self.address_for(whose) {
            Some(address) => address.to_owned(),
            None => match theirs(&runtime.join("bus"), whose) {
                Some(bus) => format!("unix:path={bus}"),
                None => return Ok(None),
            },
        };
        let ids = if whose == self.user {
            None
        } else if self.user == Uid::ROOT {
            // Whoever logs people in makes the folder theirs and their first group's.
            let folder = fs::symlink_metadata(&runtime)
                .map_err(|error| format!("cannot look at {}: {error}", runtime.display()))?;
            Some((whose.0, folder.gid()))
        } else {
            return Ok(None);
        };
        let users = Users::default();
        let home = users.home_of(whose.0);
        Ok(Some(Session {
            address,
            runtime,
            home: home.unwrap_or_else(|| "/".into()),
            ids,
            name: users.name_of(whose.0),
            program: self.program.clone(),
        }))
    }

    /// What we were told of our own. What root was told is whose terminal it was started from, not its own.
    fn address_for(&self, whose: Uid) -> Option<&str> {
        let own = whose == self.user && whose != Uid::ROOT;
        self.address.as_deref().filter(|_| own)
    }

    fn folder(&self, whose: Uid) -> PathBuf {
        let own = self.runtime.clone();
        own.filter(|_| whose == self.user && whose != Uid::ROOT)
            .unwrap_or_else(|| Path::new(FOLDERS).join(whose.0.to_string()))
    }
}

impl Session {
    /// All that a notifier is to know of it.
    pub(super) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("DBUS_SESSION_BUS_ADDRESS", self.address.clone()),
            ("XDG_RUNTIME_DIR", self.runtime.display().to_string()),
            ("HOME", self.home.display().to_string()),
        ]
    }
}

/// Who is logged in, as far as there is a folder for them, or a note.
pub fn logged_in() -> impl Iterator<Item = Uid> {
    let listed = |folder| fs::read_dir(folder).into_iter().flatten().flatten();
    let names = listed(FOLDERS).chain(listed(NOTES));
    let users = names.filter_map(|entry| Some(Uid(entry.file_name().to_str()?.parse().ok()?)));
    users.collect::<BTreeSet<Uid>>().into_iter()
}

/// The socket's path, where it is one and theirs. Addresses escape all but a few letters; a path with others is left alone.
fn theirs(bus: &Path, whose: Uid) -> Option<&str> {
    let found = fs::symlink_metadata(bus).ok()?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_/.".contains(letter);
    let path = bus.to_str().filter(|path| path.chars().all(plain))?;
    (found.file_type().is_socket() && found.uid() == whose.0).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn me() -> Uid {
        Uid(rustix::process::geteuid().as_raw())
    }

    #[test]
    fn a_bus_is_a_socket_of_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let bus = folder.path().join("bus");
        assert_eq!(theirs(&bus, me()), None);
        fs::write(&bus, "").unwrap();
        assert_eq!(theirs(&bus, me()), None, "a file");
        fs::remove_file(&bus).unwrap();
        let _listener = UnixListener::bind(&bus).unwrap();
        assert_eq!(theirs(&bus, me()), bus.to_str());
        assert_eq!(theirs(&bus, Uid(me().0 + 1)), None, "somebody else's");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&bus, &link).unwrap();
        assert_eq!(theirs(&link, me()), None, "it may lead anywhere");
        let strange = folder.path().join("b,us");
        let _listener = UnixListener::bind(&strange).unwrap();
        assert_eq!(theirs(&strange, me()), None, "a comma begins another part");
    }

    #[test]
    fn nobody_reaches_others_but_root() {
        let own = Own {
            user: Uid(7),
            address: Some("unix:path=/x".to_owned()),
            runtime: None,
            program: PathBuf::from("/proc/self/exe"),
        };
        assert!(own.may_reach(Uid(7)));
        assert!(!own.may_reach(Uid(8)));
        assert_eq!(own.session(Uid(8)), Ok(None));
        let root = Own {
            user: Uid::ROOT,
            ..own
        };
        assert_eq!(root.address_for(Uid::ROOT), None, "it may be anybody's");
    }
}

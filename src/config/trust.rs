//! Whom root believes: what nobody else may change.
//!
//! **Invariants.** Neither the file nor any folder above it may be written by, or belong to, anyone else, as written and with all
//! links followed: who writes a rule decides what root kills, and who writes a program is root.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What root does not believe, and why.
#[derive(Debug)]
pub(super) struct Distrust {
    pub(super) place: PathBuf,
    pub(super) why: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// Why root should not believe a file; `None` where it may.
///
/// # Errors
/// Where the path leads cannot be found out.
pub(super) fn distrusted(path: &Path) -> io::Result<Option<Distrust>> {
    let real = fs::canonicalize(path)?;
    let written = std::path::absolute(path).unwrap_or_default();
    let folders = real.ancestors().skip(1).chain(written.ancestors().skip(1));
    let kinds = std::iter::once((real.as_path(), Kind::File));
    for (place, kind) in kinds.chain(folders.map(|folder| (folder, Kind::Folder))) {
        let Ok(metadata) = fs::metadata(place) else {
            continue;
        };
        if let Some(why) = judge(metadata.uid(), metadata.mode(), kind) {
            let place = place.to_owned();
            return Ok(Some(Distrust { place, why }));
        }
    }
    Ok(None)
}

/// The path by which a program is to be run: as root the one that all links lead to, of which nobody else can change any part.
/// Links on the way there may lie where others can.
///
/// # Errors
/// It is not there, or root should not run it, and why.
pub fn runnable(path: &Path, uid: u32) -> Result<PathBuf, String> {
    if uid != 0 {
        return Ok(path.to_owned());
    }
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    match distrusted(&real) {
        Ok(None) => Ok(real),
        Ok(Some(found)) => {
            let place = found.place.display();
            Err(format!("root does not run it: {place}: {}", found.why))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Why root should not believe a file that was opened.
pub(super) fn of_file(metadata: &Metadata) -> Option<String> {
    judge(metadata.uid(), metadata.mode(), Kind::File)
}

fn judge(owner: u32, mode: u32, kind: Kind) -> Option<String> {
    const STICKY: u32 = 0o1000;
    let what = match kind {
        Kind::File => "the file",
        Kind::Folder => "the folder",
    };
    if owner != 0 {
        return Some(format!("{what} belongs to user {owner}"));
    }
    // In a sticky folder nobody can replace what is root's.
    let sticky = kind == Kind::Folder && mode & STICKY != 0;
    match mode & 0o022 {
        0 => None,
        _ if sticky => None,
        bits => {
            let who = if bits & 0o002 != 0 {
                "everybody"
            } else {
                "its group"
            };
            Some(format!(
                "{who} may write {what} (mode {:04o})",
                mode & 0o7777
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn root_runs_where_all_links_lead_and_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let (program, link) = (folder.path().join("tell"), folder.path().join("link"));
        fs::write(&program, "").unwrap();
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert_eq!(runnable(&link, 1000), Ok(link.clone()));
        let mode = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(&program, mode(0o757)).unwrap();
        let why = runnable(&link, 0).unwrap_err();
        assert!(why.starts_with("root does not run it"), "{why}");
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(&program, mode(0o755)).unwrap();
            assert_eq!(runnable(&link, 0), Ok(fs::canonicalize(&program).unwrap()));
        }
        fs::remove_file(&program).unwrap();
        assert!(runnable(&link, 0).is_err());
    }

    #[test]
    fn root_believes_only_what_is_roots_alone() {
        for (owner, mode, kind, expected) in [
            (0, 0o100_644, Kind::File, None),
            (0, 0o100_400, Kind::File, None),
            (
                0,
                0o100_664,
                Kind::File,
                Some("its group may write the file (mode 0664)"),
            ),
            (
                0,
                0o100_666,
                Kind::File,
                Some("everybody may write the file (mode 0666)"),
            ),
            (
                0,
                0o101_666,
                Kind::File,
                Some("everybody may write the file (mode 1666)"),
            ),
            (
                1000,
                0o100_600,
                Kind::File,
                Some("the file belongs to user 1000"),
            ),
            (0, 0o040_755, Kind::Folder, None),
            (0, 0o041_777, Kind::Folder, None),
            (
                0,
                0o040_777,
                Kind::Folder,
                Some("everybody may write the folder (mode 0777)"),
            ),
            (
                7,
                0o041_755,
                Kind::Folder,
                Some("the folder belongs to user 7"),
            ),
        ] {
            assert_eq!(
                judge(owner, mode, kind).as_deref(),
                expected,
                "{owner} {mode:o}"
            );
        }
    }
}

//! Which files hold the rules, and whether they may be believed.
//!
//! **Invariants.** A file is read once, whole and bounded. As root, neither the file nor any folder above it may be
//! written by, or belong to, anyone else: who writes a rule decides what root kills.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Request;
use super::diagnostic::{Findings, Problem, Severity};
use super::source::Source;
use super::trust;
use super::yaml::LARGEST_FILE;

/// Where the machine's rules live.
const MACHINE: &str = "/etc/beadle";
/// The main file of a folder.
const MAIN: &str = "beadle.yaml";
/// The folder of further files.
const MORE: &str = "rules.d";
/// The most files of one folder.
const MOST_FILES: usize = 1000;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) sources: Vec<Arc<Source>>,
    pub(super) files: Vec<PathBuf>,
    pub(super) watch: Vec<PathBuf>,
}

/// Finds and reads the files, in order. What cannot be read is a problem.
pub(super) fn find(request: &Request<'_>, findings: &mut Findings) -> Found {
    let mut search = Search {
        root: request.uid == 0,
        found: Found::default(),
        findings,
    };
    match &request.explicit {
        Some(path) => search.explicit(path),
        None if search.root => search.folder(Path::new(MACHINE)),
        None => {
            if let Some(home) = &request.home {
                search.folder(&home.join("beadle"));
            }
        }
    }
    search.found
}

struct Search<'a> {
    root: bool,
    found: Found,
    findings: &'a mut Findings,
}

impl Search<'_> {
    fn explicit(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                self.main(path);
                self.yaml_files(path);
                self.more(path);
                if self.found.files.is_empty() {
                    self.refuse(
                        path,
                        "no rules in this folder",
                        "expected `beadle.yaml`, `*.yaml` or `rules.d/*.yaml`",
                    );
                }
            }
            Ok(_) => {
                self.found.watch.push(path.to_owned());
                self.file(path);
            }
            Err(error) => {
                self.found.watch.push(path.to_owned());
                self.refuse(path, "cannot be read", error.to_string());
            }
        }
    }

    /// A folder in the shape of `/etc/beadle`; it need not exist.
    fn folder(&mut self, folder: &Path) {
        self.main(folder);
        self.more(folder);
    }

    fn main(&mut self, folder: &Path) {
        self.found.watch.push(folder.to_owned());
        let main = folder.join(MAIN);
        match fs::symlink_metadata(&main) {
            Ok(_) => self.file(&main),
            Err(error) if is_absent(&error) => {}
            Err(error) => self.refuse(&main, "cannot be read", error.to_string()),
        }
    }

    fn more(&mut self, folder: &Path) {
        let more = folder.join(MORE);
        self.found.watch.push(more.clone());
        self.yaml_files(&more);
    }

    /// Every `*.yaml` of a folder by name, but the main file, which comes first.
    fn yaml_files(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return,
            Err(error) => return self.refuse(folder, "cannot be read", error.to_string()),
        };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        let mut names: Vec<_> = names
            .filter(|name| name != MAIN && !name.as_encoded_bytes().starts_with(b"."))
            .collect();
        names.sort();
        let is = |path: &Path, wanted: &str| path.extension().is_some_and(|found| found == wanted);
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        for path in paths.iter().filter(|path| is(path, "yml")) {
            let problem = Problem::of_path(Severity::Warning, path, "this file is not read")
                .label("only names that end in `.yaml` are");
            self.findings.push(problem);
        }
        let files: Vec<_> = paths.into_iter().filter(|path| is(path, "yaml")).collect();
        if files.len() > MOST_FILES {
            let message = format!("more than {MOST_FILES} files");
            return self.refuse(folder, message, "none of them is read");
        }
        for path in files {
            self.file(&path);
        }
    }

    fn file(&mut self, path: &Path) {
        if !self.found.watch.iter().any(|watched| watched == path) {
            self.found.watch.push(path.to_owned());
        }
        // Before opening: a FIFO would wait for its writer.
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return self.refuse(path, "cannot be read", "not a regular file"),
            Err(error) => return self.refuse(path, "cannot be read", error.to_string()),
        }
        if self.root && !self.trusted(path) {
            return;
        }
        match self.read(path) {
            Ok(Some(text)) => {
                let rank = self.found.sources.len();
                let source = Source::new(&path.to_string_lossy(), text, rank);
                self.found.sources.push(source);
                self.found.files.push(path.to_owned());
            }
            Ok(None) => {}
            Err(error) => self.refuse(path, "cannot be read", error.to_string()),
        }
    }

    /// The text; `None` when what is there cannot be rules, which is told.
    fn read(&mut self, path: &Path) -> io::Result<Option<String>> {
        let file = fs::File::open(path)?;
        // Asked of what was opened: the name may mean another file by now.
        if self.root
            && let Some(distrust) = trust::of_file(&file.metadata()?)
        {
            self.refuse_distrusted(path, &distrust);
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST_FILE) {
            let message = format!("larger than {} MiB", LARGEST_FILE >> 20);
            self.refuse(path, message, "not read");
            return Ok(None);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let before = error.utf8_error().valid_up_to();
                let line = error
                    .as_bytes()
                    .iter()
                    .take(before)
                    .filter(|byte| **byte == b'\n')
                    .count()
                    + 1;
                self.refuse(path, format!("not UTF-8 text on line {line}"), "not read");
                Ok(None)
            }
        }
    }

    /// Whether the file and every folder above it are root's alone.
    fn trusted(&mut self, path: &Path) -> bool {
        match trust::distrusted(path) {
            Ok(None) => true,
            Ok(Some(found)) => {
                self.refuse_distrusted(&found.place, &found.why);
                false
            }
            Err(error) => {
                self.refuse(path, "cannot be read", error.to_string());
                false
            }
        }
    }

    fn refuse_distrusted(&mut self, path: &Path, why: &str) {
        let shown = path.display();
        let problem = Problem::of_path(
            Severity::Error,
            path,
            "root does not read rules that others may change",
        )
        .label(why)
        .help(format!("chown root {shown} && chmod go-w {shown}"));
        self.findings.push(problem);
    }

    fn refuse(&mut self, path: &Path, message: impl Into<String>, label: impl Into<String>) {
        let problem = Problem::of_path(Severity::Error, path, message).label(label);
        self.findings.push(problem);
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

//! Disks that do not take what people said, and people who write themselves.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::super::historian::Place;
use super::super::inbox::{Inbox, Mail};
use super::{Exceptions, Reread};
use crate::engine::answer::Exception;
use crate::engine::process::{Text, Uid};
use crate::store::exceptions::Exceptions as Book;
use crate::sys::clock::Clock;

fn exception(number: u64, cwd: &str) -> Exception {
    Exception {
        number,
        rule: Arc::from("pytest"),
        owner: Uid(1000),
        program: Text::from("pytest"),
        cwd: Text::from(cwd),
        by: Uid(1000),
    }
}

/// Tells the keeper how writing went.
async fn kept(exceptions: &mut Exceptions, inbox: &mut Inbox) -> Result<(), String> {
    match inbox.wait(Clock, None).await {
        Mail::Excepted(how) => exceptions.written(how),
        other => panic!("{other:?}"),
    }
}

fn begin(folder: &Path) -> (Exceptions, Inbox) {
    let (post, inbox) = Inbox::new();
    let place = Place {
        folder: folder.to_owned(),
        mode: 0o700,
    };
    let exceptions = Exceptions::open(Some(&place), None, &post).unwrap();
    (exceptions, inbox)
}

#[tokio::test]
async fn what_could_not_be_written_outlives_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    let (mut exceptions, mut inbox) = begin(&folder);
    exceptions.keep(vec![exception(1, "/a")]);
    kept(&mut exceptions, &mut inbox).await.unwrap();
    assert_eq!(exceptions.reread(), Ok(Reread::Same));
    fs::remove_dir_all(&folder).unwrap();
    let both = vec![exception(1, "/a"), exception(2, "/b")];
    exceptions.keep(both.clone());
    let why = kept(&mut exceptions, &mut inbox).await.unwrap_err();
    assert!(why.contains("until beadle ends"), "{why}");
    // The place is there again, with what somebody wrote there meanwhile.
    let (mut other, mut theirs) = begin(&folder);
    other.keep(vec![exception(2, "/theirs")]);
    kept(&mut other, &mut theirs).await.unwrap();
    let Ok(Reread::Mending(all)) = exceptions.reread() else {
        panic!("it is written again");
    };
    let all: Vec<(u64, Text)> = all.into_iter().map(|it| (it.number, it.cwd)).collect();
    let expected = [(2, "/theirs"), (1, "/a"), (3, "/b")];
    assert_eq!(all, expected.map(|(number, cwd)| (number, Text::from(cwd))));
    assert_eq!(exceptions.reread(), Ok(Reread::Later));
    kept(&mut exceptions, &mut inbox).await.unwrap();
    let written = Book::open(&folder, 0o700).unwrap().read().unwrap();
    assert_eq!(written.len(), 3);
    assert_eq!(exceptions.reread(), Ok(Reread::Same));
}

#[tokio::test]
async fn what_was_taken_back_and_could_not_be_written_stays_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    let (mut exceptions, mut inbox) = begin(&folder);
    exceptions.keep(vec![exception(1, "/a")]);
    kept(&mut exceptions, &mut inbox).await.unwrap();
    let away = dir.path().join("away");
    fs::rename(&folder, &away).unwrap();
    exceptions.keep(Vec::new());
    kept(&mut exceptions, &mut inbox).await.unwrap_err();
    fs::rename(&away, &folder).unwrap();
    assert_eq!(exceptions.reread(), Ok(Reread::Mending(Vec::new())));
    kept(&mut exceptions, &mut inbox).await.unwrap();
    assert_eq!(Book::open(&folder, 0o700).unwrap().read().unwrap(), []);
}

//! `beadle preflight`: who runs already, and never who asks.

use std::process::{Command, Output};

use super::{Ground, err, out};
use crate::e2e::report::cannot_show;
use crate::e2e::stage::{User, copy, root};
use crate::e2e::wait::wait_until;

fn ask(ground: &Ground, args: &[&str]) -> Output {
    let mut command = Command::new(ground.stage.beadle());
    command.arg("preflight").args(args);
    ground.prepare(&mut command);
    command.output().unwrap()
}

#[test]
fn who_runs_is_told_with_its_folder_until_it_is_gone() {
    let ground = Ground::new();
    let dir = ground.stage.folder("preflight", ground.user);
    let program = dir.path().join(format!("only-{}", std::process::id()));
    let name = program.file_name().unwrap().to_str().unwrap().to_owned();
    // A shell that runs nothing of that name: a script with it among its arguments is another program.
    copy(std::path::Path::new("/bin/sh"), &program);
    assert_eq!(ask(&ground, &[&name]).status.code(), Some(0));
    let mut command = Command::new(&program);
    command.args(["-c", "sleep 4; exit 0", "--password=hunter2"]);
    ground.prepare(&mut command);
    let mut runs = command.current_dir(dir.path()).spawn().unwrap();
    wait_until("it to be seen", || {
        ask(&ground, &[&name]).status.code() == Some(1)
    });
    let seen = ask(&ground, &[&name]);
    let text = out(&seen);
    let begins = format!("{name} runs as {} since 20", runs.id());
    assert!(
        text.starts_with(&begins) && text.lines().count() == 1,
        "{text}"
    );
    assert!(
        text.contains(&format!(", in {}", dir.path().display())),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    let json = ask(
        &ground,
        &[
            "--json",
            &format!("{{ exe: '{}', cwd: '{}' }}", name, dir.path().display()),
        ],
    );
    let told: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    assert_eq!(told["running"][0]["pid"], runs.id(), "{told}");
    assert_eq!(told["running"].as_array().unwrap().len(), 1);
    let elsewhere = ask(&ground, &[&format!("exe: '{name}', cwd: /nowhere")]);
    assert_eq!(
        (elsewhere.status.code(), out(&elsewhere)),
        (Some(0), String::new())
    );
    // It goes by itself.
    let waited = ask(&ground, &["--wait", "20s", &name]);
    assert_eq!(
        (waited.status.code(), out(&waited)),
        (Some(0), String::new())
    );
    let told = format!(
        "beadle: waiting, 20 s at most, for {} ({name})\n",
        runs.id()
    );
    assert_eq!(err(&waited), told);
    assert!(runs.try_wait().unwrap().is_some());
}

#[test]
fn whoever_asks_and_those_beside_it_are_no_second_one() {
    let ground = Ground::new();
    let dir = ground.stage.folder("asks", ground.user);
    let program = dir.path().join(format!("asks-{}", std::process::id()));
    let name = program.file_name().unwrap().to_str().unwrap();
    copy(std::path::Path::new("/bin/bash"), &program);
    // It starts a worker of the same name, and asks.
    let script = format!(
        "{} -c 'sleep 2; exit 0' & {} preflight 'exe: {name}'; echo $?",
        program.display(),
        ground.stage.beadle().display()
    );
    let mut command = Command::new(&program);
    command.args(["-c", &script]);
    ground.prepare(&mut command);
    let output = command.output().unwrap();
    assert_eq!(out(&output), "0\n", "{}", err(&output));
}

#[test]
fn a_matcher_that_means_everybody_or_nothing_is_bad_use() {
    let ground = Ground::new();
    for text in ["", "progam: x", "age: 5s", "{}"] {
        let output = ask(&ground, &[text]);
        assert_eq!(output.status.code(), Some(2), "{text}: {}", err(&output));
        assert!(err(&output).contains("MATCHER:1:"), "{}", err(&output));
    }
}

#[test]
fn what_cannot_be_read_is_not_nobody() {
    if !root() {
        return cannot_show("a look of a stranger", "only root can become another");
    }
    let ground = Ground::of(User::Stranger);
    // Some folder of root's processes is always closed to a stranger.
    let output = ask(&ground, &["cwd: /no/such/place"]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(
        err(&output).contains("could not be read by this user"),
        "{}",
        err(&output)
    );
    let own = format!("cwd: /no/such/place, user: {}", ground.user.uid());
    assert_eq!(ask(&ground, &[&own]).status.code(), Some(0));
}

/// In mount namespaces of their own: other users' processes hidden, and no process table at all.
#[test]
fn where_processes_are_hidden_or_there_is_no_table_it_says_so() {
    if !root() {
        return cannot_show("a hidden /proc", "only root can mount");
    }
    let ground = Ground::new();
    let beadle = ground.stage.beadle();
    let look = |mount: &str| {
        let script = format!(
            "mount {mount} /proc && exec setpriv --reuid {0} --regid {0} --clear-groups {1} preflight 'name: not-so-called'",
            User::Stranger.uid(),
            beadle.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        ground.prepare(&mut command);
        command.output().unwrap()
    };
    let hidden = look("-t proc -o hidepid=2 proc");
    assert_eq!(hidden.status.code(), Some(3), "{}", err(&hidden));
    assert!(err(&hidden).contains("hidden"), "{}", err(&hidden));
    let seen = look("-t proc proc");
    assert_eq!(seen.status.code(), Some(0), "{}", err(&seen));
    let nothing = look("-t tmpfs none");
    assert_eq!(nothing.status.code(), Some(3), "{}", err(&nothing));
}

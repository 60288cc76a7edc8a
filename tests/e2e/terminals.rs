//! Terminals: what a job owes its shell, and what outlives the tree that started it.

use std::fs;
use std::process::{Command, Output};

use super::case::{Case, rules};
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::report::Tier;
use super::wait::wait_until;

in_both_tiers!(a_foreground_job_puts_its_terminal_right);
in_both_tiers!(a_multiplexer_started_in_the_tree_and_its_shells_live);

fn a_foreground_job_puts_its_terminal_right(tier: Tier) {
    let mut case = Case::new("pty", tier);
    let (emulator, job) = (case.program("emulator"), case.program("job"));
    let daemon = case.watch().rules(&rules(&job)).start();
    let done = case.path("done");
    let order = Order::new(&emulator, "terminal")
        .other(job.to_str().unwrap())
        .file(&done);
    let _emulator = case.start(order);
    let term = daemon.log.wait("TERM", |says| says["event"] == "signal");
    let root = u32::try_from(term.says["root"].as_u64().unwrap()).unwrap();
    let close = daemon.log.about(root, "close");
    let screen = || fs::read_to_string(case.path("villains.log")).unwrap_or_default();
    assert_eq!(close.says["how"], "ended", "{}\n{}", close.text, screen());
    assert_eq!(
        fs::read(&done).unwrap_or_default(),
        b"handled",
        "{}",
        screen()
    );
    let signals = daemon.log.targets();
    assert_eq!(
        signals,
        [(root, "TERM".to_owned())],
        "{}",
        daemon.log.text()
    );
    wait_until("the shell and its terminal to go", || case.survivors() == 0);
}

fn a_multiplexer_started_in_the_tree_and_its_shells_live(tier: Tier) {
    let mut case = Case::new("tmux", tier);
    let program = case.program("opens");
    let daemon = case.watch().rules(&rules(&program)).start();
    let server = Multiplexer {
        name: format!("beadle-e2e-{}-{}", std::process::id(), tier.word()),
        folder: case.path(""),
    };
    let script = format!(
        "tmux -L {} -f /dev/null new-session -d 'sleep 40'",
        server.name
    );
    let order = Order::new(&program, "script").other(&script);
    let villain = case.start(order.variable("TMUX_TMPDIR", server.folder.to_str().unwrap()));
    wait_until("the server", || {
        server.ask(&["list-sessions"]).status.success()
    });
    let opened = server.ask(&["new-window", "-d", "sleep 41"]);
    assert!(opened.status.success(), "{opened:?}");
    let mut spared = server.numbers(&["display-message", "-p", "#{pid}"]);
    spared.extend(server.numbers(&["list-panes", "-a", "-F", "#{pane_pid}"]));
    assert_eq!(spared.len(), 3, "{spared:?}");
    let spared: Vec<_> = spared.into_iter().map(Started::hold).collect();
    daemon.log.about(villain.pid, "close");
    assert!(!villain.lives());
    for one in &spared {
        assert!(
            one.lives(),
            "{} was ended with the tree:\n{}",
            one.pid,
            daemon.log.text()
        );
    }
    let opened = server.ask(&["new-window", "-d", "sleep 42"]);
    assert!(opened.status.success(), "{opened:?}");
    server.ask(&["kill-server"]);
    wait_until("the server's end", || case.survivors() == 0);
}

/// A tmux server of our own.
struct Multiplexer {
    name: String,
    folder: std::path::PathBuf,
}

impl Multiplexer {
    fn ask(&self, words: &[&str]) -> Output {
        Command::new("tmux")
            .args(["-L", &self.name])
            .args(words)
            .env("TMUX_TMPDIR", &self.folder)
            .env_remove("TMUX")
            .output()
            .unwrap()
    }

    fn numbers(&self, words: &[&str]) -> Vec<u32> {
        let answer = self.ask(words);
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for Multiplexer {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}

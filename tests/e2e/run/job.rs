//! A job of an interactive shell, on a real terminal: Ctrl-C, Ctrl-Z, `fg`, `bg`, pipelines and full-screen programs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use super::Ground;
use crate::e2e::wait::wait_for;

use std::time::Duration;

/// A terminal with an interactive bash in it.
struct Terminal {
    shell: Child,
    keys: File,
    screen: Arc<Mutex<String>>,
    /// How much of the screen was read.
    read: usize,
}

impl Terminal {
    fn open(ground: &Ground) -> Self {
        let (mut master, mut slave) = (0, 0);
        // SAFETY: both are written; the pointers that are null ask for defaults.
        let made = unsafe {
            libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        assert_eq!(made, 0);
        // SAFETY: made just now, and nobody else's.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let mut command = Command::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        ground.prepare(&mut command);
        for (name, value) in [("PS1", "$ "), ("TERM", "dumb"), ("HISTFILE", "")] {
            command.env(name, value);
        }
        command.env("B", ground.stage.beadle());
        command.stdin(slave.try_clone().unwrap());
        command.stdout(slave.try_clone().unwrap());
        command.stderr(slave);
        // SAFETY: both may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let shell = command.spawn().unwrap();
        drop(command);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut from, shown) = (master.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                shown.lock().unwrap().push_str(&text);
            }
        });
        let mut terminal = Self {
            shell,
            keys: master,
            screen,
            read: 0,
        };
        // What is typed is not shown: only what programs say is.
        terminal.types("stty -echo; bind 'set enable-bracketed-paste off'; echo be''gin\n");
        terminal.shows("begin");
        terminal
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for it to be shown, after what was waited for before; what came up to there.
    #[track_caller]
    fn shows(&mut self, text: &str) -> String {
        let found = wait_for(text, Duration::from_secs(20), || {
            let screen = self.screen.lock().unwrap();
            let rest = &screen[self.read..];
            let at = rest.find(text)?;
            Some(rest[..at + text.len()].to_owned())
        });
        let Ok(found) = found else {
            panic!(
                "no `{text}` on the screen:\n{}",
                self.screen.lock().unwrap()
            );
        };
        self.read += found.len();
        found
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self
            .keys
            .write_all(b"\x03\nkill -KILL %1 %2 %3 2>/dev/null; exit\n");
        let end = wait_for("the shell to go", Duration::from_secs(5), || {
            self.shell.try_wait().unwrap()
        });
        if end.is_err() {
            self.shell.kill().unwrap();
            self.shell.wait().unwrap();
        }
    }
}

#[test]
fn ctrl_c_comes_to_the_command_once_and_the_status_is_its_own() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types(
        "$B run -- bash -c 'n=0; trap \"n=\\$((n+1)); echo got\" INT; echo ready; \
         for i in 1 2 3 4 5 6 7 8; do sleep 0.2; done; echo count=$n.; exit 9'; echo status=$?.\n",
    );
    terminal.shows("ready");
    terminal.types("\x03");
    terminal.shows("got");
    terminal.shows("count=1.");
    terminal.shows("status=9.");
}

#[test]
fn a_loop_of_the_shell_ends_on_ctrl_c() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types("for i in 1 2 3; do echo turn $i; $B run -- sleep 20; done; echo status=$?.\n");
    terminal.shows("turn 1");
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("\x03");
    terminal.types("echo after\n");
    let seen = terminal.shows("after");
    assert!(!seen.contains("turn 2"), "{seen}");
}

#[test]
fn ctrl_c_while_what_is_left_behind_is_given_its_time_is_heeded() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types(
        "$B run --leftover 20s -- sh -c 'setsid sleep 60 & echo ready; exit 0'; echo status=$?.\n",
    );
    terminal.shows("ready");
    std::thread::sleep(Duration::from_millis(500));
    terminal.types("\x03");
    // It died of it, and so the shell ended its line.
    terminal.types("echo status=$?.\n");
    terminal.shows("status=130.");
}

#[test]
fn ctrl_z_stops_the_job_and_fg_goes_on_with_it() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types("$B run -- sh -c 'echo ready; read a; echo \"read $a.\"; read b; exit 6'; echo status=$?.\n");
    terminal.shows("ready");
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.types("jobs; echo lis''ted\n");
    let jobs = terminal.shows("listed");
    assert!(jobs.contains("Stopped"), "{jobs}");
    terminal.types("fg; echo end=$?.\n");
    terminal.shows("run --");
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("one\n");
    terminal.shows("read one.");
    // And again.
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.types("fg; echo end=$?.\n");
    terminal.shows("run --");
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("two\n");
    terminal.shows("end=6.");
}

#[test]
fn a_job_in_the_background_that_reads_is_stopped_and_bg_and_fg_work() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types("$B run -- sh -c 'echo ready; sleep 0.3; read a; echo \"read $a.\"' &\n");
    terminal.shows("ready");
    std::thread::sleep(Duration::from_millis(800));
    terminal.types("jobs; echo lis''ted\n");
    let jobs = terminal.shows("listed");
    assert!(jobs.contains("Stopped"), "{jobs}");
    terminal.types("fg; echo end=$?.\n");
    terminal.shows("run --");
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("three\n");
    terminal.shows("read three.");
    terminal.shows("end=0.");
}

#[test]
fn a_pipeline_is_one_job() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types("$B run -- sh -c 'echo c; exit 3' | (read x; exit 4); echo ${PIPESTATUS[*]}.\n");
    terminal.shows("3 4.");
    terminal.types("$B run -- sh -c 'echo a; sleep 2; echo b' | sed 's/^/> /'\n");
    terminal.shows("> a");
    // Between fork and exec nobody can be stopped: the parent waits for the exec, with beadle or without.
    std::thread::sleep(Duration::from_millis(400));
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.types("fg\n");
    terminal.shows("> b");
}

#[test]
fn a_full_screen_program_has_its_terminal_and_puts_it_right() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    // It sets the terminal raw, is stopped by its own key, puts the terminal right first, and takes it again.
    terminal.types(
        "$B run -- bash -c 'old=$(stty -g); trap \"stty $old; trap - TSTP; kill -TSTP \\$\\$\" TSTP; \
         stty raw -echo; echo full; sleep 0.5; kill -TSTP $$; stty raw -echo; echo back; sleep 0.3; stty $old; exit 8'; \
         echo status=$?.\n",
    );
    terminal.shows("full");
    terminal.shows("Stopped");
    terminal.types("stty -a | grep -o -- '-*icanon'; echo lis''ted\n");
    let set = terminal.shows("listed");
    assert!(set.contains("icanon") && !set.contains("-icanon"), "{set}");
    terminal.types("fg; echo end=$?.\n");
    terminal.shows("back");
    terminal.shows("end=8.");
}

/// As vim does: it stops its whole group, beadle too.
#[test]
fn a_program_that_stops_its_whole_group_is_stopped_once() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types("$B run -- bash -c 'kill -TSTP 0; sleep 0.6; exit 8'; echo status=$?.\n");
    terminal.shows("Stopped");
    terminal.types("fg; echo end=$?.\n");
    terminal.shows("end=8.");
}

#[test]
fn over_its_budget_a_job_is_ended_and_the_shell_goes_on() {
    let ground = Ground::new();
    let mut terminal = Terminal::open(&ground);
    terminal.types("$B run --age 1s -- sleep 30; echo status=$?.\n");
    terminal.shows("ended sleep after");
    terminal.shows("status=124.");
}

//! As if beadle were not there: statuses, signals, streams, and what a command begins with.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use super::{Ground, err, line, out, report, send};
use crate::e2e::stage::root;
use crate::e2e::wait::wait_until;

#[test]
fn the_status_is_the_commands_own() {
    let ground = Ground::new();
    let status = |script: &str| {
        ground
            .run(&["--", "sh", "-c", script])
            .output()
            .unwrap()
            .status
    };
    for code in [0, 1, 3, 123, 124, 255] {
        assert_eq!(status(&format!("exit {code}")).code(), Some(code));
    }
    for signal in [2, 9, 13, 15] {
        let status = status(&format!("kill -{signal} $$"));
        assert_eq!(status.signal(), Some(signal));
        assert!(!status.core_dumped());
    }
}

#[test]
fn what_cannot_be_run_is_told_as_timeout_tells_it() {
    let ground = Ground::new();
    let run = |args: &[&str]| ground.run(args).output().unwrap();
    let missing = run(&["--", "/no/such/program"]);
    assert_eq!(missing.status.code(), Some(127));
    assert_eq!(
        err(&missing),
        "beadle: there is no program /no/such/program: is it in PATH?\n"
    );
    let plain = run(&["--", "/etc/passwd"]);
    assert_eq!(plain.status.code(), Some(126));
    assert!(err(&plain).starts_with("beadle: cannot run /etc/passwd: Permission denied"));
    let nowhere = run(&["--report", "/no/such/folder/r", "--", "true"]);
    assert_eq!(nowhere.status.code(), Some(125));
    assert!(err(&nowhere).contains("cannot write the report to /no/such/folder/r"));
}

/// Signals that are held back or ignored, limits and open files: the same line for line.
#[test]
fn a_command_begins_as_if_beadle_were_not_there() {
    let ground = Ground::new();
    let show = "grep -E '^(Sig(Blk|Ign|Pnd)|ShdPnd|NoNewPrivs|Seccomp):' /proc/self/status; \
                ls /proc/self/fd; ulimit -a; ps -o pgid=,sid= -p $$ | tr -s ' '; cat <&7; umask";
    let beadle = ground.stage.beadle();
    for start in [
        "",
        "trap '' PIPE HUP INT; ",
        "trap '' CHLD TSTP; ulimit -n 200; ",
    ] {
        let begin = |prefix: &str| {
            let script = format!("{start}exec 7</etc/hostname; exec {prefix} sh -c \"$SHOW\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            ground.prepare(&mut command);
            command.env("SHOW", show).process_group(0);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", err(&output));
            let group = |line: &&str| !line.chars().all(|c| c.is_ascii_digit() || c == ' ');
            // The group is the starter's in both; its number is not.
            let text = out(&output);
            text.lines().filter(group).collect::<Vec<_>>().join("\n")
        };
        let bare = begin("");
        assert!(bare.contains("SigIgn"), "{bare}");
        let guarded = begin(&format!("{} run --", beadle.display()));
        assert_eq!(bare, guarded, "after `{start}`");
    }
}

#[test]
fn a_command_is_in_the_group_of_its_starter() {
    let ground = Ground::new();
    let mut command = ground.run(&["--", "sh", "-c", "ps -o pgid= -p $$"]);
    let child = command.process_group(0).spawn().unwrap();
    let group = child.id().to_string();
    assert_eq!(out(&child.wait_with_output().unwrap()).trim(), group);
}

#[test]
fn streams_pass_untouched_and_end_when_the_command_lets_go() {
    let ground = Ground::new();
    let mut command = ground.run(&[
        "--no-cgroup",
        "--",
        "sh",
        "-c",
        "cat; exec >&- 2>/dev/null; sleep 3",
    ]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n / 8 % 251).to_le_bytes()[0])
        .collect();
    let mut input = child.stdin.take().unwrap();
    let fed = bytes.clone();
    let feeder = std::thread::spawn(move || input.write_all(&fed).unwrap());
    let mut seen = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut seen).unwrap();
    feeder.join().unwrap();
    assert!(seen == bytes, "{} of {} bytes", seen.len(), bytes.len());
    // The end of the stream was seen while the command ran on.
    let living = ground.oracle.living();
    assert!(living.len() >= 2, "beadle and the command: {living:?}");
    assert!(child.try_wait().unwrap().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_a_writer() {
    let ground = Ground::new();
    let mut child = ground.run(&["--", "yes"]).spawn().unwrap();
    assert_eq!(line(&mut child), "y");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGPIPE));
}

#[test]
fn signals_sent_to_beadle_are_the_commands() {
    let ground = Ground::new();
    let says = "for s in HUP INT QUIT TERM USR1 USR2; do trap \"echo $s\" $s; done; \
                trap 'echo WINCH; exit 7' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut child = ground.run(&["--", "sh", "-c", says]).spawn().unwrap();
    assert_eq!(line(&mut child), "ready");
    let all = [
        (libc::SIGHUP, "HUP"),
        (libc::SIGINT, "INT"),
        (libc::SIGQUIT, "QUIT"),
        (libc::SIGTERM, "TERM"),
        (libc::SIGUSR1, "USR1"),
        (libc::SIGUSR2, "USR2"),
        (libc::SIGWINCH, "WINCH"),
    ];
    for (signal, word) in all {
        send(&child, signal);
        assert_eq!(line(&mut child), word);
    }
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_command_that_is_stopped_by_somebody_goes_on_being_judged() {
    let ground = Ground::new();
    let args = [
        "--age",
        "2s",
        "--report",
        "-",
        "--",
        "sh",
        "-c",
        "kill -STOP $$; exit 5",
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert_eq!(report(&output)["ended_by"], "beadle");
    ground.is_left_empty();
}

#[test]
fn when_beadle_is_killed_the_command_is_asked_to_go() {
    let ground = Ground::new();
    let dir = ground.stage.folder("killed", ground.user);
    let file = dir.path().join("asked");
    let says = format!(
        "trap 'echo asked > {}; exit 0' TERM; echo ready; n=0; \
         while [ $n -lt 600 ]; do n=$((n+1)); sleep 0.05; done",
        file.display()
    );
    let mut child = ground.run(&["--", "sh", "-c", &says]).spawn().unwrap();
    assert_eq!(line(&mut child), "ready");
    send(&child, libc::SIGKILL);
    child.wait().unwrap();
    wait_until("the command to be asked", || file.exists());
    wait_until("its end", || ground.oracle.is_empty());
    if root() {
        // Nobody was left to take it down.
        for group in ground.groups() {
            wait_until("an empty group", || fs::remove_dir(&group).is_ok());
        }
    }
}

#[test]
fn thread_limits_and_a_mark_are_in_the_environment() {
    let ground = Ground::new();
    let show = "env | grep -E '_THREADS=|TOKENIZERS|BEADLE_RUN=' | sort";
    let run = || {
        let mut command = ground.run(&["--thread-limits", "3", "--", "sh", "-c", show]);
        out(&command.env("OMP_NUM_THREADS", "64").output().unwrap())
    };
    let (one, two) = (run(), run());
    let (mark, rest) = one.split_once('\n').unwrap();
    let digits = mark.strip_prefix("BEADLE_RUN=").unwrap();
    assert!(
        digits.len() == 16 && digits.chars().all(|c| c.is_ascii_hexdigit()),
        "{mark}"
    );
    assert!(!two.contains(mark), "each run has one of its own");
    assert_eq!(
        rest,
        "MKL_NUM_THREADS=3\nNUMEXPR_NUM_THREADS=3\nOMP_NUM_THREADS=3\nOPENBLAS_NUM_THREADS=3\n\
         TOKENIZERS_PARALLELISM=false\nVECLIB_MAXIMUM_THREADS=3\n"
    );
}

#[test]
fn a_report_goes_to_a_file_and_keeps_secrets() {
    let ground = Ground::new();
    let dir = ground.stage.folder("report", ground.user);
    let file = dir.path().join("run.json");
    let args = [
        "--report",
        file.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        "exit 2",
        "--password=hunter2",
        "a\u{1b}[2Jb",
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!((out(&output), err(&output)), (String::new(), String::new()));
    let text = fs::read_to_string(&file).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["exit"], 2);
    assert_eq!(
        (&report["version"], &report["ended_by"]),
        (&1.into(), &"itself".into())
    );
    assert!(
        !text.contains("hunter2") && !text.contains('\u{1b}') && !text.contains("\\u001b"),
        "{text}"
    );
}

/// A pipe that nobody reads, full before the command begins.
#[test]
fn whoever_does_not_read_standard_error_does_not_hold_up_the_end() {
    let ground = Ground::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut full = writer.try_clone().unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    while full.write(&[b'.'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).unwrap();
    drop(full);
    let deaf = "trap '' TERM; sleep 40; sleep 40";
    let args = ["--age", "1s", "--grace", "500ms", "--", "sh", "-c", deaf];
    let mut child = ground.run(&args).stderr(writer).spawn().unwrap();
    let mut status = None;
    wait_until("the end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(124));
    drop(reader);
    ground.is_left_empty();
}

#[test]
fn a_report_that_cannot_be_written_costs_neither_the_status_nor_the_last_words() {
    let ground = Ground::new();
    let script = "trap '' USR1; (trap '' TERM; sleep 30) & exit 3";
    let args = [
        "--leftover",
        "1s",
        "--report",
        "/dev/full",
        "--",
        "sh",
        "-c",
        script,
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(
        err(&output).contains("cannot write the report"),
        "{}",
        err(&output)
    );
    assert!(err(&output).contains("nobody is left"), "{}", err(&output));
}

#[test]
fn a_report_begins_a_line_of_its_own() {
    let ground = Ground::new();
    let args = ["--report", "-", "--", "printf", "no end"];
    let output = ground.run(&args).output().unwrap();
    assert!(out(&output).starts_with("no end\n{"), "{}", out(&output));
    assert_eq!(report(&output)["exit"], 0);
}

#[test]
fn an_option_that_is_misspelt_is_no_command() {
    let ground = Ground::new();
    let output = ground
        .run(&["--memroy", "1G", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("'--memory'"), "{}", err(&output));
    let output = ground.run(&["ls", "-d", "/"]).output().unwrap();
    assert_eq!(out(&output), "/\n", "{}", err(&output));
}

#[test]
fn what_nobody_looked_at_is_left_out() {
    let ground = Ground::new();
    let output = ground
        .run(&["--report", "-", "--", "true"])
        .output()
        .unwrap();
    let report = report(&output);
    let looks = report["looks"].as_u64().unwrap();
    assert_eq!(
        report.get("peak_memory_bytes").is_some(),
        looks > 0,
        "{report}"
    );
}

/// Signals that come while there is no command yet, or just as it begins, are nobody's if they are not ours.
#[test]
fn a_signal_that_comes_early_ends_it_all() {
    let ground = Ground::new();
    for delay in (0..60).step_by(4) {
        let mut child = ground.run(&["--", "sleep", "30"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        send(&child, libc::SIGINT);
        assert_eq!(
            child.wait().unwrap().signal(),
            Some(libc::SIGINT),
            "{delay}"
        );
    }
    ground.is_left_empty();
}

#[test]
fn a_signal_that_comes_when_the_command_is_gone_is_died_of() {
    let ground = Ground::new();
    let script = "(trap '' TERM; sleep 30) & echo $$; exit 3";
    let args = ["--report", "-", "--", "sh", "-c", script];
    let mut child = ground.run(&args).spawn().unwrap();
    let command = format!("/proc/{}", line(&mut child));
    wait_until("the end of the shell", || {
        !std::path::Path::new(&command).exists()
    });
    send(&child, libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.signal(),
        Some(libc::SIGTERM),
        "{}",
        err(&output)
    );
    assert_eq!(report(&output)["exit"], 143);
    assert_eq!(report(&output)["status"], 3);
    ground.is_left_empty();
}

/// `trap 'kill 0' EXIT`, as scripts have it, and vim's own stop.
#[test]
fn what_comes_from_below_the_command_is_not_passed_back_to_it() {
    let ground = Ground::new();
    let says = "n=0; trap 'n=$((n+1))' USR1; kill -USR1 0; sleep 0.5; echo $n";
    let mut command = ground.run(&["--", "bash", "-c", says]);
    let output = command.process_group(0).output().unwrap();
    assert_eq!(out(&output), "1\n", "{}", err(&output));
}

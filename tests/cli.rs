//! The command line as a person meets it: arguments in, exit code and words out.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use beadle::control::protocol::{Answer, Question, Refusal, ReplyWord, Whom};
use beadle::control::server::{Ask, serve};
use beadle::control::socket::{Access, Claim};
use beadle::control::wire::{Exception, Pause, Ps, Replied, Safe, Why};
use beadle::engine::answer::Declined;
use beadle::engine::evidence::IncidentId;
use beadle::engine::process::Uid;

fn beadle(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_clear()
        .env("XDG_RUNTIME_DIR", "/nonexistent");
    command
}

fn run(args: &[&str]) -> Output {
    beadle(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/cli")
        .join(name);
    if std::env::vars().any(|(name, _)| name == "UPDATE_GOLDEN") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{}: UPDATE_GOLDEN=1 rewrites it",
        path.display()
    );
}

#[test]
fn help_is_a_page_for_every_command() {
    let commands = [
        "",
        "watch",
        "status",
        "ps",
        "why",
        "history",
        "show",
        "pause",
        "resume",
        "check",
        "try",
        "run",
        "preflight",
        "rules",
        "schema",
        "doctor",
        "demo",
        "service",
        "stop",
        "extend",
        "allow",
        "freeze",
        "forget",
        "beat",
        "completions",
        "man",
    ];
    for command in commands {
        let args: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|arg| !arg.is_empty())
            .collect();
        let page = run(&args);
        assert_eq!(code(&page), 0, "{command}");
        let name = if command.is_empty() {
            "beadle"
        } else {
            command
        };
        golden(&format!("help-{name}.txt"), &out(&page));
    }
}

#[test]
fn beadle_alone_prints_help() {
    let page = run(&[]);
    assert_eq!(code(&page), 0);
    assert!(out(&page).contains("beadle demo"));
}

#[test]
fn bad_use_is_2_and_names_the_nearest_word() {
    let wrong: [&[&str]; 21] = [
        &["stop"],
        &["stop", "cc1plus"],
        &["extend", "3", "--pid", "4711"],
        &["freeze", "--incident", "3", "--pid", "4711"],
        &["forget"],
        &["rules", "dev-servers", "--exceptions"],
        &["service", "instal"],
        &["service", "install", "--purge"],
        &["stats"],
        &["why"],
        &["why", "0"],
        &["why", "-1"],
        &["pause", "30"],
        &["pause", "30M"],
        &["watch", "--mode", "kill"],
        &["watch", "--only-under", "0"],
        &["show"],
        &["show", "x"],
        &["history", "--pid", "0"],
        &["history", "--since", "2"],
        &["history", "--most", "0"],
    ];
    for args in wrong {
        let output = run(args);
        assert_eq!(code(&output), 2, "{args:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{args:?}");
    }
    assert!(err(&run(&["stats"])).contains("'status'"));
    assert!(err(&run(&["watch", "--mode", "enforced"])).contains("enforce"));
}

#[test]
fn no_daemon_is_1_with_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("socket");
    let place = place.to_str().unwrap();
    for command in [
        &["status"][..],
        &["ps"],
        &["pause"],
        &["resume"],
        &["history"],
        &["show", "3"],
    ] {
        let output = run(&[command, &["--socket", place]].concat());
        assert_eq!(code(&output), 1, "{command:?}");
        let said = err(&output);
        assert!(
            said.contains(place) && said.contains("`beadle watch`"),
            "{said}"
        );
    }
}

#[test]
fn rules_are_checked_and_tried_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rule = "version: 1\nbuiltin: none\nmode: enforce\nrules:\n  - name: mine\n    match: { exe: \"*\", arg: \"--try-me\" }\n";
    let good = write("good.yaml", &format!("{rule}    limits: {{ age: 1h }}\n"));
    let bad = write(
        "bad.yaml",
        &format!("{rule}    limits: {{ memroy: 1GiB }}\n"),
    );
    let output = run(&["check", &good]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("1 rule"), "{}", out(&output));
    for command in ["check", "try"] {
        let output = run(&[command, &bad]);
        assert_eq!(code(&output), 78);
        assert!(
            err(&output).contains("`memory`") && err(&output).contains('^'),
            "{}",
            err(&output)
        );
    }
    let output = run(&["watch", "--config", &bad]);
    assert_eq!(code(&output), 78);
    let output = run(&["try", &good, "--for", "500ms"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(
        out(&output).contains("rule mine (enforce): matches nothing that runs now"),
        "{}",
        out(&output)
    );
    let output = run(&["try", &good, "--for", "500ms", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(object["rules"][0]["name"], "mine");
}

#[test]
fn the_past_is_read_from_a_folder_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    for command in [&["history"][..], &["show", "3"]] {
        let output = run(&[command, &["--state", folder]].concat());
        assert_eq!(code(&output), 1);
        let said = format!("beadle: no history is kept in {folder}\n");
        assert_eq!(err(&output), said);
    }
    std::fs::write(
        dir.path().join("history.sqlite"),
        "garbage, and more than nothing",
    )
    .unwrap();
    let output = run(&["history", "--state", folder]);
    assert_eq!((code(&output), out(&output)), (1, String::new()));
    assert!(err(&output).contains("not a database"), "{}", err(&output));
    let both = run(&["history", "--state", folder, "--socket", "/x"]);
    assert_eq!(code(&both), 2);
}

#[test]
fn what_is_built_in_is_shown_and_loads() {
    let list: serde_json::Value = serde_json::from_str(&out(&run(&["rules", "--json"]))).unwrap();
    let modes: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["mode"].as_str().unwrap())
        .collect();
    assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == "nudge"));
    let pack = run(&["rules", "test-runners"]);
    assert!(out(&pack).contains("version: 1"));
    assert_eq!(code(&run(&["rules", "no-such-pack"])), 1);
    let schema: serde_json::Value = serde_json::from_str(&out(&run(&["schema"]))).unwrap();
    assert!(schema["$schema"].is_string());
}

#[test]
fn a_reader_that_leaves_is_no_trouble() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = beadle(&["--help"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = reader.read(&mut [0; 1]);
    drop(reader);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
    child.wait().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = beadle(&[]).stdout(writer).output().unwrap();
    assert_eq!(err(&output), "");
}

fn exception() -> Exception {
    Exception {
        number: 1,
        rule: Safe::word("pytest"),
        owner: 1000,
        program: Safe::word("pytest"),
        cwd: Safe::word("/home/ann/src"),
        by: 1000,
        since: Some(Safe::word("2026-11-22T14:03:07.000+00:00")),
    }
}

/// What comes of an answer to incident 3, of which the exception cannot be kept.
fn replied(reply: ReplyWord) -> Replied {
    let of = |word, then: Option<f64>| (Safe::word(word), then);
    let (word, left) = match reply {
        ReplyWord::Stop => of("stop", None),
        ReplyWord::Extend => of("extend", Some(1800.0)),
        ReplyWord::Allow => of("allow", None),
        ReplyWord::Freeze => of("freeze", None),
    };
    let allowed = reply == ReplyWord::Allow;
    Replied {
        incident: 3,
        rule: Safe::word("pytest"),
        root: 4711,
        program: Safe::word("pytest"),
        reply: word,
        left,
        extensions: left.map(|_| 1),
        exception: allowed.then(exception),
        unkept: allowed.then(|| Safe::word("no room")),
    }
}

/// A daemon that knows one process, 4711, and one rule, `pytest`.
fn answer(ask: Ask) {
    let answer = match ask.question {
        Question::Why { pid: 4711 } => Answer::Why(Why {
            audience: None,
            pid: 4711,
            key: None,
            program: Some(Safe::word("pytest")),
            command: None,
            owner: Some(ask.peer.uid.0),
            above: vec![],
            standing: None,
            rules: vec![],
            notes: [].into(),
        }),
        Question::Why { pid } => Refusal::no_process(pid).into(),
        Question::Pause { rule, .. } | Question::Resume { rule }
            if rule.as_deref().is_some_and(|rule| rule != "pytest") =>
        {
            Refusal::no_rule(&rule.unwrap_or_default()).into()
        }
        Question::Pause { span, rule } => Answer::Pauses {
            pauses: vec![Pause {
                by: ask.peer.uid.0,
                rule: rule.as_deref().map(Safe::word),
                left: span.map(|_| 1800.0),
            }],
        },
        Question::Resume { .. } => Answer::Pauses { pauses: vec![] },
        Question::Minds => Answer::Minds { minds: vec![] },
        Question::Show { incident } => Refusal::no_incident(incident).into(),
        Question::Reply {
            reply,
            whom: Whom::Number(3),
        } => Answer::Replied(replied(reply)),
        Question::Reply { .. } => Refusal::from(&Declined::NoIncident(IncidentId(9))).into(),
        Question::Forget { which } if which == ["1"] => Answer::Forgotten {
            exceptions: vec![exception()],
            unkept: None,
        },
        Question::Forget { .. } => Refusal::from(&Declined::NoException(9)).into(),
        Question::Exceptions => Answer::Exceptions {
            exceptions: vec![exception()],
        },
        Question::Ps | Question::Status | Question::History(_) => Answer::Ps(Ps {
            units: vec![],
            more: 0,
        }),
    };
    let _ = ask.reply.send(answer);
}

/// Runs `test` with a daemon's socket.
fn served(test: impl FnOnce(&str) + Send + 'static) {
    let dir = tempfile::tempdir().unwrap();
    let place: PathBuf = dir.path().join("socket");
    let me = Uid(rustix::process::geteuid().as_raw());
    let (_claim, listener) = Claim::take(&place, me, Access::Owner).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        let (asks, mut asked) = tokio::sync::mpsc::channel(4);
        let place = place.to_str().unwrap().to_owned();
        let person = tokio::task::spawn_blocking(move || test(&place));
        let questions = async {
            while let Some(ask) = asked.recv().await {
                answer(ask);
            }
        };
        tokio::select! {
            () = serve(listener, me, asks) => panic!("the server ended"),
            () = questions => panic!("the questions ended"),
            done = person => done.unwrap(),
        }
    });
}

#[test]
fn a_daemon_is_asked_and_its_answer_printed() {
    served(|place| {
        let output = run(&["why", "4711", "--socket", place]);
        assert_eq!((code(&output), err(&output)), (0, String::new()));
        assert!(out(&output).starts_with("pytest[4711]\n"));
        let output = run(&["why", "4711", "--json", "--socket", place]);
        let object: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(object["program"], "pytest");
        let output = run(&["pause", "30m", "--rule", "pytest", "--socket", place]);
        assert!(
            out(&output).contains("rule pytest for another 30 min"),
            "{}",
            out(&output)
        );
        let output = run(&["resume", "--socket", place]);
        assert_eq!(out(&output), "Nothing is paused.\n");
        let output = run(&["ps", "--socket", place]);
        assert!(out(&output).contains("no living process matches a rule"));
    });
}

#[test]
fn what_came_of_an_answer_is_printed_with_what_to_do_next() {
    served(|place| {
        let mut page = String::new();
        for args in [
            &["stop", "3"][..],
            &["extend", "3"],
            &["allow", "3"],
            &["freeze", "3"],
            &["rules", "--exceptions"],
            &["forget", "1"],
        ] {
            let words: Vec<&str> = args.iter().copied().chain(["--socket", place]).collect();
            let output = run(&words);
            assert_eq!(
                (code(&output), err(&output)),
                (0, String::new()),
                "{args:?}"
            );
            page = page + "$ beadle " + &args.join(" ") + "\n" + &out(&output);
        }
        let output = run(&["extend", "3", "--json", "--socket", place]);
        let object: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(
            (&object["reply"], &object["left"]),
            (&"extend".into(), &1800.0.into())
        );
        // Whichever is meant is said so on the wire.
        for args in [["stop", "--incident", "3"], ["stop", "--pid", "3"]] {
            let words: Vec<&str> = args.into_iter().chain(["--socket", place]).collect();
            let output = run(&words);
            assert_eq!(code(&output), 1, "{args:?}");
            assert!(err(&output).contains("incident 9 is not open"), "{args:?}");
        }
        let output = run(&["forget", "2", "--socket", place]);
        assert_eq!(code(&output), 1);
        assert!(err(&output).contains("no exception 9 is yours to forget"));
        golden("answers.txt", &page);
    });
}

#[test]
fn what_is_not_there_is_1_and_said_in_words() {
    served(|place| {
        let output = run(&["why", "4712", "--socket", place]);
        assert_eq!(code(&output), 1);
        assert_eq!(err(&output), "beadle: no process 4712 is known here\n");
        let output = run(&["pause", "--rule", "pytets", "--socket", place]);
        assert_eq!(code(&output), 1);
        assert!(err(&output).contains("`pytets`"));
        let output = run(&["show", "9", "--socket", place]);
        assert_eq!(code(&output), 1);
        assert!(err(&output).contains("no incident 9 is kept"));
        // An answer to another question is not taken for one to ours.
        assert_eq!(code(&run(&["status", "--socket", place])), 1);
        assert_eq!(code(&run(&["history", "--socket", place])), 1);
    });
}

/// Each part, and how it is said to be.
fn diagnosis(args: &[&str], home: &Path) -> (Vec<(String, String)>, String, i32) {
    let output = beadle(&["doctor", "--json"])
        .args(args)
        .args(["--socket", "/nonexistent/socket"])
        .env("HOME", home)
        .output()
        .unwrap();
    let text = out(&output);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let parts = found["findings"].as_array().unwrap().iter();
    let parts = parts.map(|finding| (word(&finding["part"]), word(&finding["state"])));
    (parts.collect(), text, code(&output))
}

#[test]
fn the_doctor_looks_at_every_part_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (parts, text, code) = diagnosis(&[], home.path());
    let names: Vec<&str> = parts.iter().map(|(part, _)| part.as_str()).collect();
    for part in [
        "processes",
        "identity",
        "births",
        "accounting",
        "permissions",
        "files",
        "clock",
        "others",
        "rules",
        "history",
        "watch",
    ] {
        assert!(names.contains(&part), "{part}: {text}");
    }
    assert!(
        parts.contains(&("watch".to_owned(), "less".to_owned())),
        "{text}"
    );
    let bad = parts.iter().any(|(_, state)| state == "bad");
    assert_eq!(code, i32::from(bad), "{text}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn the_doctor_finds_bad_rules() {
    let home = tempfile::tempdir().unwrap();
    let rules = home.path().join("rules.yaml");
    std::fs::write(&rules, "version: 1\nrulez: []\n").unwrap();
    let rules = rules.to_str().unwrap();
    let (parts, text, code) = diagnosis(&["--config", rules], home.path());
    assert!(
        parts.contains(&("rules".to_owned(), "bad".to_owned())),
        "{text}"
    );
    assert_eq!(code, 1);
    assert!(text.contains("beadle check"), "{text}");
}

#[test]
fn shells_complete_every_command() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef beadle"),
        ("fish", "complete -c beadle"),
    ] {
        let script = out(&run(&["completions", shell]));
        assert!(script.contains(mark), "{shell}");
        for command in ["watch", "history", "doctor"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    assert_eq!(code(&run(&["man", "--dir", dir])), 0);
    let main = std::fs::read_to_string(folder.path().join("beadle.1")).unwrap();
    assert!(main.starts_with(".ie") && main.contains(".TH"), "{main}");
    for command in ["watch", "check", "service"] {
        let page = folder.path().join(format!("beadle-{command}.1"));
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&format!("beadle\\-{command}")), "{page}");
    }
    assert!(!folder.path().join("beadle-guardian.1").exists());
    let nowhere = run(&["man", "--dir", "/nonexistent"]);
    assert_eq!(code(&nowhere), 1);
}

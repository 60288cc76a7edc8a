//! What an installation puts in place: units, property lists, the script. `tests/box/run` tries them under a real systemd.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::e2e::report::cannot_show;
use super::e2e::stage::root;

/// A value of a property list.
#[derive(Debug, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    List(Vec<Value>),
    Table(BTreeMap<String, Value>),
}

/// What launchd.plist(5) calls the keys that are used here, and a value of the kind that each takes.
fn kinds() -> [(&'static str, Value); 12] {
    let (text, number) = (|| Value::Text(String::new()), || Value::Number(0));
    [
        ("Label", text()),
        ("ProgramArguments", Value::List(vec![])),
        ("RunAtLoad", Value::Truth(true)),
        ("KeepAlive", Value::Table(BTreeMap::new())),
        ("ThrottleInterval", number()),
        ("ExitTimeOut", number()),
        ("AbandonProcessGroup", Value::Truth(true)),
        ("ProcessType", text()),
        ("Umask", number()),
        ("SoftResourceLimits", Value::Table(BTreeMap::new())),
        ("StandardErrorPath", text()),
        ("WorkingDirectory", text()),
    ]
}

/// A reader of property lists that knows no forgiveness.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// The next tag without its brackets, and the text before it.
    fn tag(&mut self) -> Result<(&'a str, &'a str), String> {
        loop {
            let (text, rest) = self.0.split_once('<').ok_or("a tag is missing")?;
            if let Some(rest) = rest.strip_prefix("!--") {
                let (comment, rest) = rest.split_once("-->").ok_or("an open comment")?;
                if comment.contains("--") || !text.trim().is_empty() {
                    return Err(format!("a bad comment: {comment}"));
                }
                self.0 = rest;
                continue;
            }
            let (tag, rest) = rest.split_once('>').ok_or("an open tag")?;
            self.0 = rest;
            return Ok((text, tag));
        }
    }

    fn open(&mut self) -> Result<&'a str, String> {
        match self.tag()? {
            (text, tag) if text.trim().is_empty() => Ok(tag),
            (text, tag) => Err(format!("{text:?} before <{tag}>")),
        }
    }

    fn text(&mut self, tag: &str) -> Result<String, String> {
        let (text, end) = self.tag()?;
        match end.strip_prefix('/') {
            Some(end) if end == tag && !text.contains('&') => Ok(text.to_owned()),
            Some(_) | None => Err(format!("<{tag}> ends in <{end}>")),
        }
    }

    fn value(&mut self, tag: &str) -> Result<Value, String> {
        Ok(match tag {
            "string" => Value::Text(self.text(tag)?),
            "integer" => {
                let text = self.text(tag)?;
                Value::Number(text.parse().map_err(|_| format!("{text} is no number"))?)
            }
            "true/" => Value::Truth(true),
            "false/" => Value::Truth(false),
            "array" => {
                let mut all = Vec::new();
                loop {
                    match self.open()? {
                        "/array" => break Value::List(all),
                        tag => all.push(self.value(tag)?),
                    }
                }
            }
            "dict" => {
                let mut all = BTreeMap::new();
                loop {
                    match self.open()? {
                        "/dict" => break Value::Table(all),
                        "key" => {
                            let key = self.text("key")?;
                            let tag = self.open()?;
                            let value = self.value(tag)?;
                            if all.insert(key.clone(), value).is_some() {
                                return Err(format!("{key} comes twice"));
                            }
                        }
                        tag => return Err(format!("<{tag}> in place of a key")),
                    }
                }
            }
            tag => return Err(format!("<{tag}> is no value")),
        })
    }
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
"#;

/// Reads a property list for launchd, or says what launchd would not like about it.
fn job(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut reader = Reader(text.strip_prefix(HEAD).ok_or("the head is not Apple's")?);
    let ("plist version=\"1.0\"", "dict") = (reader.open()?, reader.open()?) else {
        return Err("no table".to_owned());
    };
    let Value::Table(job) = reader.value("dict")? else {
        return Err("no table".to_owned());
    };
    if reader.open()? != "/plist" || !reader.0.trim().is_empty() {
        return Err("more after its end".to_owned());
    }
    let kinds = kinds();
    for (key, value) in &job {
        let kind = kinds.iter().find(|(known, _)| known == key);
        let (_, kind) = kind.ok_or_else(|| format!("{key} is no key of launchd's"))?;
        if std::mem::discriminant(kind) != std::mem::discriminant(value) {
            return Err(format!("{key} is of another kind: {value:?}"));
        }
    }
    for key in ["Label", "ProgramArguments"] {
        job.get(key).ok_or_else(|| format!("{key} is missing"))?;
    }
    Ok(job)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn launchd_is_told_in_its_own_words() {
    for name in ["org.beadle.daemon", "org.beadle.agent"] {
        let job = job(&read(&format!("launchd/{name}.plist"))).unwrap();
        assert_eq!(job["Label"], Value::Text(name.to_owned()));
        let words = ["/usr/local/bin/beadle", "watch", "--log", "json"];
        let words = words.map(|word| Value::Text(word.to_owned()));
        assert_eq!(job["ProgramArguments"], Value::List(words.into()));
        assert_eq!(job["Umask"], Value::Number(0o077));
        let crashed = BTreeMap::from([("SuccessfulExit".to_owned(), Value::Truth(false))]);
        assert_eq!(job["KeepAlive"], Value::Table(crashed));
    }
}

#[test]
fn the_reader_of_property_lists_forgives_nothing() {
    let good = read("launchd/org.beadle.daemon.plist");
    let spoilt = [
        ("</dict>\n</plist>", "</plist>"),
        ("RunAtLoad", "RunAtLaod"),
        ("<true/>", "<string>yes</string>"),
        ("<integer>10</integer>", "<integer>ten</integer>"),
        ("<key>Label</key>", ""),
        ("<array>", "<list>"),
        ("//DTD PLIST", "//DTD LIST"),
        ("<!-- beadle", "<!-- beadle --"),
        ("<key>ThrottleInterval</key>", "<key>ExitTimeOut</key>"),
        ("</plist>", "</plist><plist>"),
    ];
    for (part, other) in spoilt {
        let text = good.replacen(part, other, 1);
        assert_ne!(text, good, "{part}");
        assert!(job(&text).is_err(), "{part} → {other}");
    }
}

/// The units of the machine, and of a user: the first of each is the watch's.
const MACHINE: [&str; 3] = [
    "systemd/beadle.service",
    "systemd/beadle-notify.socket",
    "systemd/beadle-notify@.service",
];
const USER: [&str; 1] = ["systemd/user/beadle.service"];

/// Units as they would be installed for the program under test, alone in a folder.
fn units(folder: &Path, of: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_beadle");
    let written = of.iter().map(|of| {
        let text = read(of).replace("/usr/local/bin/beadle", program);
        assert!(text.contains(program) || of.ends_with(".socket"));
        let path = folder.join(Path::new(of).file_name().unwrap());
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    written.collect()
}

fn analyze(words: &[&str], runtime: &Path) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    command
        .args(words)
        .env("XDG_RUNTIME_DIR", runtime)
        .env("SYSTEMD_COLORS", "0");
    command.output().ok()
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    for (of, whose) in [(&MACHINE[..], "--system"), (&USER, "--user")] {
        let dir = tempfile::tempdir().unwrap();
        let units = units(dir.path(), of);
        let units: Vec<&str> = units.iter().map(String::as_str).collect();
        let words = [&[whose, "verify", "--man=no"], &units[..]].concat();
        let Some(said) = analyze(&words, dir.path()) else {
            return cannot_show(
                "systemd's opinion of the units",
                "there is no systemd-analyze",
            );
        };
        // It succeeds with keys that it does not know: any word is a complaint.
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert_eq!(text, "", "{of:?}");
        assert!(said.status.success());
        // A planted mistake is noticed, in each.
        for (unit, of) in units.iter().zip(of) {
            let good = fs::read_to_string(unit).unwrap();
            let spoilt = good.replacen("\n[Install]", "\nLimitCOER=0\n[Install]", 1);
            let spoilt = if spoilt == good {
                good.clone() + "LimitCOER=0\n"
            } else {
                spoilt
            };
            fs::write(unit, spoilt).unwrap();
            let said = analyze(&words, dir.path()).unwrap();
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(text.contains("LimitCOER"), "{of}: {text}");
            fs::write(unit, good).unwrap();
        }
    }
}

#[test]
fn the_machines_services_are_exposed_by_two_and_a_half_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let units = units(dir.path(), &MACHINE);
    for unit in units.iter().filter(|unit| unit.ends_with(".service")) {
        let words = [
            "security",
            "--offline=yes",
            "--threshold=25",
            "--no-pager",
            unit,
        ];
        let Some(said) = analyze(&words, dir.path()) else {
            return cannot_show(
                "systemd's figure of exposure",
                "there is no systemd-analyze",
            );
        };
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        println!("{}", text.lines().last().unwrap_or_default());
        assert!(said.status.success(), "{text}");
    }
}

/// The script, for whoever tests, without a service.
fn install(prefix: &Path, words: &[&str]) -> String {
    let mut command = Command::new("sh");
    command.arg("packaging/install").args(words);
    if !root() {
        command.arg("--user");
    }
    let prefix = ["--no-service", "--prefix", prefix.to_str().unwrap()];
    let said = command.args(prefix).output().unwrap();
    let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert!(said.status.success(), "{words:?}: {text}");
    text
}

#[test]
fn the_program_is_put_in_place_again_and_again_and_goes_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("of mine");
    let program = prefix.join("bin/beadle");
    let binary = ["--binary", env!("CARGO_BIN_EXE_beadle")];
    for _ in 0..2 {
        let said = install(&prefix, &binary);
        assert!(
            said.contains(&format!("writing {}", program.display())),
            "{said}"
        );
        assert!(
            Command::new(&program)
                .arg("--version")
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(fs::read_dir(prefix.join("bin")).unwrap().count(), 1);
    }
    // One that runs can be replaced.
    let mut running = Command::new(&program)
        .arg("guardian")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    install(&prefix, &binary);
    drop(running.stdin.take());
    assert!(running.wait().unwrap().success());
    let said = install(&prefix, &["--uninstall"]);
    assert!(said.contains("removing"), "{said}");
    assert!(!program.exists());
    let said = install(&prefix, &["--uninstall"]);
    assert!(said.contains("nothing to do"), "{said}");
}

#[test]
fn what_the_script_cannot_do_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |words: &[&str]| {
        let mut command = Command::new("sh");
        let said = command
            .arg("packaging/install")
            .args(words)
            .output()
            .unwrap();
        assert!(!said.status.success(), "{words:?}");
        String::from_utf8_lossy(&said.stderr).into_owned()
    };
    assert!(refused(&["--prefix"]).contains("needs a value"));
    assert!(refused(&["--purge"]).contains("goes with --uninstall"));
    assert!(refused(&["--nonsense"]).contains("what is --nonsense"));
    let mine: &[&str] = if root() { &[] } else { &["--user"] };
    let place = dir.path().to_str().unwrap();
    let nothing = ["--prefix", place, "--binary", "/no/such/program"];
    assert!(refused(&[mine, &nothing].concat()).contains("there is no program there"));
    assert!(refused(&[mine, &["--prefix", "here"]].concat()).contains("the whole path"));
    let not_mine: &[&str] = if root() { &["--user"] } else { &[] };
    let said = refused(not_mine);
    assert!(
        said.contains("leave it out") || said.contains("use sudo"),
        "{said}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_somebody_else_put_in_place_is_neither_replaced_nor_removed_nor_written_through() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("prefix");
    let bin = prefix.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let (program, precious) = (bin.join("beadle"), dir.path().join("precious"));
    let refused = |words: &[&str]| {
        let mut command = Command::new("sh");
        command.arg("packaging/install").args(words);
        if !root() {
            command.arg("--user");
        }
        let place = ["--no-service", "--prefix", prefix.to_str().unwrap()];
        let said = command.args(place).output().unwrap();
        assert!(!said.status.success(), "{words:?}");
        String::from_utf8_lossy(&said.stderr).into_owned()
    };
    let binary = ["--binary", env!("CARGO_BIN_EXE_beadle")];
    let theirs = "#!/bin/sh\necho insects 1\n";
    fs::write(&precious, theirs).unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o755)).unwrap();
    // A name that could be foreseen leads nowhere.
    symlink(&precious, bin.join("beadle.new")).unwrap();
    install(&prefix, &binary);
    assert_eq!(fs::read_to_string(&precious).unwrap(), theirs);
    fs::remove_file(&program).unwrap();
    for linked in [false, true] {
        if linked {
            symlink(&precious, &program).unwrap();
        } else {
            fs::copy(&precious, &program).unwrap();
        }
        for words in [&binary[..], &["--uninstall"]] {
            let said = refused(words);
            assert!(said.contains("move it away"), "{said}");
            assert_eq!(fs::read_to_string(&program).unwrap(), theirs);
        }
        fs::remove_file(&program).unwrap();
    }
    if root() {
        fs::set_permissions(&bin, fs::Permissions::from_mode(0o775)).unwrap();
        let said = refused(&binary);
        assert!(said.contains("others may write to"), "{said}");
        assert!(!program.exists());
    }
}

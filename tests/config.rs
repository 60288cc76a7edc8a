//! Rule files as people write them: what is refused and how it is told, what loads and what it means.
//!
//! `tests/golden/diagnostics/*.yaml` are files with something wrong; beside each is the text that people see.
//! `UPDATE_GOLDEN=1` writes those texts anew.

// What a file may cost.
mod bounds;
// `when`.
mod gates;
mod instances;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use beadle::config::{self, Loaded, Names, Paint, Refusal, Request, builtin};
use beadle::engine::rule::{
    Amount, Bound, Desktop, Measure, Mode, Origin, Rule, Scope, Signal, StageAct, To,
};
use beadle::engine::units::{Bytes, Millicores};
use tempfile::TempDir;

/// A machine with one user and one group.
struct Alice;

impl Names for Alice {
    fn user(&self, name: &str) -> Option<u32> {
        (name == "alice").then_some(1000)
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "staff").then_some(50)
    }
}

fn request(explicit: Option<&Path>, home: Option<&Path>) -> Request<'static> {
    Request {
        explicit: explicit.map(Path::to_owned),
        home: home.map(Path::to_owned),
        uid: 1000,
        mode: None,
        names: &Alice,
    }
}

/// Loads one text.
fn load(text: &str) -> Result<Loaded, Refusal> {
    load_as(text, None)
}

fn load_as(text: &str, mode: Option<Mode>) -> Result<Loaded, Refusal> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules.yaml");
    fs::write(&path, text).unwrap();
    config::load(&Request {
        mode,
        ..request(Some(&path), None)
    })
}

fn rule<'a>(loaded: &'a Loaded, name: &str) -> &'a Rule {
    let found = loaded.rules.rules.iter().find(|rule| &*rule.name == name);
    found.unwrap_or_else(|| panic!("no rule {name}"))
}

#[test]
fn diagnostics_read_as_agreed() {
    let folder = Path::new("tests/golden/diagnostics");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    assert!(files.len() > 10);
    let mut differing = Vec::new();
    for path in files {
        let told = match config::load(&request(Some(&path), None)) {
            Ok(loaded) => config::render(&loaded.warnings, Paint::Plain),
            Err(refusal) => refusal.render(Paint::Plain),
        };
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &told).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != told {
            differing.push(format!("{}:\n{told}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn five_mistakes_are_five_problems_each_with_its_place() {
    let path = Path::new("tests/golden/diagnostics/five-mistakes.yaml");
    let refusal = config::load(&request(Some(path), None)).unwrap_err();
    let places: Vec<_> = refusal
        .problems
        .iter()
        .map(|problem| (problem.line(), problem.column()))
        .collect();
    let at = |line, column| (Some(line), Some(column));
    assert_eq!(
        places,
        [at(2, 7), at(6, 42), at(8, 7), at(9, 12), at(12, 30)]
    );
    assert!(
        refusal
            .to_string()
            .ends_with("5 problems in 1 file; nothing was loaded")
    );
    assert!(refusal.to_string().contains("did you mean `memory`?"));
    assert!(refusal.render(Paint::Color).contains("\u{1b}["));
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    for name in ["hostile", "hostile-escapes"] {
        let path = PathBuf::from(format!("tests/golden/diagnostics/{name}.yaml"));
        let refusal = config::load(&request(Some(&path), None)).unwrap_err();
        for told in [refusal.render(Paint::Plain), refusal.to_string()] {
            let hostile = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
            assert_eq!(told.chars().find(hostile), None, "{told:?}");
        }
    }
}

#[test]
fn the_rule_of_the_incident_loads() {
    let loaded = load(
        "version: 1
mode: enforce
rules:
  - name: pytest
    match: { program: pytest }
    limits: { cpu_time: 8s, age: 45s }
    ladder: [ nudge, { after: 3s, signal: TERM }, { after: 2s, signal: KILL } ]
",
    )
    .unwrap();
    assert!(loaded.warnings.is_empty());
    let rule = rule(&loaded, "pytest");
    assert_eq!(rule.mode, Mode::Enforce);
    let bounds: Vec<_> = rule
        .clauses
        .iter()
        .map(|clause| clause.limits[0].bound)
        .collect();
    let second = Duration::from_secs(1);
    assert_eq!(
        bounds,
        [Bound::CpuTime(8 * second), Bound::Age(45 * second)]
    );
    let ladder: Vec<_> = rule
        .ladder
        .iter()
        .map(|stage| (stage.after, stage.act.clone()))
        .collect();
    assert_eq!(
        ladder,
        [
            (Duration::ZERO, StageAct::Nudge),
            (3 * second, StageAct::Signal(Signal::Term, To::Tree)),
            (2 * second, StageAct::Signal(Signal::Kill, To::Tree)),
        ]
    );
    assert!(matches!(&rule.origin, Origin::File { line: 4, .. }));
}

#[test]
fn the_example_of_the_rule_language_loads() {
    let loaded = load(
        "# /etc/beadle/rules.d/20-tests.yaml
version: 1

rules:
  - name: pytest
    about: test runs that never end          # shown in every nudge
    match: { program: [pytest, py.test] }    # what really runs: python -m pytest and the script alike
    limits:
      cpu_time: 30m                          # all CPU the tree used, its dead members included
      cpu: { above: 90%, for: 10m }          # 100% = one core
      memory: { above: 8GiB, for: 30s }
      age: 2h
      processes: 100
      leftover: 5s
      silent: 60s
    keep:
      - { program: bazel, arg: --server }    # leaves the tree: not counted, not signalled
    ladder:
      - nudge
      - { after: 5m, signal: TERM }
      - { after: 10s, signal: KILL }
",
    )
    .unwrap();
    assert!(loaded.warnings.is_empty());
    let rule = rule(&loaded, "pytest");
    assert_eq!(
        (rule.mode, rule.scope.clone(), rule.keep.len()),
        (Mode::Nudge, Scope::Tree, 1)
    );
    assert_eq!(rule.about.as_deref(), Some("test runs that never end"));
    assert_eq!(rule.cooldown, Duration::from_secs(600));
    let limits: Vec<_> = rule
        .clauses
        .iter()
        .flat_map(|clause| &clause.limits)
        .collect();
    assert_eq!(limits[1].bound, Bound::Cpu(Millicores(900)));
    assert_eq!(limits[1].lasting, Some(Duration::from_secs(600)));
    let above = Amount::Bytes(Bytes::gib(8));
    let measure = Measure::Private;
    assert_eq!(limits[2].bound, Bound::Memory { measure, above });
    assert_eq!(limits[4].bound, Bound::Processes(100));
    assert_eq!(limits[6].bound, Bound::Silent(Duration::from_secs(60)));
}

const OWN: &str = "version: 1
mode: MODE
rules:
  - { name: plain, match: { program: a }, limits: { age: 1h } }
  - { name: mild, mode: observe, match: { program: b }, limits: { age: 1h } }
  - { name: wild, mode: enforce, match: { program: c }, limits: { age: 1h } }
";

#[test]
fn the_mode_of_the_command_line_replaces_and_caps() {
    use Mode::{Enforce, Nudge, Observe};
    for (top, cap, expected) in [
        ("nudge", None, [Nudge, Observe, Enforce]),
        ("enforce", None, [Enforce, Observe, Enforce]),
        ("observe", None, [Observe, Observe, Enforce]),
        ("enforce", Some(Nudge), [Nudge, Observe, Nudge]),
        ("enforce", Some(Observe), [Observe; 3]),
        ("observe", Some(Enforce), [Enforce, Observe, Enforce]),
    ] {
        let loaded = load_as(&OWN.replace("MODE", top), cap).unwrap();
        let modes = ["plain", "mild", "wild"].map(|name| rule(&loaded, name).mode);
        assert_eq!(modes, expected, "{top} {cap:?}");
        let built_in = rule(&loaded, "test-runner").mode;
        let lowest = if cap == Some(Observe) { Observe } else { Nudge };
        assert_eq!(built_in, lowest, "{top} {cap:?}");
    }
}

#[test]
fn built_in_rules_load_without_a_warning_and_only_nudge() {
    let loaded = config::load(&request(None, None)).unwrap();
    assert!(loaded.files.is_empty());
    assert_eq!(config::render(&loaded.warnings, Paint::Plain), "");
    assert_eq!(builtin::packs().len(), 5);
    for pack in builtin::packs() {
        let of_pack =
            |rule: &&std::sync::Arc<Rule>| rule.origin == Origin::Builtin { pack: pack.name };
        assert!(
            loaded.rules.rules.iter().any(|rule| of_pack(&rule)),
            "{}",
            pack.name
        );
        // As a user's own file, so that it can be copied and changed.
        let copied = load(pack.yaml).unwrap();
        assert_eq!(
            config::render(&copied.warnings, Paint::Plain),
            "",
            "{}",
            pack.name
        );
    }
    for rule in &loaded.rules.rules {
        assert!(rule.about.is_some(), "{} says what it is for", rule.name);
        assert_eq!(rule.mode, Mode::Nudge);
        assert_eq!(rule.ladder.len(), 1);
        assert_eq!(rule.ladder[0].act, StageAct::Nudge);
    }
}

#[test]
fn packs_are_chosen_and_rules_switched_off_or_replaced_by_name() {
    let names = |text: &str| -> Vec<String> {
        let loaded = load(text).unwrap();
        loaded
            .rules
            .rules
            .iter()
            .map(|rule| rule.name.to_string())
            .collect()
    };
    assert!(names("version: 1\nbuiltin: none\n").is_empty());
    assert!(names("version: 1\nbuiltin: []\n").is_empty());
    assert_eq!(
        names("version: 1\nbuiltin: [test-runners]\n"),
        ["test-runner", "test-binary"]
    );
    assert_eq!(
        names(
            "version: 1\nbuiltin: test-runners\nrules: [{ name: test-binary, enabled: false }]\n"
        ),
        ["test-runner"]
    );
    let replaced = load(
        "version: 1\nmode: enforce\nrules:\n  - { name: test-runner, match: { program: a }, limits: { age: 1h } }\n",
    )
    .unwrap();
    assert_eq!(rule(&replaced, "test-runner").mode, Mode::Enforce);
    assert!(matches!(
        rule(&replaced, "test-runner").origin,
        Origin::File { .. }
    ));
}

#[test]
fn defaults_speak_for_the_users_rules_alone() {
    let loaded = load(
        "version: 1
defaults:
  mode: enforce
  cooldown: 1h
  limits: { age: 1h }
  ladder: [nudge, { after: 1m, signal: INT }]
rules:
  - { name: a, match: { program: a } }
  - { name: b, match: { program: b }, limits: { cpu: 50% }, ladder: [nudge], cooldown: 1m }
",
    )
    .unwrap();
    let (a, b) = (rule(&loaded, "a"), rule(&loaded, "b"));
    assert_eq!(
        (a.mode, a.ladder.len(), a.cooldown.as_secs()),
        (Mode::Enforce, 2, 3600)
    );
    assert_eq!(
        (b.mode, b.ladder.len(), b.cooldown.as_secs()),
        (Mode::Enforce, 1, 60)
    );
    assert_eq!(b.clauses[0].limits[0].bound, Bound::Cpu(Millicores(500)));
    let built_in = rule(&loaded, "test-runner");
    assert_eq!(
        (built_in.mode, built_in.cooldown.as_secs()),
        (Mode::Nudge, 600)
    );
}

#[test]
fn the_desktop_is_told_unless_switched_off() {
    let desktop = |nudge: &str| {
        let text = format!("version: 1\nbuiltin: none\nnudge: {nudge}\n");
        load(&text).unwrap().rules.channels.desktop
    };
    let usual = Desktop::default();
    assert!(usual.buttons && usual.terminal);
    assert_eq!(desktop("{}"), Some(usual));
    assert_eq!(desktop("{ desktop: true }"), Some(usual));
    assert_eq!(desktop("{ desktop: }"), Some(usual));
    assert_eq!(desktop("{ desktop: false }"), None);
    let plain = Desktop {
        buttons: false,
        terminal: false,
    };
    let said = desktop("{ desktop: { buttons: false, terminal: false } }");
    assert_eq!(said, Some(plain));
}

#[test]
fn settings_and_variables_are_gathered() {
    let loaded = load(
        "version: 1
interval: 2s
builtin: none
nudge: { desktop: false, tty: {}, remind: 1h }
breaker: { trees: 3 }
store: { keep: 7d }
protect: { program: postgres, env: { PGDATA: '*' } }
boundaries: [{ program: my-supervisor }, { program: other }]
rules:
  - name: a
    match: { user: [alice, 0], group: staff, not: { env: { KEEP: '1' } }, program: x, tty: [none, deleted, /dev/pts/*] }
    limits: { all: [{ age: 1h }, { cpu: 50% }], zombies: 0 }
    keep: { env: { A: x } }
",
    )
    .unwrap();
    let rules = &loaded.rules;
    assert_eq!(rules.interval, Duration::from_secs(2));
    assert_eq!(rules.remind, Some(Duration::from_secs(3600)));
    let channels = rules.channels;
    assert_eq!(
        (channels.desktop, channels.journal, channels.tty),
        (None, true, true)
    );
    let keeping = rules.keeping;
    assert_eq!(
        (keeping.span.as_secs(), keeping.size),
        (7 * 86_400, Bytes::mib(64))
    );
    assert_eq!((rules.protect.len(), rules.boundaries.len()), (1, 2));
    assert_eq!(*rules.variables, ["A", "KEEP", "PGDATA"].map(String::from));
    let a = rule(&loaded, "a");
    assert_eq!((a.breaker.trees, a.breaker.within.as_secs()), (3, 600));
    let sizes: Vec<_> = a.clauses.iter().map(|clause| clause.limits.len()).collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn files_are_read_in_order_and_later_ones_replace() {
    let home = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join("beadle").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let one = |program: &str| {
        format!(
            "version: 1\nrules: [{{ name: a, match: {{ program: {program} }}, limits: {{ age: 1h }} }}]\n"
        )
    };
    write(
        "beadle.yaml",
        &format!("{}builtin: none\nmode: enforce\n", one("first")),
    );
    write("rules.d/20-b.yaml", &one("third"));
    write("rules.d/10-a.yaml", &one("second"));
    write("rules.d/30-c.yml", "not: [read");
    write("rules.d/.hidden.yaml", "not: [read");
    write("other.yaml", "not: [read");
    let loaded = config::load(&request(None, Some(home.path()))).unwrap();
    let names: Vec<_> = loaded
        .files
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["beadle.yaml", "10-a.yaml", "20-b.yaml"]);
    assert_eq!(loaded.rules.rules.len(), 1);
    assert!(format!("{:?}", rule(&loaded, "a").matcher).contains("third"));
    assert_eq!(rule(&loaded, "a").mode, Mode::Enforce);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0]
            .to_string()
            .contains("30-c.yml: warning: this file is not read")
    );
    let beadle = home.path().join("beadle");
    let watched = [
        "",
        "beadle.yaml",
        "rules.d",
        "rules.d/10-a.yaml",
        "rules.d/20-b.yaml",
    ];
    assert_eq!(loaded.watch, watched.map(|name| beadle.join(name)));

    // One bad file among good ones: nothing is loaded, and each problem names its file.
    write("rules.d/40-d.yaml", "version: 1\nrules: [{ name: x }]\n");
    write("rules.d/50-e.yaml", "version: 3\n");
    let refusal = config::load(&request(None, Some(home.path()))).unwrap_err();
    assert_eq!(
        refusal.summary(),
        "3 problems in 2 files; nothing was loaded"
    );
}

#[test]
fn a_folder_may_be_given_and_must_hold_something() {
    let folder = TempDir::new().unwrap();
    let refusal = config::load(&request(Some(folder.path()), None)).unwrap_err();
    assert!(refusal.to_string().contains("no rules in this folder"));
    fs::write(folder.path().join("b.yaml"), "version: 1\nbuiltin: none\n").unwrap();
    fs::write(folder.path().join("beadle.yaml"), "version: 1\n").unwrap();
    let loaded = config::load(&request(Some(folder.path()), None)).unwrap();
    assert_eq!(loaded.files.len(), 2);
    assert!(loaded.files[0].ends_with("beadle.yaml"));
    let missing = folder.path().join("missing.yaml");
    let refusal = config::load(&request(Some(&missing), None)).unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("missing.yaml: error: cannot be read: No such file")
    );
    let refusal = config::load(&request(Some(Path::new("/dev/null")), None)).unwrap_err();
    assert!(refusal.to_string().contains("not a regular file"));
}

#[test]
fn root_refuses_what_others_may_write_and_says_how_to_mend_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules.yaml");
    fs::write(&path, "version: 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let request = Request {
        uid: 0,
        ..request(Some(&path), None)
    };
    // Run by root, the file is root's and too open; run by anyone else, it is not root's.
    let refusal = config::load(&request).unwrap_err().to_string();
    assert!(
        refusal.contains("may write the file (mode 0666)") || refusal.contains("belongs to user"),
        "{refusal}"
    );
    assert!(
        refusal.contains(&format!("chmod go-w {}", path.display())),
        "{refusal}"
    );
}

#[test]
fn every_key_of_the_schema_is_a_key_of_the_decoder() {
    let schema = config::schema();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let frame = match name.as_str() {
            "beadle" => "{ KEY: ~ }",
            "nudge" => "{ nudge: { KEY: ~ } }",
            "desktop" => "{ nudge: { desktop: { KEY: ~ } } }",
            "breaker" => "{ breaker: { KEY: ~ } }",
            "store" => "{ store: { KEY: ~ } }",
            "defaults" => "{ defaults: { KEY: ~ } }",
            "rule" => "{ rules: [{ KEY: ~ }] }",
            "match" => "{ rules: [{ match: { KEY: ~ } }] }",
            "match-age" => "{ rules: [{ match: { age: { KEY: ~ } } }] }",
            "limits" => "{ rules: [{ limits: { KEY: ~ } }] }",
            "span-limit" => "{ rules: [{ limits: { age: { KEY: ~ } } }] }",
            "cpu-limit" => "{ rules: [{ limits: { cpu: { KEY: ~ } } }] }",
            "pace-limit" => "{ rules: [{ limits: { spawns: { KEY: ~ } } }] }",
            "memory-limit" => "{ rules: [{ limits: { memory: { KEY: ~ } } }] }",
            "count-limit" => "{ rules: [{ limits: { threads: { KEY: ~ } } }] }",
            "orphaned-limit" => "{ rules: [{ limits: { orphaned: { KEY: ~ } } }] }",
            "instances-limit" => "{ rules: [{ limits: { instances: { KEY: ~ } } }] }",
            "stalled-limit" => "{ rules: [{ limits: { stalled: { KEY: ~ } } }] }",
            "spinning-limit" => "{ rules: [{ limits: { spinning: { KEY: ~ } } }] }",
            "when" => "{ rules: [{ when: { KEY: ~ } }] }",
            "load-gate" => "{ rules: [{ when: { load: { KEY: ~ } } }] }",
            "pressure-gate" => "{ rules: [{ when: { memory_pressure: { KEY: ~ } } }] }",
            "stage" => "{ rules: [{ ladder: [{ KEY: ~ }] }] }",
            "signal" => "{ rules: [{ ladder: [{ signal: { KEY: ~ } }] }] }",
            "on_close" => "{ rules: [{ on_close: { KEY: ~ } }] }",
            name => panic!("no frame for {name}"),
        };
        let told = |key: &str| match load(&frame.replace("KEY", key)) {
            Ok(_) => String::new(),
            Err(refusal) => refusal.to_string(),
        };
        for key in definition["properties"].as_object().unwrap().keys() {
            let told = told(key);
            assert!(
                !told.contains("is not a key") && !told.contains("not available"),
                "{name}.{key}: {told}"
            );
        }
        assert!(told("zzz").contains("`zzz` is not a key"), "{name}");
    }
}

#[test]
fn the_schema_is_whole() {
    let schema = config::schema();
    let definitions = schema["$defs"].as_object().unwrap();
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(definitions.contains_key(name), "{name}");
    }
    for (name, definition) in definitions {
        for (key, property) in definition["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{key}");
        }
    }
    assert!(definitions["defaults"]["properties"].get("match").is_none());
    assert!(definitions["limits"]["properties"].get("memory").is_some());
}

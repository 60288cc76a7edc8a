use std::time::Duration;

use super::*;
use crate::engine::forest::Serial;
use crate::engine::pattern::Anchor;
use crate::engine::process::{ExecGen, Pid, StartTicks};
use crate::engine::units::Mono;

const SECOND: Duration = Duration::from_secs(1);

/// An ordinary process: pytest of user 1000, without a terminal.
pub(in crate::engine) fn facts() -> Facts {
    Facts {
        about: Serial::NOBODY,
        pid: Pid::new(42).unwrap(),
        key: None,
        start: StartTicks(1),
        exec: ExecGen(0),
        at: Mono::BOOT,
        cpu: Duration::ZERO,
        kernel_thread: false,
        comm: Text::from("python3"),
        exe: Read::Known(Place::existing("/usr/bin/python3.11")),
        args: Read::Known(texts(&["python3", "-m", "pytest", "--maxfail", ""])),
        env: Read::Known(vec![("CI".to_owned(), Text::from("true"))]),
        owner: Read::Known(Uid(1000)),
        group: Read::Known(Gid(100)),
        login: Read::Known(None),
        cwd: Read::Known(Place::existing("/home/ann/project")),
        tty: Read::Known(None),
        cgroup: Read::Known(Text::from(r"/user.slice/app-run\x2dtests-7.scope/inner")),
        cgroup_id: Read::NotAsked,
        container: Read::Known(None),
        namespace: Read::Known(Namespace::Ours),
        hangup: Read::NotAsked,
    }
}

fn texts(words: &[&str]) -> Vec<Text> {
    words.iter().copied().map(Text::from).collect()
}

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::new(text).unwrap()).collect()
}

fn patterns(anchor: Anchor, texts: &[&str]) -> Vec<Pattern> {
    texts
        .iter()
        .map(|text| Pattern::new(text, anchor).unwrap())
        .collect()
}

fn program(name: &str) -> Field {
    Field::Program(globs(&[name]))
}

fn path(glob: &str) -> Vec<PlaceGlob> {
    vec![PlaceGlob::Path(Glob::new(glob).unwrap())]
}

fn not(field: Field) -> Field {
    Field::Not(vec![one(field)])
}

fn one(field: Field) -> Matcher {
    Matcher {
        fields: vec![field],
    }
}

fn subject(facts: &Facts) -> Subject<'_> {
    Subject {
        facts: Some(facts),
        age: SECOND * 60,
        above: &[],
    }
}

fn under<'a>(facts: &'a Facts, above: &'a [Option<&'a Facts>]) -> Subject<'a> {
    Subject {
        facts: Some(facts),
        age: SECOND,
        above,
    }
}

fn answer(field: Field, facts: &Facts) -> Answer {
    one(field).test(&subject(facts))
}

#[test]
fn unknown_is_neither_yes_nor_no() {
    use Answer::{No, Unknown, Yes};
    let all = [Yes, No, Unknown];
    let and = all.map(|one| all.map(|other| one.and(other)));
    assert_eq!(
        and,
        [[Yes, No, Unknown], [No, No, No], [Unknown, No, Unknown]]
    );
    let or = all.map(|one| all.map(|other| one.or(other)));
    assert_eq!(
        or,
        [[Yes, Yes, Yes], [Yes, No, Unknown], [Yes, Unknown, Unknown]]
    );
    assert_eq!(all.map(Answer::negated), [No, Yes, Unknown]);
}

#[test]
fn each_field_compares_what_its_name_says() {
    let whole = |texts| patterns(Anchor::Whole, texts);
    let anywhere = |texts| patterns(Anchor::Anywhere, texts);
    let yes = [
        program("pytest"),
        Field::Program(globs(&["nose", "py*"])),
        Field::Exe(globs(&["python3.*"])),
        Field::Exe(globs(&["/usr/bin/*"])),
        Field::Name(globs(&["python?"])),
        Field::Arg(whole(&["nothing", "py.*"])),
        Field::Args(whole(&["-m", "--max.*"])),
        Field::Cmdline(anywhere(&["^python3 -m pytest --maxfail$"])),
        Field::User(vec![Uid(0), Uid(1000)]),
        Field::Group(vec![Gid(100)]),
        Field::Env(vec![("CI".to_owned(), globs(&["1", "true"]))]),
        Field::Cwd(path("/home/*/project")),
        Field::Tty(vec![PlaceGlob::None]),
        Field::Cgroup(globs(&["/user.slice/**"])),
        Field::Unit(globs(&["app-run-tests-*.scope"])),
        Field::Age { above: SECOND * 59 },
        not(program("pip")),
    ];
    let no = [
        program("python*"),
        Field::Exe(globs(&["pytest"])),
        Field::Exe(globs(&["/usr/*"])),
        Field::Name(globs(&["pytest"])),
        Field::Arg(whole(&["py"])),
        // What it is called by is no argument.
        Field::Arg(whole(&["python3"])),
        Field::Args(whole(&["-m", "--no"])),
        Field::Cmdline(anywhere(&["pytest$"])),
        Field::User(vec![Uid(0)]),
        Field::Group(vec![Gid(0)]),
        Field::Env(vec![
            ("CI".to_owned(), globs(&["true"])),
            ("UNSET".to_owned(), globs(&["*"])),
        ]),
        Field::Cwd(path("/home/*")),
        Field::Cwd(vec![PlaceGlob::None, PlaceGlob::Deleted]),
        Field::Tty(path("/dev/pts/*")),
        Field::Unit(globs(&["inner"])),
        Field::Container(globs(&["*"])),
        Field::Age { above: SECOND * 60 },
        Field::Parent(vec![one(program("*"))]),
        Field::Ancestor(vec![one(program("*"))]),
        not(program("pytest")),
    ];
    let facts = facts();
    for field in yes {
        assert_eq!(answer(field.clone(), &facts), Answer::Yes, "{field:?}");
        assert_eq!(one(field).first_failing(&subject(&facts)), None);
    }
    for field in no {
        assert_eq!(answer(field.clone(), &facts), Answer::No, "{field:?}");
        let reason = one(field).first_failing(&subject(&facts));
        assert!(matches!(reason, Some(Reason::Unmet(_))), "{reason:?}");
    }
}

#[test]
fn places_may_be_deleted_and_terminals_absent() {
    let mut facts = facts();
    let gone = Place {
        path: Text::from("/tmp/x"),
        deleted: true,
    };
    facts.cwd = Read::Known(gone.clone());
    facts.tty = Read::Known(Some(gone));
    assert_eq!(
        answer(Field::Cwd(vec![PlaceGlob::Deleted]), &facts),
        Answer::Yes
    );
    assert_eq!(answer(Field::Cwd(path("/tmp/*")), &facts), Answer::Yes);
    assert_eq!(
        answer(Field::Tty(vec![PlaceGlob::Deleted]), &facts),
        Answer::Yes
    );
    assert_eq!(
        answer(Field::Tty(vec![PlaceGlob::None]), &facts),
        Answer::No
    );
}

#[test]
fn what_could_not_be_read_is_unknown_even_turned_round() {
    fn spoil(facts: &mut Facts, how: usize) {
        fn read<T>(how: usize) -> Read<T> {
            [Read::Denied, Read::Gone, Read::Late, Read::NotAsked]
                .into_iter()
                .nth(how)
                .unwrap()
        }
        facts.exe = read(how);
        facts.args = read(how);
        facts.env = read(how);
        facts.owner = read(how);
        facts.group = read(how);
        facts.cwd = read(how);
        facts.tty = read(how);
        facts.cgroup = read(how);
        facts.container = read(how);
    }
    let fields = [
        program("python*"),
        Field::Exe(globs(&["*"])),
        Field::Arg(patterns(Anchor::Whole, &[".*"])),
        Field::Args(patterns(Anchor::Whole, &[".*"])),
        Field::Cmdline(patterns(Anchor::Anywhere, &[""])),
        Field::User(vec![Uid(0)]),
        Field::Group(vec![Gid(0)]),
        Field::Env(vec![("CI".to_owned(), globs(&["*"]))]),
        Field::Cwd(path("**")),
        Field::Tty(vec![PlaceGlob::None]),
        Field::Cgroup(globs(&["*"])),
        Field::Unit(globs(&["*"])),
        Field::Container(globs(&["*"])),
    ];
    for how in 0..4 {
        let mut facts = facts();
        spoil(&mut facts, how);
        for field in &fields {
            assert_eq!(answer(field.clone(), &facts), Answer::Unknown, "{field:?}");
            assert_eq!(
                answer(not(field.clone()), &facts),
                Answer::Unknown,
                "{field:?}"
            );
            let reason = one(field.clone()).first_failing(&subject(&facts));
            assert!(matches!(reason, Some(Reason::Missing(_))), "{reason:?}");
        }
    }
}

#[test]
fn a_field_that_says_no_settles_it_before_the_facts_are_there() {
    let pending = Subject {
        facts: None,
        age: SECOND,
        above: &[],
    };
    let young = Matcher {
        fields: vec![program("x"), Field::Age { above: SECOND * 9 }],
    };
    assert_eq!(young.test(&pending), Answer::No);
    assert_eq!(one(program("x")).test(&pending), Answer::Unknown);
    assert_eq!(one(not(program("x"))).test(&pending), Answer::Unknown);
    let reason = one(program("x")).first_failing(&pending).unwrap();
    assert_eq!(
        reason,
        Reason::Missing("its facts are not learnt yet".to_owned())
    );
}

#[test]
fn a_program_is_known_without_arguments_only_if_it_is_no_interpreter() {
    let mut facts = facts();
    facts.args = Read::Late;
    assert_eq!(answer(program("pytest"), &facts), Answer::Unknown);
    facts.exe = Read::Known(Place::existing("/usr/bin/busybox"));
    assert_eq!(answer(program("busybox"), &facts), Answer::Unknown);
    facts.exe = Read::Known(Place::existing("/usr/bin/cc1plus"));
    assert_eq!(answer(program("cc1plus"), &facts), Answer::Yes);
    // Another user's process: its arguments tell.
    facts.exe = Read::Denied;
    facts.args = Read::Known(texts(&["/usr/bin/python3", "-m", "pytest"]));
    assert_eq!(answer(program("pytest"), &facts), Answer::Yes);
    // It may be read later.
    facts.exe = Read::Late;
    assert_eq!(answer(program("pytest"), &facts), Answer::Unknown);
}

#[test]
fn another_pid_namespace_needs_a_container_field() {
    let mut facts = facts();
    let within = |pattern: &str| Matcher {
        fields: vec![program("pytest"), Field::Container(globs(&[pattern]))],
    };
    let plain = one(program("pytest"));
    facts.namespace = Read::Known(Namespace::Other);
    assert_eq!(plain.test(&subject(&facts)), Answer::No);
    assert_eq!(plain.holds(&subject(&facts)), Answer::Yes);
    assert!(
        plain
            .first_failing(&subject(&facts))
            .unwrap()
            .to_string()
            .contains("namespace")
    );
    // A container field deeper down opens nothing.
    let nested = Matcher {
        fields: vec![program("pytest"), not(Field::Container(globs(&["x"])))],
    };
    assert_eq!(nested.test(&subject(&facts)), Answer::No);
    facts.container = Read::Known(Some(Text::from("3f2a")));
    assert_eq!(within("3f*").test(&subject(&facts)), Answer::Yes);
    assert_eq!(within("4*").test(&subject(&facts)), Answer::No);

    // Not shown: ours, unless the control group says otherwise.
    facts.namespace = Read::Denied;
    assert_eq!(plain.test(&subject(&facts)), Answer::No);
    facts.container = Read::Known(None);
    assert_eq!(plain.test(&subject(&facts)), Answer::Yes);
    facts.namespace = Read::Late;
    assert_eq!(plain.test(&subject(&facts)), Answer::Unknown);
    assert_eq!(one(program("pip")).test(&subject(&facts)), Answer::No);
}

#[test]
fn processes_above_may_be_unknown() {
    let (own, mut make) = (facts(), facts());
    make.exe = Read::Known(Place::existing("/usr/bin/make"));
    let unknown_parent = [None, Some(&make)];
    let at = |above| under(&own, above);
    let parent = one(Field::Parent(vec![one(program("make"))]));
    let ancestor = one(Field::Ancestor(vec![one(program("make"))]));
    let stranger = one(Field::Ancestor(vec![one(program("ninja"))]));
    assert_eq!(parent.test(&at(&unknown_parent)), Answer::Unknown);
    assert_eq!(parent.test(&at(&unknown_parent[1..])), Answer::Yes);
    assert_eq!(ancestor.test(&at(&unknown_parent)), Answer::Yes);
    assert_eq!(stranger.test(&at(&unknown_parent)), Answer::Unknown);
    assert_eq!(stranger.test(&at(&unknown_parent[1..])), Answer::No);
    // The age of a process above is not known, so it neither matches nor fails to.
    let old = one(Field::Parent(vec![one(Field::Age { above: SECOND })]));
    assert_eq!(old.test(&at(&unknown_parent[1..])), Answer::Unknown);
    // A parent in a container is judged by its fields alone.
    let mut inside = make.clone();
    inside.namespace = Read::Known(Namespace::Other);
    assert_eq!(parent.test(&at(&[Some(&inside)])), Answer::Yes);
}

#[test]
fn units_are_found_below_their_own_groups_and_unescaped() {
    let unit = |path: &'static str| {
        unit(path.as_bytes()).map(|unit| String::from_utf8_lossy(&unit).into_owned())
    };
    assert_eq!(
        unit("/system.slice/ssh.service").as_deref(),
        Some("ssh.service")
    );
    assert_eq!(
        unit("/user.slice/user@1000.service/app.slice/x.scope/init").as_deref(),
        Some("x.scope")
    );
    assert_eq!(
        unit(r"/dev-disk\x2dby\x20id.service").as_deref(),
        Some("dev-disk-by id.service")
    );
    assert_eq!(unit(r"/a\x2.service").as_deref(), Some(r"a\x2.service"));
    assert_eq!(unit(r"/a\xzz\.service").as_deref(), Some(r"a\xzz\.service"));
    assert_eq!(unit("/"), None);
    assert_eq!(unit("/.service"), None);
}

#[test]
fn reasons_name_the_field_and_what_was_found() {
    let mut facts = facts();
    facts.args = Read::Known(texts(&[
        "python",
        "-m",
        "pip",
        "install",
        "--password",
        "hunter2",
    ]));
    facts.cwd = Read::Denied;
    facts.comm = Text::new(*b"x\x1b[2J\n");
    let cases = [
        (program("pytest"), "`program` is `pip`, not `pytest`"),
        (
            Field::Program(globs(&["a", "b"])),
            "`program` is `pip`, not `a` or `b`",
        ),
        (
            Field::Program(globs(&["a", "b", "c", "d", "e", "f"])),
            "`program` is `pip`, not `a`, `b`, `c`, `d` or 2 others",
        ),
        (
            Field::Name(globs(&["y"])),
            r"`name` is `x\u{1b}[2J\n`, not `y`",
        ),
        (
            Field::Cmdline(patterns(Anchor::Anywhere, &["pytest"])),
            "`cmdline` is `python -m pip install --password [redacted]`, not `pytest`",
        ),
        (
            Field::Arg(patterns(Anchor::Whole, &["-x"])),
            "`arg`: no argument is `-x`",
        ),
        (
            Field::Args(patterns(Anchor::Whole, &["-m", "-x"])),
            "`args`: no argument is `-x`",
        ),
        (Field::User(vec![Uid(0)]), "`user` is 1000, not 0"),
        (
            Field::Env(vec![("CI".to_owned(), globs(&["1"]))]),
            "`env`: CI is not `1`",
        ),
        (
            Field::Env(vec![("NO".to_owned(), globs(&["1"]))]),
            "`env`: NO is not set",
        ),
        (
            Field::Tty(path("/dev/pts/*")),
            "`tty` is none, not `/dev/pts/*`",
        ),
        (
            Field::Unit(globs(&["x"])),
            "`unit` is `app-run-tests-7.scope`, not `x`",
        ),
        (
            Field::Age { above: SECOND * 90 },
            "`age` is 1 min, not above 1 min 30 s",
        ),
        (not(program("p*")), "`not` rules it out: `program` is `pip`"),
        (Field::Parent(vec![one(program("x"))]), "it has no `parent`"),
        (Field::Cwd(path("/x")), "`cwd` could not be read"),
        (
            not(Field::Cwd(path("/x"))),
            "`not`: `cwd` could not be read",
        ),
    ];
    for (field, expected) in cases {
        let reason = one(field).first_failing(&subject(&facts)).unwrap();
        assert_eq!(reason.to_string(), expected);
    }
    // A no comes before an unknown.
    let both = Matcher {
        fields: vec![Field::Cwd(path("/x")), program("pytest")],
    };
    let reason = both.first_failing(&subject(&facts)).unwrap();
    assert_eq!(reason.to_string(), "`program` is `pip`, not `pytest`");
}

#[test]
fn volatility_is_that_of_every_field_inside() {
    let env = Field::Env(vec![("CI".to_owned(), globs(&["*"]))]);
    let fixed = Matcher {
        fields: vec![program("x"), not(env.clone())],
    };
    assert!(fixed.fixed_at_exec());
    assert_eq!(fixed.variables().into_iter().collect::<Vec<_>>(), ["CI"]);
    let drifting = one(not(Field::Cwd(path("/x"))));
    assert!(drifting.changes(Volatility::Drifts) && !drifting.fixed_at_exec());
    assert!(one(Field::Parent(vec![one(program("x"))])).changes(Volatility::ByEvent));
    let ripening = Matcher {
        fields: vec![
            Field::Age { above: SECOND * 60 },
            not(Field::Age { above: SECOND * 90 }),
        ],
    };
    assert!(ripening.changes(Volatility::Ripens));
    assert_eq!(ripening.ripens_after(Duration::ZERO), Some(SECOND * 60));
    assert_eq!(ripening.ripens_after(SECOND * 61), Some(SECOND * 90));
    assert_eq!(ripening.ripens_after(SECOND * 91), None);
    assert_eq!(fixed.ripens_after(Duration::ZERO), None);
}

#[test]
fn a_matcher_that_means_everything_does_not_narrow() {
    let anything = [
        program("*"),
        Field::Program(globs(&["x", "**"])),
        Field::Arg(patterns(Anchor::Whole, &[".*"])),
        Field::Cmdline(patterns(Anchor::Anywhere, &[""])),
        Field::Cwd(path("/**")),
        Field::Ancestor(vec![one(program("*"))]),
        not(program("x")),
        Field::Age { above: SECOND },
    ];
    for field in anything {
        assert!(!one(field.clone()).narrows(), "{field:?}");
    }
    let narrow = [
        program("x*"),
        Field::Args(patterns(Anchor::Whole, &[".*", "--server"])),
        Field::Cmdline(patterns(Anchor::Anywhere, &["x"])),
        Field::User(vec![Uid(7)]),
        Field::Container(globs(&["*"])),
        Field::Cwd(vec![PlaceGlob::Deleted]),
    ];
    for field in narrow {
        assert!(one(field.clone()).narrows(), "{field:?}");
    }
}

use std::time::Duration;

use super::*;
use crate::engine::facts::Place;
use crate::engine::matcher::Field;
use crate::engine::matcher::tests::facts;
use crate::engine::pattern::Glob;
use crate::engine::process::Mark;

/// `executable | arguments | boundary, protected, a shell if it has a terminal, or plain`
const PROCESSES: &str = "
/usr/lib/systemd/systemd             | /lib/systemd/systemd --user            | boundary
/usr/bin/login                       | login -- ann                           | boundary
/usr/sbin/sshd                       | sshd: ann@pts/0                        | boundary
/usr/lib/openssh/sshd-session        | sshd-session: ann [priv]               | boundary
/usr/sbin/dropbear                   | dropbear -R                            | boundary
/usr/sbin/cron                       | /usr/sbin/cron -f                      | boundary
/usr/bin/busybox                     | crond -f                               | boundary
/usr/sbin/atd                        | atd                                    | boundary
/usr/lib/xorg/Xorg                   | /usr/lib/xorg/Xorg :0                  | boundary
/usr/bin/Xwayland                    | /usr/bin/Xwayland :0                   | boundary
/usr/bin/gnome-shell                 | /usr/bin/gnome-shell                   | boundary
/usr/libexec/gnome-session-binary    | gnome-session-binary                   | boundary
/usr/bin/kwin_wayland                | kwin_wayland --xwayland                | boundary
/nix/store/a-sway/bin/.sway-wrapped  | sway                                   | boundary
/usr/libexec/gdm-session-worker      | gdm-session-worker                     | boundary
/usr/bin/dbus-daemon                 | dbus-daemon --session                  | boundary
/usr/bin/dbus-broker-launch          | dbus-broker-launch --scope user        | boundary
/usr/bin/tmux                        | tmux new -d                            | boundary
/usr/bin/screen-4.9.0                | SCREEN -dm                             | boundary
/usr/bin/zellij                      | zellij --server /run/x                 | boundary
/usr/bin/emacs-gtk                   | emacs --daemon=work                    | boundary
/usr/bin/emacs                       | /usr/bin/emacs --fg-daemon             | boundary
/usr/bin/gpg-agent                   | gpg-agent --supervised                 | boundary
/usr/bin/ssh-agent                   | ssh-agent -D                           | boundary
/usr/bin/dockerd                     | dockerd -H fd://                       | boundary
/usr/bin/containerd-shim-runc-v2     | containerd-shim-runc-v2 -id x          | boundary
/usr/bin/conmon                      | conmon --api-version 1                 | boundary
/usr/bin/podman                      | podman --log-level info system service | boundary
/opt/runner/bin/Runner.Listener      | Runner.Listener run                    | boundary
/usr/bin/dotnet                      | dotnet /opt/runner/bin/Runner.Worker.dll spawnclient 1 2 | boundary
/usr/bin/buildkite-agent             | buildkite-agent start                  | boundary
/usr/bin/java                        | java -jar agent.jar -url http://ci -secret x | boundary
/usr/bin/java                        | java -cp agent.jar hudson.remoting.jnlp.Main -headless | boundary
/usr/bin/java                        | java -jar /home/ci/remoting.jar        | boundary
/home/u/i/embedded_tools/jdk/bin/java | bazel(shop) -jar /x/A-server.jar --idle=1 | boundary
/usr/bin/java                        | java -Xmx2g -cp l.jar org.gradle.launcher.daemon.bootstrap.GradleDaemon 8.5 | boundary
/usr/bin/java                        | java -cp k.jar org.jetbrains.kotlin.daemon.KotlinCompileDaemon | boundary
/usr/bin/sccache                     | sccache                                | boundary
/usr/bin/watchman                    | watchman --foreground                  | boundary
/opt/sdk/platform-tools/adb          | adb -L tcp:5037 fork-server server     | boundary
/home/u/.buck/buck2-daemon           | buck2d[repo] --isolation-dir v2 daemon | boundary
/usr/bin/dotnet                      | dotnet /sdk/MSBuild.dll /nodemode:1    | boundary
/usr/bin/dotnet                      | dotnet exec /sdk/VBCSCompiler.dll      | boundary

/usr/libexec/gnome-terminal-server   | gnome-terminal-server                  | protected
/usr/bin/kitty                       | kitty                                  | protected
/usr/bin/wezterm-gui                 | wezterm-gui                            | protected
/usr/bin/python3.11                  | python3 /usr/bin/terminator            | protected
/usr/bin/bash                        | -bash                                  | shell
/usr/bin/bash                        | bash --rcfile /x/rc -i                 | shell
/usr/bin/zsh                         | zsh -i                                 | shell
/usr/bin/fish                        | fish -C init                           | shell
/usr/bin/busybox                     | sh                                     | shell
/usr/bin/python3.11                  | python3 /usr/bin/xonsh                 | shell

/usr/bin/bash                        | bash run.sh                            | plain
/usr/bin/bash                        | bash -lc make                          | plain
/usr/bin/bash                        | bash -c tmux                           | plain
/usr/bin/emacs                       | emacs notes.org                        | plain
/usr/bin/emacsclient                 | emacsclient --daemon                   | plain
/usr/bin/podman                      | podman run --rm system                 | plain
/usr/bin/runc                        | runc init                              | plain
/usr/bin/Xvfb                        | Xvfb :99                               | plain
/usr/bin/sccache                     | sccache rustc x.rs                     | plain
/opt/sdk/platform-tools/adb          | adb logcat                             | plain
/usr/bin/java                        | java -jar agent.jar                    | plain
/usr/bin/java                        | java -cp a.jar com.example.Main        | plain
/usr/bin/dotnet                      | dotnet /sdk/MSBuild.dll app.csproj     | plain
/usr/share/code/code                 | code --type=renderer                   | plain
/usr/bin/python3.11                  | python3 -m pytest tmux                 | plain
/usr/bin/python3.11                  | tmux: server                           | plain
/usr/bin/python3.11                  | systemd --user                         | plain
/home/u/evil                         | /usr/bin/tmux                          | plain
";

fn process(exe: &str, args: &str) -> Facts {
    let mut facts = facts();
    facts.exe = Read::Known(Place::existing(exe));
    facts.args = Read::Known(args.split(' ').map(Text::from).collect());
    facts
}

fn alone(facts: &Facts) -> Standing {
    among(facts, &Lists::default())
}

fn among(facts: &Facts, lists: &Lists<'_>) -> Standing {
    let subject = Subject {
        facts: Some(facts),
        age: Duration::ZERO,
        above: &[],
    };
    standing(&subject, lists)
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Plain => "plain",
        Standing::Protected(_) => "protected",
        Standing::Boundary(_) => "boundary",
    }
}

#[test]
fn the_built_in_lists() {
    let mut wrong = Vec::new();
    for line in PROCESSES.lines().filter(|line| line.contains('|')) {
        let [exe, args, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let mut facts = process(exe, args);
        // Nobody is spared for what they call themselves.
        facts.comm = Text::from("systemd");
        let without = alone(&facts);
        facts.tty = Read::Known(Some(Place::existing("/dev/pts/0")));
        let with = alone(&facts);
        let expected = match expected {
            "shell" => ("plain", "protected"),
            other => (other, other),
        };
        if (word(&without), word(&with)) != expected {
            wrong.push(format!(
                "{line}\n    without a terminal {without}; with one {with}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn neither_comm_nor_title_makes_a_kernel_thread() {
    let mut facts = process("/home/u/evil", "[kworker/0:9]");
    facts.comm = Text::from("kworker/0:9");
    assert_eq!(alone(&facts), Standing::Plain);
    facts.kernel_thread = true;
    assert_eq!(alone(&facts), Standing::Boundary(Reason::KernelThread));
}

#[test]
fn the_first_process_and_our_own_are_told_by_identity() {
    let mut facts = process("/usr/bin/cat", "cat");
    let key = ProcKey::new(facts.pid, Mark::Inode(7));
    let reused = ProcKey::new(facts.pid, Mark::Inode(8));
    let ours = [key];
    let lists = Lists {
        ours: &ours,
        ..Lists::default()
    };
    facts.key = Some(reused);
    assert_eq!(among(&facts, &lists), Standing::Plain);
    for known in [Some(key), None] {
        facts.key = known;
        assert_eq!(among(&facts, &lists), Standing::Boundary(Reason::Ours));
    }
    facts.pid = Pid::INIT;
    assert_eq!(alone(&facts), Standing::Boundary(Reason::Init));
}

#[test]
fn a_hidden_executable_is_taken_at_its_word_if_it_has_one_only() {
    let mut facts = process("", "/usr/bin/ssh-agent -D");
    facts.exe = Read::Denied;
    facts.comm = Text::from("ssh-agent");
    assert_eq!(word(&alone(&facts)), "boundary");
    facts.comm = Text::from("python3");
    assert_eq!(alone(&facts), Standing::Plain);
    // comm alone is nothing.
    facts.comm = Text::from("ssh-agent");
    facts.args = Read::Denied;
    assert_eq!(alone(&facts), Standing::Plain);
}

#[test]
fn what_is_not_known_yet_is_left_alone() {
    let mut facts = process("", "python3 -m pytest");
    facts.exe = Read::Late;
    assert_eq!(alone(&facts), Standing::Protected(Reason::Unread));
    let pending = Subject {
        facts: None,
        age: Duration::ZERO,
        above: &[],
    };
    let standing = standing(&pending, &Lists::default());
    assert_eq!(standing.for_member(), Standing::Plain);
}

#[test]
fn configured_entries_count_in_containers_and_when_undecided() {
    use crate::engine::facts::Namespace;
    let matcher = |field| Matcher {
        fields: vec![field],
    };
    let glob = |text| vec![Glob::new(text).unwrap()];
    let none = matcher(Field::Program(glob("nobody")));
    let postgres = matcher(Field::Program(glob("postgres")));
    let entries = [none.clone(), postgres];
    let cgroup = [none, matcher(Field::Cgroup(glob("/db.slice/**")))];
    let protect = Lists {
        protect: &entries,
        ..Lists::default()
    };
    let boundaries = Lists {
        boundaries: &entries,
        protect: &entries,
        ..Lists::default()
    };
    let mut facts = process("/usr/lib/postgresql/15/bin/postgres", "postgres -D /data");
    facts.namespace = Read::Known(Namespace::Other);
    let entry = |list| Reason::Configured { list, entry: 2 };
    assert_eq!(
        among(&facts, &protect),
        Standing::Protected(entry(List::Protect))
    );
    assert_eq!(
        among(&facts, &boundaries),
        Standing::Boundary(entry(List::Boundaries))
    );
    assert_eq!(
        among(&facts, &boundaries).to_string(),
        "boundary: entry 2 of `boundaries`"
    );

    facts.cgroup = Read::Denied;
    let undecided = Lists {
        protect: &cgroup,
        ..Lists::default()
    };
    let reason = Reason::Undecided {
        list: List::Protect,
        entry: 2,
    };
    let standing = among(&facts, &undecided);
    assert_eq!(standing, Standing::Protected(reason));
    assert_eq!(
        standing.clone().for_member(),
        standing,
        "what a person protects stays so in a judged tree"
    );
}

#[test]
fn a_member_can_leave_as_a_boundary_and_not_hide_as_a_shell() {
    let tmux = alone(&process("/usr/bin/tmux", "tmux"));
    assert_eq!(
        tmux.to_string(),
        "boundary: `tmux`, a terminal multiplexer (built in)"
    );
    assert_eq!(tmux.clone().for_member(), tmux);
    let kitty = alone(&process("/usr/bin/kitty", "kitty"));
    assert_eq!(
        kitty.to_string(),
        "protected: `kitty`, a terminal (built in)"
    );
    assert_eq!(kitty.for_member(), Standing::Plain);
}

#[test]
fn below_a_command_nothing_protects_itself_by_what_it_runs() {
    let builtin = |kind| Reason::Builtin {
        kind,
        name: Text::from("x"),
    };
    for kind in [
        Kind::Multiplexer,
        Kind::Bus,
        Kind::Login,
        Kind::Containers,
        Kind::Shell,
    ] {
        assert_eq!(
            Standing::Boundary(builtin(kind)).commanded(),
            Standing::Plain
        );
        assert_eq!(
            Standing::Protected(builtin(kind)).commanded(),
            Standing::Plain
        );
    }
    for reason in [
        Reason::Ours,
        Reason::Init,
        Reason::KernelThread,
        Reason::Started,
    ] {
        let boundary = Standing::Boundary(reason);
        assert_eq!(boundary.clone().commanded(), boundary);
    }
    let unread = Standing::Protected(Reason::Unread);
    assert_eq!(unread.clone().commanded(), unread);
}

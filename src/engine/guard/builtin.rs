//! The built-in lists, by the file name of the executable.

use crate::engine::facts::{Facts, Read};
use crate::engine::process::Text;
use crate::engine::program::{Family, Form, Running};

/// What a process is spared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Starts and keeps services: `systemd --user`.
    ServiceManager,
    /// Lets people in: at the machine, over the network.
    Login,
    /// Runs jobs at their time.
    Scheduler,
    /// Display servers, compositors and the sessions that hang from them.
    Display,
    /// Message buses.
    Bus,
    /// Terminal multiplexers.
    Multiplexer,
    /// Editors that stay.
    EditorDaemon,
    /// Keepers of keys.
    KeyAgent,
    /// Container and machine managers and their shims.
    Containers,
    /// Listeners and workers of CI runners.
    Runner,
    /// Build daemons that several builds share.
    BuildDaemon,
    /// Terminal emulators.
    Terminal,
    /// Shells with a person at them.
    Shell,
}

impl Kind {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ServiceManager => "a service manager",
            Self::Login => "a login",
            Self::Scheduler => "a scheduler",
            Self::Display => "a part of the desktop",
            Self::Bus => "a message bus",
            Self::Multiplexer => "a terminal multiplexer",
            Self::EditorDaemon => "an editor daemon",
            Self::KeyAgent => "a keeper of keys",
            Self::Containers => "a container manager",
            Self::Runner => "a CI runner",
            Self::BuildDaemon => "a shared build daemon",
            Self::Terminal => "a terminal",
            Self::Shell => "an interactive shell",
        }
    }
}

/// An entry of the built-in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Protected(Kind),
    Boundary(Kind),
}

/// The entry for a process, if there is one.
pub(super) fn entry(running: &Running<'_>, facts: &Facts) -> Option<Entry> {
    let args = facts.args.known().map_or(&[][..], Vec::as_slice);
    let boundary = match running.family {
        None => always(running.image).or_else(|| in_one_mode(running.image, args)),
        Some(family) => interpreted(family, running.name, args),
    };
    let protected = || {
        let terminal = is_terminal(running).then_some(Kind::Terminal);
        terminal.or_else(|| is_prompt(running, facts).then_some(Kind::Shell))
    };
    boundary
        .map(Entry::Boundary)
        .or_else(|| protected().map(Entry::Protected))
}

/// Executables that are boundaries whatever they do.
fn always(image: &[u8]) -> Option<Kind> {
    Some(match image {
        // Also in a container, and as launchd.
        b"systemd" | b"(sd-pam)" | b"launchd" => Kind::ServiceManager,
        b"login" | b"agetty" | b"getty" | b"mingetty" | b"sshd" | b"sshd-session"
        | b"sshd-auth" | b"dropbear" | b"mosh-server" | b"xrdp" | b"xrdp-sesman" | b"greetd"
        | b"ly" | b"loginwindow" => Kind::Login,
        b"cron" | b"crond" | b"anacron" | b"atd" | b"fcron" | b"dcron" | b"systemd-cron" => {
            Kind::Scheduler
        }
        // Not Xvfb and Xephyr: those belong to the test that starts them.
        b"X"
        | b"Xorg"
        | b"Xorg.bin"
        | b"Xwayland"
        | b"Xvnc"
        | b"Xtigervnc"
        | b"xinit"
        | b"WindowServer"
        | b"gnome-shell"
        | b"mutter"
        | b"kwin"
        | b"plasmashell"
        | b"ksmserver"
        | b"startplasma-x11"
        | b"startplasma-wayland"
        | b"sway"
        | b"weston"
        | b"Hyprland"
        | b"hyprland"
        | b"niri"
        | b"river"
        | b"labwc"
        | b"wayfire"
        | b"cage"
        | b"gamescope"
        | b"phoc"
        | b"cosmic-comp"
        | b"cosmic-session"
        | b"cinnamon"
        | b"xfce4-session"
        | b"xfwm4"
        | b"mate-session"
        | b"marco"
        | b"metacity"
        | b"lxqt-session"
        | b"lxsession"
        | b"budgie-wm"
        | b"enlightenment"
        | b"i3"
        | b"bspwm"
        | b"dwm"
        | b"openbox"
        | b"fluxbox"
        | b"awesome"
        | b"xmonad"
        | b"lightdm"
        | b"gdm"
        | b"gdm3"
        | b"sddm"
        | b"lxdm"
        | b"xdm" => Kind::Display,
        b"dbus-daemon" | b"dbus-broker" | b"dbus-broker-launch" => Kind::Bus,
        b"tmux"
        | b"screen"
        | b"zellij"
        | b"dtach"
        | b"abduco"
        | b"tmate"
        | b"shpool"
        | b"wezterm-mux-server" => Kind::Multiplexer,
        b"gpg-agent"
        | b"ssh-agent"
        | b"scdaemon"
        | b"keyboxd"
        | b"dirmngr"
        | b"gnome-keyring-daemon"
        | b"kwalletd5"
        | b"kwalletd6" => Kind::KeyAgent,
        // Not runc, crun and podman run: they belong to whoever started them, and go by themselves.
        b"dockerd" | b"containerd" | b"conmon" | b"conmonrs" | b"crio" | b"kubelet"
        | b"buildkitd" | b"rootlesskit" | b"lxd" | b"incusd" | b"libvirtd" | b"virtqemud" => {
            Kind::Containers
        }
        b"Runner.Listener" | b"Runner.Worker" | b"Agent.Listener" | b"Agent.Worker"
        | b"actions-runner" | b"gitlab-runner" | b"buildkite-agent" | b"act_runner"
        | b"forgejo-runner" | b"woodpecker-agent" | b"circleci-agent" | b"teamcity-agent" => {
            Kind::Runner
        }
        b"watchman" => Kind::BuildDaemon,
        image => return by_beginning(image),
    })
}

/// Families of executables.
fn by_beginning(image: &[u8]) -> Option<Kind> {
    const BEGINNINGS: [(&[u8], Kind); 10] = [
        (b"kwin_", Kind::Display),
        (b"gnome-session-", Kind::Display),
        (b"gdm-", Kind::Display),
        (b"sddm-", Kind::Display),
        (b"lightdm-", Kind::Display),
        (b"containerd-shim", Kind::Containers),
        (b"drone-runner-", Kind::Runner),
        // A version may follow.
        (b"tmux-", Kind::Multiplexer),
        (b"screen-", Kind::Multiplexer),
        (b"gitlab-runner-", Kind::Runner),
    ];
    if image == b"gnome-session" {
        return Some(Kind::Display);
    }
    BEGINNINGS
        .iter()
        .find(|(beginning, _)| image.starts_with(beginning))
        .map(|(_, kind)| *kind)
}

/// Executables of which one mode is a boundary, told by its arguments.
fn in_one_mode(image: &[u8], args: &[Text]) -> Option<Kind> {
    let given = |wanted: &[u8]| args.iter().skip(1).any(|arg| arg.bytes() == wanted);
    let begins = |wanted: &[u8]| {
        args.iter()
            .skip(1)
            .any(|arg| arg.bytes().starts_with(wanted))
    };
    let alone = args.iter().skip(1).all(|arg| arg.bytes().is_empty());
    let daemon = || {
        [&b"--daemon"[..], b"-daemon", b"--fg-daemon", b"--bg-daemon"]
            .iter()
            .any(|option| begins(option))
    };
    let (holds, kind) = match image {
        b"emacsclient" => (false, Kind::EditorDaemon),
        image if image.starts_with(b"emacs") => (daemon(), Kind::EditorDaemon),
        b"podman" => (given(b"system") && given(b"service"), Kind::Containers),
        // The server is started with nothing but a variable.
        b"sccache" => (alone || given(b"--start-server"), Kind::BuildDaemon),
        b"adb" => (
            given(b"fork-server") || given(b"nodaemon"),
            Kind::BuildDaemon,
        ),
        b"buck2" | b"buck2-daemon" => (given(b"daemon"), Kind::BuildDaemon),
        b"bazel" | b"bazel-real" => (given(b"--server"), Kind::BuildDaemon),
        b"turbo" => (given(b"daemon"), Kind::BuildDaemon),
        _ => return None,
    };
    holds.then_some(kind)
}

/// Boundaries that an interpreter runs, by the script or class.
fn interpreted(family: Family, name: &[u8], args: &[Text]) -> Option<Kind> {
    let given = |wanted: &[u8]| args.iter().skip(1).any(|arg| arg.bytes() == wanted);
    let begins = |wanted: &[u8]| {
        args.iter()
            .skip(1)
            .any(|arg| arg.bytes().starts_with(wanted))
    };
    let (holds, kind) = match (family, name) {
        // A-server.jar is bazel's; it calls itself bazel(workspace).
        (
            Family::Java,
            b"A-server" | b"GradleDaemon" | b"KotlinCompileDaemon" | b"NGServer" | b"BloopServer",
        ) => (true, Kind::BuildDaemon),
        (Family::Java, b"remoting" | b"slave" | b"swarm-client") => (true, Kind::Runner),
        // Anybody's jar may be called agent.jar: Jenkins' is told where to connect or to work.
        (Family::Java, b"agent") => (
            given(b"-jnlpUrl") || given(b"-url") || given(b"-workDir"),
            Kind::Runner,
        ),
        (Family::Java, b"Main" | b"Launcher") => (begins(b"hudson.remoting."), Kind::Runner),
        (Family::Java, b"AgentMain") => (begins(b"jetbrains.buildServer.agent."), Kind::Runner),
        (
            Family::Dotnet,
            b"Runner.Listener" | b"Runner.Worker" | b"Agent.Listener" | b"Agent.Worker",
        ) => (true, Kind::Runner),
        (Family::Dotnet, b"VBCSCompiler") => (true, Kind::BuildDaemon),
        // Nodes outlive their build and serve the next.
        (Family::Dotnet, b"MSBuild") => (
            begins(b"/nodemode:") || begins(b"-nodemode:"),
            Kind::BuildDaemon,
        ),
        (_, _) => return None,
    };
    holds.then_some(kind)
}

fn is_terminal(running: &Running<'_>) -> bool {
    match running.family {
        None => matches!(
            running.image,
            b"gnome-terminal-server"
                | b"gnome-terminal"
                | b"gnome-terminal-"
                | b"ptyxis"
                | b"ptyxis-agent"
                | b"kgx"
                | b"konsole"
                | b"yakuake"
                | b"xterm"
                | b"uxterm"
                | b"rxvt"
                | b"urxvt"
                | b"urxvtd"
                | b"st"
                | b"alacritty"
                | b"kitty"
                | b"wezterm"
                | b"wezterm-gui"
                | b"foot"
                | b"footclient"
                | b"ghostty"
                | b"xfce4-terminal"
                | b"mate-terminal"
                | b"lxterminal"
                | b"qterminal"
                | b"tilix"
                | b"tilda"
                | b"terminology"
                | b"deepin-terminal"
                | b"cool-retro-term"
                | b"cosmic-term"
                | b"contour"
                | b"rio"
                | b"Terminal"
                | b"iTerm2"
        ),
        Some(Family::Python) => matches!(running.name, b"terminator" | b"guake"),
        Some(
            Family::Node
            | Family::Deno
            | Family::Bun
            | Family::Ruby
            | Family::Perl
            | Family::Php
            | Family::Shell
            | Family::Java
            | Family::Dotnet,
        ) => false,
    }
}

/// A shell that runs neither script nor command and has, or may have, a terminal.
fn is_prompt(running: &Running<'_>, facts: &Facts) -> bool {
    let shell = match (running.family, running.form) {
        (Some(Family::Shell), Form::Bare) => true,
        (Some(Family::Python), Form::Script) => running.name == b"xonsh",
        (_, Form::Native | Form::Bare | Form::Inline | Form::Script) => false,
    };
    // Arguments that could not be read may name a script, or not.
    shell
        && match &facts.tty {
            Read::Known(tty) => tty.is_some(),
            Read::Denied | Read::Gone | Read::Late | Read::NotAsked => true,
        }
}

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

/// Executables that are boundaries whatever they do; a `*` at the end stands for anything.
///
/// Not listed on purpose: Xvfb and Xephyr, which belong to the test that starts them; runc, crun and `podman run`, which
/// belong to whoever started them and go by themselves; editors, whose terminals are a matter of their own.
const BOUNDARIES: [(Kind, &str); 10] = [
    // Also in a container, and what it is called on macOS.
    (Kind::ServiceManager, "systemd (sd-pam) launchd"),
    (
        Kind::Login,
        "login agetty getty mingetty sshd sshd-session sshd-auth dropbear mosh-server xrdp xrdp-sesman greetd ly \
         loginwindow",
    ),
    (
        Kind::Scheduler,
        "cron crond anacron atd fcron dcron systemd-cron",
    ),
    (
        Kind::Display,
        "X Xorg Xorg.bin Xwayland Xvnc Xtigervnc xinit WindowServer gnome-shell gnome-session gnome-session-* mutter \
         kwin kwin_* plasmashell ksmserver startplasma-x11 startplasma-wayland sway weston Hyprland hyprland niri river \
         labwc wayfire cage gamescope phoc cosmic-comp cosmic-session cinnamon cinnamon-session xfce4-session xfwm4 \
         mate-session marco metacity lxqt-session lxsession budgie-wm enlightenment i3 bspwm dwm openbox fluxbox \
         awesome xmonad lightdm lightdm-* gdm gdm3 gdm-* sddm sddm-* lxdm xdm",
    ),
    (Kind::Bus, "dbus-daemon dbus-broker dbus-broker-launch"),
    // Some systems put a version behind the name.
    (
        Kind::Multiplexer,
        "tmux tmux-* screen screen-* zellij dtach abduco tmate shpool wezterm-mux-server",
    ),
    (
        Kind::KeyAgent,
        "gpg-agent ssh-agent scdaemon keyboxd dirmngr gnome-keyring-daemon kwalletd5 kwalletd6",
    ),
    (
        Kind::Containers,
        "dockerd containerd containerd-shim* conmon conmonrs crio kubelet buildkitd rootlesskit lxd incusd libvirtd \
         virtqemud",
    ),
    (
        Kind::Runner,
        "Runner.Listener Runner.Worker Agent.Listener Agent.Worker actions-runner gitlab-runner gitlab-runner-* \
         buildkite-agent act_runner forgejo-runner woodpecker-agent drone-runner-* circleci-agent",
    ),
    (Kind::BuildDaemon, "watchman"),
];

/// Terminal emulators.
const TERMINALS: &str = "gnome-terminal-server gnome-terminal ptyxis ptyxis-agent kgx konsole yakuake \
    xterm uxterm rxvt urxvt urxvtd st alacritty kitty wezterm wezterm-gui foot footclient ghostty xfce4-terminal \
    mate-terminal lxterminal qterminal tilix tilda terminology deepin-terminal cool-retro-term cosmic-term contour rio \
    Terminal iTerm2";

fn always(image: &[u8]) -> Option<Kind> {
    let (kind, _) = BOUNDARIES
        .iter()
        .find(|(_, names)| names_one(names, image))?;
    Some(*kind)
}

fn names_one(names: &str, image: &[u8]) -> bool {
    names
        .split_ascii_whitespace()
        .any(|name| match name.strip_suffix('*') {
            Some(beginning) => image.starts_with(beginning.as_bytes()),
            None => image == name.as_bytes(),
        })
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
        b"buck2" | b"buck2-daemon" | b"turbo" => (given(b"daemon"), Kind::BuildDaemon),
        b"bazel" | b"bazel-real" => (given(b"--server"), Kind::BuildDaemon),
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
        )
        | (Family::Dotnet, b"VBCSCompiler") => (true, Kind::BuildDaemon),
        // Nodes outlive their build and serve the next.
        (Family::Dotnet, b"MSBuild") => (
            begins(b"/nodemode:") || begins(b"-nodemode:"),
            Kind::BuildDaemon,
        ),
        (Family::Java, b"remoting" | b"slave" | b"swarm-client")
        | (
            Family::Dotnet,
            b"Runner.Listener" | b"Runner.Worker" | b"Agent.Listener" | b"Agent.Worker",
        ) => (true, Kind::Runner),
        // Anybody's jar may be called agent.jar: Jenkins' is told where to connect or to work.
        (Family::Java, b"agent") => (
            given(b"-jnlpUrl") || given(b"-url") || given(b"-workDir"),
            Kind::Runner,
        ),
        (Family::Java, b"Main" | b"Launcher") => (begins(b"hudson.remoting."), Kind::Runner),
        (Family::Java, b"AgentMain") => (begins(b"jetbrains.buildServer.agent."), Kind::Runner),
        (_, _) => return None,
    };
    holds.then_some(kind)
}

fn is_terminal(running: &Running<'_>) -> bool {
    match running.family {
        None => names_one(TERMINALS, running.image),
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

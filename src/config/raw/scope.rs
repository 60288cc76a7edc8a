//! `scope`: what is summed and ended.

use crate::config::diagnostic::quoted;
use crate::config::reader::Reader;
use crate::config::source::Span;
use crate::config::yaml::{Node, Value};
use crate::engine::rule::Scope;

/// What tells jobs apart, for whoever named something that does not.
const JOBS: &str = "what tells jobs apart: RUNNER_TRACKING_ID (GitHub), CI_JOB_ID (GitLab), BUILD_TAG (Jenkins), \
                    BUILDKITE_JOB_ID, CIRCLE_WORKFLOW_JOB_ID, or a variable that your launcher sets to something new \
                    each time";

/// What tells jobs apart though its name begins like others that do not.
const NOT_SHARED: [&str; 1] = ["RUNNER_TRACKING_ID"];

/// The number of a run, a build or a commit: jobs that run side by side may have the same.
const SHARED: [&str; 19] = [
    "GITHUB_RUN_ID",
    "GITHUB_RUN_NUMBER",
    "GITHUB_RUN_ATTEMPT",
    "GITHUB_JOB",
    "GITHUB_SHA",
    "GITHUB_REF*",
    "GITHUB_HEAD_REF",
    "GITHUB_BASE_REF",
    "BUILD_ID",
    "BUILD_NUMBER",
    "BUILD_DISPLAY_NAME",
    "BUILD_BUILDID",
    "BUILD_BUILDNUMBER",
    "CI_PIPELINE_*",
    "CI_COMMIT_*",
    "CIRCLE_WORKFLOW_ID",
    "CIRCLE_BUILD_NUM",
    "BUILDKITE_BUILD_*",
    "GIT_COMMIT",
];

/// Set for everybody, or for all that a person does in a login.
const EVERYBODYS: [&str; 47] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "USERNAME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TERM",
    "TERM_*",
    "COLORTERM",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "MAIL",
    "HOSTNAME",
    "HOSTTYPE",
    "OSTYPE",
    "LS_COLORS",
    "DISPLAY",
    "WAYLAND_*",
    "XAUTHORITY",
    "XDG_*",
    "DBUS_*",
    "SSH_*",
    "GPG_*",
    "SUDO_*",
    "DESKTOP_SESSION",
    "GNOME_*",
    "KDE_*",
    "GDMSESSION",
    "SESSION_MANAGER",
    "WINDOWID",
    "VTE_*",
    "TMUX*",
    "STY",
    "MANAGERPID",
    "LD_*",
];

/// Set by the service manager: of a user's own manager it is the same for the whole login.
const SERVICES: [&str; 8] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_*",
    "NOTIFY_SOCKET",
    "LISTEN_*",
    "MEMORY_PRESSURE_*",
    "WATCHDOG_*",
    "CREDENTIALS_DIRECTORY",
];

/// The same in every job, or in all that a runner does.
const FLAGS: [&str; 30] = [
    "CI",
    "CONTINUOUS_INTEGRATION",
    "GITHUB_ACTIONS",
    "GITHUB_REPOSITORY",
    "GITHUB_WORKSPACE",
    "GITHUB_ACTOR",
    "GITHUB_WORKFLOW",
    "RUNNER_*",
    "GITLAB_CI",
    "CI_SERVER*",
    "CI_RUNNER_*",
    "CI_PROJECT_*",
    "TRAVIS",
    "CIRCLECI",
    "BUILDKITE",
    "BUILDKITE_AGENT_*",
    "DRONE",
    "TF_BUILD",
    "APPVEYOR",
    "WOODPECKER",
    "TEAMCITY_VERSION",
    "JENKINS_*",
    "HUDSON_*",
    "JOB_NAME",
    "JOB_BASE_NAME",
    "NODE_NAME",
    "NODE_LABELS",
    "NODE_ENV",
    "EXECUTOR_NUMBER",
    "WORKSPACE",
];

/// Decodes a scope.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Scope> {
    if let Value::Text(text) = &node.value {
        if let Some(name) = text.strip_prefix("env:") {
            return env(name, node.span, reader);
        }
        if text == "env" {
            let message = "a scope without a variable";
            reader.refuse_with_help(node.span, message, "expected `env:NAME`", JOBS);
            return None;
        }
    }
    let words = [
        ("tree", Scope::Tree),
        ("process", Scope::Process),
        ("cgroup", Scope::Cgroup),
    ];
    reader.choice(node, "a scope", &words)
}

fn env(name: &str, span: Span, reader: &mut Reader<'_>) -> Option<Scope> {
    const LONGEST: usize = 128;
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let sound = !name.is_empty()
        && name.len() <= LONGEST
        && name.chars().all(letter)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !sound {
        let message = "not the name of a variable";
        reader.refuse_with_help(span, message, "expected `env:NAME`", JOBS);
        return None;
    }
    let why = if NOT_SHARED.contains(&name) {
        return Some(Scope::Env(name.into()));
    } else if is_one_of(name, &SHARED) {
        "may be the same in two jobs that run side by side"
    } else if is_one_of(name, &EVERYBODYS) {
        "is the same in all that a person does: their whole login would be one job"
    } else if is_one_of(name, &SERVICES) {
        "is set by the service manager, for a whole login too"
    } else if is_one_of(name, &FLAGS) {
        "is the same in every job, or in all that a runner does"
    } else {
        return Some(Scope::Env(name.into()));
    };
    let message = format!("{} {why}", quoted(name));
    reader.refuse_with_help(span, message, "tells no job from another", JOBS);
    None
}

/// Whether a list has a name; a `*` at the end stands for anything.
fn is_one_of(name: &str, list: &[&str]) -> bool {
    // A shell's variables differ in case; a slip of the hand does not make another login.
    let name = name.to_ascii_uppercase();
    list.iter().any(|one| match one.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *one,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_a_job_is_not_refused() {
        let jobs = JOBS.split([' ', ',', '(', ')']);
        for name in jobs.filter(|word| word.contains('_')) {
            for list in [&EVERYBODYS[..], &SERVICES, &FLAGS, &SHARED] {
                let apart = NOT_SHARED.contains(&name) || !is_one_of(name, list);
                assert!(apart, "{name}");
            }
        }
        for (name, list) in [
            ("LC_ALL", &EVERYBODYS[..]),
            ("display", &EVERYBODYS),
            ("XDG_SESSION_ID", &EVERYBODYS),
            ("INVOCATION_ID", &SERVICES),
            ("CI", &FLAGS),
            ("GITHUB_RUN_ID", &SHARED),
            ("BUILD_ID", &SHARED),
        ] {
            assert!(is_one_of(name, list), "{name}");
        }
    }
}

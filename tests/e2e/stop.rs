//! Managers that are asked to stop what a tree lives in: our side of it, with clients that write down what they are asked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::case::{Case, rules};
use super::daemon::Daemon;
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::report::{Tier, cannot_show};
use super::stage::root;
use super::wait::wait_until;

in_both_tiers!(the_manager_of_a_service_is_asked);
in_both_tiers!(with_somebody_else_in_it_nobody_is_asked);
in_both_tiers!(what_others_need_is_not_stopped);

/// How many services were made.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A service of our own making: a control group; removed with it.
struct Service(PathBuf);

impl Service {
    fn new() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = text.lines().find(|line| line.contains(" - cgroup2 "))?;
        let mount = mount.split(' ').nth(4)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nightly-{}-{count}.service", std::process::id());
        let folder = PathBuf::from(mount).join(name);
        fs::create_dir(&folder).ok()?;
        Some(Self(folder))
    }

    fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }

    fn takes(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    fn is_empty(&self) -> bool {
        let members = fs::read_to_string(self.0.join("cgroup.procs"));
        members.is_ok_and(|members| members.is_empty())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        wait_until("everybody to be gone", || self.is_empty());
        fs::remove_dir(&self.0).unwrap();
    }
}

/// A client that tells who needs the service; all else that it is asked it writes down, and does.
fn client(case: &Case, service: &Service, needed_by: &str) -> PathBuf {
    let folder = case.path("clients");
    fs::create_dir(&folder).unwrap();
    let script = folder.join("systemctl");
    let (asked, procs) = (case.path("asked"), service.0.join("cgroup.procs"));
    // Written by another: a child that another test forks would keep the file open for writing.
    let text = format!(
        "#!/bin/sh\n\
        if [ \"$2\" = show ]; then\n\
        echo \"$@\" > {}\n\
        printf 'RequiredBy={needed_by}\\nBoundBy=\\nConsistsOf=\\nPropagatesStopTo=\\n'\n\
        exit 0\n\
        fi\n\
        echo \"$@\" >> {}\nenv >> {}\nfor pid in $(cat {}); do kill -KILL $pid; done\n",
        case.path("asked-first").display(),
        asked.display(),
        case.path("environment").display(),
        procs.display(),
    );
    let plain = case.path("client");
    fs::write(&plain, text).unwrap();
    super::stage::copy(&plain, &script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn scene(tier: Tier, what: &str, needed_by: &str) -> Option<(Case, Service, Daemon, Started)> {
    let service = if root() { Service::new() } else { None };
    let Some(service) = service else {
        cannot_show(
            what,
            "only root makes control groups, where there is a hierarchy",
        );
        return None;
    };
    let mut case = Case::new("stop", tier);
    let program = case.program("stop");
    let clients = client(&case, &service, needed_by);
    let rules = rules(&program).replace("[ nudge,", "[ nudge, { after: 500ms, stop: unit },");
    let watch = case.watch().rules(&rules).arg("--clients").arg(clients);
    let daemon = watch.start();
    let villain = case.start(Order::bystander(&program, "crowd").burn(1500));
    service.takes(villain.pid);
    Some((case, service, daemon, villain))
}

fn the_manager_of_a_service_is_asked(tier: Tier) {
    let Some((case, service, daemon, villain)) = scene(tier, "a service that is stopped", "")
    else {
        return;
    };
    let run = daemon.log.about(villain.pid, "run");
    assert_eq!(run.says["stop"], service.name(), "{}", run.text);
    let ran = daemon.log.about(villain.pid, "ran");
    assert_eq!(
        (&ran.says["came"], &ran.says["status"]),
        (&"exited".into(), &0.into()),
        "{}",
        ran.text
    );
    let first = fs::read_to_string(case.path("asked-first")).unwrap();
    let words = format!(
        "--system show -p RequiredBy,BoundBy,ConsistsOf,PropagatesStopTo -- {}\n",
        service.name()
    );
    assert_eq!(first, words);
    let asked = fs::read_to_string(case.path("asked")).unwrap();
    let words = format!(
        "--system --no-ask-password --no-block stop -- {}\n",
        service.name()
    );
    assert_eq!(asked, words);
    let environment = fs::read_to_string(case.path("environment")).unwrap();
    assert!(!environment.contains("BEADLE_"), "{environment}");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    // The ladder did not have to go on.
    assert_eq!(daemon.log.all("signal").len(), 0, "{}", daemon.log.text());
    drop(villain);
}

fn with_somebody_else_in_it_nobody_is_asked(tier: Tier) {
    let Some((mut case, service, daemon, villain)) = scene(tier, "a service with others in it", "")
    else {
        return;
    };
    let program = case.program("other");
    let other = case.start(Order::canary(&program));
    service.takes(other.pid);
    let withheld = daemon.log.about(villain.pid, "withheld");
    let because = withheld.says["rests"]["because"].as_str().unwrap();
    assert!(because.contains(&format!("[{}]", other.pid)), "{because}");
    daemon.log.signal(villain.pid, "TERM");
    daemon.log.signal(villain.pid, "KILL");
    wait_until("its end", || !villain.lives());
    assert!(other.lives());
    assert!(!case.path("asked").exists());
    assert_eq!(daemon.log.all("run").len(), 0);
    drop((villain, other));
}

fn what_others_need_is_not_stopped(tier: Tier) {
    let what = "a service that others need";
    let Some((case, service, daemon, villain)) = scene(tier, what, "shop.service") else {
        return;
    };
    let ran = daemon.log.about(villain.pid, "ran");
    assert_eq!(ran.says["came"], "not_started", "{}", ran.text);
    let text = ran.says["text"].as_str().unwrap();
    assert!(text.contains("needed by shop.service"), "{text}");
    assert!(!case.path("asked").exists());
    // The ladder goes on.
    daemon.log.signal(villain.pid, "TERM");
    daemon.log.signal(villain.pid, "KILL");
    wait_until("its end", || !villain.lives());
    assert!(service.is_empty());
    drop(villain);
}

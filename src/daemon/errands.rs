//! Errands as programs: what is run, and all that it is told.
//!
//! # What a program is told
//! On standard input, one line of JSON: the `run` entry that the JSON log has of it, with the rule, the root, the figures and the
//! limits. By environment, for scripts that need no more: `BEADLE_INCIDENT`, `BEADLE_RULE`, `BEADLE_PID`, `BEADLE_UNIT`,
//! `BEADLE_PROGRAM`, `BEADLE_OWNER`, and `BEADLE_STAGE` or `BEADLE_CLOSING`. Text that a process chose is escaped as everywhere,
//! and cut.

use jiff::tz::TimeZone;

use crate::cli::render::Entry;
use crate::config;
use crate::control::wire::Event;
use crate::engine::decision::Input;
use crate::engine::errand::{Came, Errand, Ran, Task};
use crate::engine::process::Uid;
use crate::engine::steward::Steward;
use crate::engine::units::Mono;
use crate::sys::clients::{self, Clients};
use crate::sys::clock::Clock;
use crate::sys::executor::{Executor, Job, Question};
use crate::sys::users::Users;

use super::inbox::{Mail, Post};

/// The longest value of a variable, in characters.
const LONGEST: usize = 1024;

/// Who runs errands.
#[derive(Debug)]
pub(super) struct Errands {
    executor: Executor,
    clients: Clients,
    /// Us.
    user: Uid,
    users: Users,
    post: Post,
}

impl Errands {
    /// One who has nothing to do yet.
    pub(super) fn new(clients: Clients, user: Uid, post: &Post) -> Self {
        let back = post.clone();
        let deliver = move |ran| {
            // The loop is gone: nobody needs to know.
            let _ = back.send(Mail::Input(Input::Ran(ran)));
        };
        Self {
            executor: Executor::new(deliver),
            clients,
            user,
            users: Users::default(),
            post: post.clone(),
        }
    }

    /// Has an errand done. Returns at once; what came of it comes as mail.
    pub(super) fn run(&self, errand: &Errand, now: Mono) {
        let wall = Clock.wall().to_zoned(TimeZone::system());
        let entry = Entry::notice(&errand.begun(now), &wall);
        let mut job = Job {
            errand: errand.id,
            program: std::path::PathBuf::new(),
            name: std::path::PathBuf::new(),
            first: None,
            args: Vec::new(),
            environment: environment(&entry),
            input: Vec::new(),
            timeout: errand.task.timeout(),
            ids: None,
        };
        let ready = match &errand.task {
            Task::Exec(command) => {
                job.name = (&*command.program).into();
                job.args.clone_from(&command.args);
                job.input = (entry.json() + "\n").into_bytes();
                // Since the rules were read somebody may have put something else there.
                config::runnable(&job.name, self.user.0).map(|program| job.program = program)
            }
            Task::Stop(steward) => self.ask(steward, &mut job),
        };
        match ready {
            Ok(()) => self.executor.run(job),
            Err(why) => {
                let ran = Ran {
                    errand: errand.id,
                    came: Came::Unstarted(why.as_str().into()),
                    at: now,
                    took: std::time::Duration::ZERO,
                };
                // The loop is what calls us.
                let _ = self.post.send(Mail::Input(Input::Ran(ran)));
            }
        }
    }

    /// The client that asks a manager, as whom the manager is.
    fn ask(&self, steward: &Steward, job: &mut Job) -> Result<(), String> {
        let (client, args) = self
            .clients
            .asks(steward)
            .ok_or("its client is not here any more")?;
        client.clone_into(&mut job.name);
        job.program = config::runnable(client, self.user.0)?;
        job.args = args;
        job.first = clients::asks_first(steward).map(|args| Question {
            args,
            heeds: clients::nobody_needs_it,
        });
        job.environment = Vec::new();
        let Some(Uid(uid)) = steward.user() else {
            return Ok(());
        };
        let group = self.users.group_of(uid).ok_or("nobody knows its user")?;
        let home = self.users.home_of(uid).ok_or("nobody knows its user")?;
        job.environment = vec![
            ("XDG_RUNTIME_DIR", format!("/run/user/{uid}")),
            ("HOME", home.display().to_string()),
        ];
        // Whoever is no root is that user already, or would not be asked.
        job.ids = (self.user == Uid::ROOT && Uid(uid) != Uid::ROOT).then_some((uid, group));
        Ok(())
    }
}

/// What a program is told by its environment: few and plain, all of it also in the JSON.
fn environment(entry: &Entry) -> Vec<(&'static str, String)> {
    let (Some(case), Event::Run { stage, closing, .. }) = (&entry.case, &entry.event) else {
        return Vec::new();
    };
    let subject = &case.subject;
    let all = [
        ("BEADLE_INCIDENT", Some(case.incident.to_string())),
        ("BEADLE_RULE", Some(subject.rule.to_string())),
        ("BEADLE_PID", Some(subject.root.to_string())),
        (
            "BEADLE_UNIT",
            Some(format!("{} {}", subject.scope, subject.key)),
        ),
        ("BEADLE_PROGRAM", Some(subject.program.to_string())),
        ("BEADLE_OWNER", subject.owner.map(|owner| owner.to_string())),
        ("BEADLE_STAGE", stage.map(|stage| stage.to_string())),
        ("BEADLE_CLOSING", closing.as_ref().map(ToString::to_string)),
    ];
    let set = all.into_iter();
    let set = set.filter_map(|(name, value)| Some((name, value?)));
    set.map(|(name, value)| (name, value.chars().take(LONGEST).collect()))
        .collect()
}

//! Whether a notification arrives, and its answer comes back: one is shown, truly.

use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Finding, Notified, Surroundings};
use crate::cli::complain;
use crate::control::wire::Safe;
use crate::engine::process::Uid;
use crate::sys::message::{Button, Card};
use crate::sys::nudger::desktop::{Own, Server, Trial, logged_in, try_out};
use crate::sys::users::Users;

/// How long a person has to press the button.
const PATIENCE: Duration = Duration::from_secs(20);

/// One finding for each user who is shown a notification. An empty name means everybody we may show one to.
pub(super) fn findings(user: &str, around: &Surroundings) -> Result<Vec<Finding>, Failure> {
    let own = Own {
        user: around.uid,
        address: around.bus.clone(),
        runtime: around.runtime.clone(),
        program: PathBuf::from("/proc/self/exe"),
    };
    let mut whom = whom(user, around.uid)?;
    whom.sort_unstable();
    if whom.is_empty() {
        let found = "nobody is logged in here whom a notification could be shown to";
        let lost = "nudges go to the terminals of trees";
        return Ok(vec![Finding::less("desktop", found, lost)]);
    }
    Ok(whom.into_iter().map(|uid| one(&own, uid)).collect())
}

fn whom(user: &str, me: Uid) -> Result<Vec<Uid>, Failure> {
    if user.is_empty() {
        return Ok(match me {
            Uid::ROOT => logged_in().collect(),
            Uid(_) => vec![me],
        });
    }
    let users = Users::default();
    let number = user.parse().ok().or_else(|| users.user(user));
    let Some(uid) = number.map(Uid) else {
        let user = Safe::word(user);
        return Err(Failure::new(format!("there is no user {user} here")));
    };
    if me != Uid::ROOT && uid != me {
        let text = "only root shows notifications to others: try it with sudo";
        return Err(Failure::new(text));
    }
    Ok(vec![uid])
}

fn one(own: &Own, user: Uid) -> Finding {
    let part = "desktop";
    let shown = |server: &Server| {
        let (uid, seconds) = (user.0, PATIENCE.as_secs());
        let server = Safe::word(&server.to_string());
        complain(&format!(
            "beadle: shown to user {uid} by {server}; “I see it” is waited for, {seconds} s at most\n"
        ));
    };
    match try_out(own, user, &card(), PATIENCE, shown) {
        Ok(Some(trial)) => seen(user, &trial),
        Ok(None) => {
            let found = format!("user {} has no session with a message bus", user.0);
            Finding::less(part, found, "nudges go to the terminals of trees")
        }
        Err(why) => Finding::bad(part, format!("user {}: {why}", user.0)).remedy(
            "start a notification server in that session: dunst, mako, xfce4-notifyd; most desktops bring their own",
        ),
    }
}

fn card() -> Card {
    Card {
        title: "beadle can reach you here".to_owned(),
        body: "This is a trial. When a process of yours runs away, you are told like this."
            .to_owned(),
        buttons: vec![Button {
            reply: None,
            label: "I see it".to_owned(),
            command: "nothing; it was shown".to_owned(),
        }],
        urgent: true,
        ..Card::default()
    }
}

fn seen(Uid(user): Uid, trial: &Trial) -> Finding {
    let part = "desktop";
    let (server, id) = (&trial.server, trial.id);
    let found = format!("user {user}: {server} took a notification as its number {id}");
    let finding = match (server.buttons, trial.answered) {
        (_, Some(true)) => Finding::well(part, format!("{found}, and its button was pressed")),
        (true, Some(false)) => Finding::well(
            part,
            format!("{found}, and somebody took it away unanswered"),
        ),
        (true, None) => {
            let seconds = PATIENCE.as_secs();
            let found = format!("{found}; nobody pressed its button in {seconds} s");
            Finding::less(part, found, "whether answers come back is not known")
        }
        (false, Some(false) | None) => {
            let lost = "it shows no buttons: notifications say what to type";
            Finding::less(part, found, lost)
        }
    };
    Finding {
        notified: Some(Notified {
            user,
            id,
            server: Safe::word(&server.name),
            version: Safe::word(&server.version),
            abilities: server.abilities.iter().map(|it| Safe::word(it)).collect(),
            answered: trial.answered == Some(true),
        }),
        ..finding
    }
}

//! What must be there before the watch begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::config;
use crate::control::protocol::Question;
use crate::control::server::{self, Ask};
use crate::control::socket::{self, Access, Claim};
use crate::engine::account::Accounting;
use crate::engine::decision::{Hearing, Input};
use crate::engine::elder::Rank;
use crate::engine::heartbeat::Hears;
use crate::engine::judge::{Judge, Settings};
use crate::engine::process::{Pid, ProcKey, StartTicks, Uid};
use crate::engine::steward::Managers;
use crate::engine::warrant::Spare;
use crate::sys::accounting::cgroup::Groups;
use crate::sys::boot;
use crate::sys::clients::Clients;
use crate::sys::clock::Clock;
use crate::sys::heap;
use crate::sys::heartbeats;
use crate::sys::nudger::desktop::Own;
use crate::sys::ourselves;
use crate::sys::pidfd::PidFd;
use crate::sys::procfs::Procfs;
use crate::sys::signaller::Signaller;
use crate::sys::users::Users;

use super::consult::Elder;
use super::ear::Ear;
use super::errands::Errands;
use super::faults::Part;
use super::historian::Historian;
use super::inbox::{Inbox, Mail, Post};
use super::keeper::{Keeper, Opened, Places};
use super::options::{AccountingChoice, Options, StartError, TierChoice};
use super::pursue::Pursuer;
use super::rules::Rules;
use super::service::Service;
use super::shells::Shells;
use super::unfinished::Unfinished;
use super::voice::Voice;
use super::watch::{Records, Standing, Watch, deafness};

/// Watches until told to stop.
pub fn watch(options: &Options) -> Result<(), StartError> {
    heap::set_up();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Loop { source })?;
    runtime.block_on(async {
        let (watch, inbox) = prepare(options)?;
        watch.run(inbox).await;
        Ok(())
    })
}

fn prepare(options: &Options) -> Result<(Watch, Inbox), StartError> {
    let spare = ourselves_spared()?;
    let user = ourselves::owner();
    let users = Users::default();
    let (config, home) = (options.config.clone(), options.config_home.clone());
    let rules = Rules::new(config, home, user, options.mode);
    let loaded = rules.load(&users).map_err(StartError::Rules)?;
    let leash = options.only_under.map(leash_of).transpose()?;
    let (claim, listener) = Claim::take(&place(options, user), user, Access::of(user))?;
    // With fewer files we hold fewer processes at a time: slower, never wrong.
    let _limit = ourselves::raise_file_limit();
    let (post, mut inbox) = Inbox::new();
    let voice = Voice::open(options, loaded.rules.channels, own(options, user), &post)?;
    let pursuer = start_pursuer(options.tier, records(options.accounting), &post)?;
    let boot = boot::id().unwrap_or_default();
    let Opened {
        keeper,
        first,
        faults,
        unfinished,
        history,
        exceptions,
        legacy,
    } = Keeper::open(&places(options, user), &boot, &post);
    let exceptions = exceptions.map_err(StartError::Exceptions)?;
    inbox.defer(Input::Exceptions(exceptions.all()));
    let keeping = loaded.rules.keeping;
    let records = Records {
        historian: Historian::new(history, keeping, &boot, options.only_under, &post),
        exceptions,
    };
    let groups = groups(options.accounting);
    let clients = clients(options, user);
    let managers = clients.managers();
    let errands = Errands::new(clients, user, &post);
    let shells = Shells::start(Path::new("/proc"), groups, errands, pursuer, keeper, &post)?;
    let mut shells = shells.after(elder(options, user));
    let frozen = legacy
        .as_ref()
        .map_or(Vec::new(), |legacy| legacy.frozen.clone());
    if let Some(legacy) = legacy {
        inbox.defer(Input::Inherit(Box::new(legacy)));
    }
    // Until the ear says otherwise nothing is heard; it says so at once or within a moment.
    inbox.defer(Input::Hearing(Hearing::Nothing));
    let settings = settings(user, spare, leash, managers, first);
    let judge = Judge::new(settings, loaded.rules.clone());
    serve(listener, user, &post)?;
    let mut faults = faults;
    faults.extend(listen(&mut shells, &mut inbox, claim.path(), user, &post));
    hear_signals(&post)?;
    let standing = Standing {
        user,
        users,
        rules,
        files: loaded.files.clone(),
        leash: options.only_under,
        claim,
        began: Clock.now(),
        boot: boot.trim().to_owned(),
    };
    let service = Service::new(&options.service, standing.began);
    let mut watch = Watch::new(judge, shells, voice, records, service, standing, post);
    watch.remember(faults, Unfinished::look(&unfinished, &frozen));
    watch.hear_changes(&loaded.watch);
    Ok((watch, inbox))
}

/// Begins to hear heartbeats. Whether that works comes as mail; without a thread for it the watch goes on.
fn listen(
    shells: &mut Shells,
    inbox: &mut Inbox,
    socket: &Path,
    user: Uid,
    post: &Post,
) -> Option<(Part, String)> {
    match Ear::open(socket, hearers(user), post) {
        Ok(ear) => {
            shells.ear = Some(ear);
            None
        }
        Err(error) => {
            let why = format!("no thread can be had for it: {error}");
            inbox.defer(Input::Hears(Hears::Deaf(why.as_str().into())));
            Some((Part::Heartbeats, deafness(socket, &why)))
        }
    }
}

/// Who may send heartbeats.
const fn hearers(user: Uid) -> heartbeats::Access {
    match Access::of(user) {
        Access::Everyone => heartbeats::Access::Everyone,
        Access::Owner => heartbeats::Access::Owner,
    }
}

/// We ourselves and all above us.
fn ourselves_spared() -> Result<Arc<Spare>, StartError> {
    let procfs = Procfs::open(Path::new("/proc")).map_err(|source| StartError::Proc {
        path: PathBuf::from("/proc"),
        source,
    })?;
    Ok(Arc::new(Spare {
        keys: ourselves::lineage(&procfs),
        bystanders: Vec::new(),
    }))
}

/// What the judge is told once.
fn settings(
    user: Uid,
    spare: Arc<Spare>,
    leash: Option<ProcKey>,
    managers: Managers,
    first_incident: u64,
) -> Settings {
    Settings {
        only_user: (user != Uid::ROOT).then_some(user),
        rank: match user {
            Uid::ROOT => Rank::First,
            Uid(_) => Rank::Second,
        },
        itself: spare.keys.first().copied(),
        spare,
        leash,
        reaper: None,
        managers,
        first_incident,
    }
}

/// The machine's beadle, for whoever goes after it.
fn elder(options: &Options, user: Uid) -> Option<Elder> {
    let usual = || socket::path(Uid::ROOT, None);
    let place = options.elder.clone().unwrap_or_else(usual);
    (user != Uid::ROOT).then_some(Elder { user, place })
}

/// What we know of our own session.
fn own(options: &Options, user: Uid) -> Own {
    Own {
        user,
        address: options.bus.clone(),
        runtime: options.runtime.clone(),
        // Whatever has become of its file since.
        program: PathBuf::from("/proc/self/exe"),
    }
}

/// Where to listen.
fn place(options: &Options, user: Uid) -> PathBuf {
    let usual = || socket::path(user, options.runtime.as_deref());
    options.socket.clone().unwrap_or_else(usual)
}

/// The clients of managers: in their usual places, unless it is said where.
fn clients(options: &Options, user: Uid) -> Clients {
    let believed = |place: &Path| config::runnable(place, user.0).ok();
    options
        .clients
        .as_deref()
        .map_or_else(|| Clients::here(believed), Clients::within)
}

fn places(options: &Options, user: Uid) -> Places {
    Places::of(
        user,
        options.state.as_deref(),
        options.state_home.as_deref(),
        options.runtime.as_deref(),
    )
}

fn leash_of(pid: Pid) -> Result<ProcKey, StartError> {
    let hold = PidFd::open(pid).map_err(|_| StartError::Leash { pid })?;
    Ok(hold.key(pid, StartTicks(0)))
}

/// Records of the dead, as far as they are wanted.
const fn records(choice: AccountingChoice) -> Accounting {
    match choice {
        AccountingChoice::Best | AccountingChoice::Taskstats => Accounting::Wanted,
        AccountingChoice::Proc => Accounting::Unwanted,
    }
}

/// Control groups, as far as they are wanted.
fn groups(choice: AccountingChoice) -> Groups {
    match choice {
        AccountingChoice::Best => Groups::open(),
        AccountingChoice::Taskstats | AccountingChoice::Proc => Groups::none(),
    }
}

fn start_pursuer(
    tier: TierChoice,
    records: Accounting,
    post: &Post,
) -> Result<Pursuer, StartError> {
    let want = match tier {
        TierChoice::Best => Hearing::Events,
        TierChoice::Scan => Hearing::Nothing,
    };
    let deliver = post.clone();
    let sink = move |heard| {
        // The loop is gone: nobody listens any more.
        let _ = deliver.send(Mail::Heard(heard));
    };
    // Our own program, whatever has become of its file since.
    let signaller = Signaller::default().guarded_by(PathBuf::from("/proc/self/exe"));
    Pursuer::start_with(signaller, want, records, sink).map_err(|source| StartError::Thread {
        what: "the event reader",
        source,
    })
}

/// Serves whoever asks, on a thread of its own: a client may pass what is slow to close, and the close holds up whoever reads.
fn serve(
    listener: std::os::unix::net::UnixListener,
    user: Uid,
    post: &Post,
) -> Result<(), StartError> {
    // Older kernels (before Linux 6.16) cannot refuse what is passed along; it holds up nobody but those who ask, then.
    let _ = heartbeats::refuse_descriptors(&listener);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Loop { source })?;
    let listener = {
        let _within = runtime.enter();
        tokio::net::UnixListener::from_std(listener)
    };
    let listener = listener.map_err(|source| StartError::Loop { source })?;
    let post = post.clone();
    std::thread::Builder::new()
        .name("desk".to_owned())
        .spawn(move || runtime.block_on(attend(listener, user, post)))
        .map_err(|source| StartError::Thread {
            what: "the control socket",
            source,
        })?;
    Ok(())
}

/// Passes on what is asked, until the loop is gone.
async fn attend(listener: tokio::net::UnixListener, user: Uid, post: Post) {
    let (asks, mut asked) = tokio::sync::mpsc::channel(64);
    tokio::spawn(server::serve(listener, user, asks));
    loop {
        let ask = tokio::select! {
            () = post.closed() => return,
            ask = asked.recv() => ask,
        };
        let Some(ask) = ask else { return };
        if let Question::Reply { .. } = ask.question {
            tokio::spawn(introduce(ask, post.clone()));
        } else if post.send(Mail::Ask(ask)).is_err() {
            return;
        }
    }
}

/// How long it may take to learn what somebody is called: a directory may be far away.
const NAMING: Duration = Duration::from_secs(1);

/// Passes on the answer of a person, and before it what that person is called, as far as it can be learnt soon.
async fn introduce(ask: Ask, post: Post) {
    let user = ask.peer.uid;
    let named = tokio::task::spawn_blocking(move || Users::default().name_of(user.0));
    if let Ok(Ok(name)) = tokio::time::timeout(NAMING, named).await {
        // The loop is gone: nobody listens any more.
        let _ = post.send(Mail::Person(user, name));
    }
    let _ = post.send(Mail::Ask(ask));
}

fn hear_signals(post: &Post) -> Result<(), StartError> {
    let listen = |kind: SignalKind| signal(kind).map_err(|source| StartError::Loop { source });
    let heard = [
        (listen(SignalKind::terminate())?, "SIGTERM"),
        (listen(SignalKind::interrupt())?, "SIGINT"),
        (listen(SignalKind::hangup())?, "SIGHUP"),
    ];
    for (mut stream, name) in heard {
        let post = post.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let mail = if name == "SIGHUP" {
                    Mail::Reload
                } else {
                    Mail::Stop(name)
                };
                if post.send(mail).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

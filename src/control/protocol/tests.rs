use super::*;
use crate::control::wire::{
    Daemon, Desktop, Evidence, Finding, Heartbeats, Kept, Minded, Spoken, State, Subject,
};

const ANN: Uid = Uid(1000);
const BOB: Uid = Uid(1001);
const WATCHER: Uid = Uid(900);

fn unit(owner: Option<Uid>) -> Judged {
    Judged {
        subject: Subject {
            rule: Safe::word("r"),
            about: None,
            scope: Safe::word("tree"),
            label: None,
            root: 7,
            key: Safe::word("7:70"),
            program: Safe::word("p"),
            command: Safe::word("p --password"),
            cwd: None,
            owner: owner.map(|Uid(id)| id),
            audience: None,
            tty: None,
        },
        finding: Finding {
            verdict: Safe::word("clear"),
            paused: None,
            snoozed: None,
            exception: None,
            minded: None,
            when: Vec::new(),
        },
        nearness: 0.5,
        incident: None,
        evidence: Evidence::default(),
    }
}

fn desktop(whose: Uid) -> Desktop {
    Desktop {
        user: whose.0,
        shown: 0,
        server: None,
        buttons: None,
        trouble: None,
    }
}

fn spoken(owner: Uid) -> Spoken {
    Spoken {
        owner: Some(owner.0),
        ..Spoken::default()
    }
}

fn pause(by: Uid) -> Pause {
    Pause {
        by: by.0,
        rule: None,
        left: Some(60.0),
    }
}

fn units() -> Vec<Judged> {
    [Some(ANN), Some(BOB), None].map(unit).to_vec()
}

fn status() -> Answer {
    Answer::Status(Status {
        daemon: Daemon {
            desktops: [ANN, BOB].map(desktop).to_vec(),
            version: Safe::word("0"),
            pid: 1,
            owner: WATCHER.0,
            up: 1.0,
            config: vec![],
            leash: None,
            deaf: None,
            elder: None,
            faults: vec![],
        },
        mode: Safe::word("nudge"),
        tier: Safe::word("scan"),
        gaps: 0,
        processes: 3,
        pending: 0,
        rules: vec![],
        units: 3,
        incidents: units(),
        pauses: [ANN, BOB].map(pause).to_vec(),
        heartbeats: Heartbeats {
            units: [ANN, BOB].map(spoken).to_vec(),
            ..Heartbeats::default()
        },
    })
}

fn why(owner: Option<Uid>) -> Answer {
    Answer::Why(Why {
        audience: None,
        pid: 7,
        key: None,
        program: None,
        command: None,
        owner: owner.map(|Uid(id)| id),
        above: vec![],
        standing: None,
        rules: vec![],
        notes: [("n".to_owned(), Safe::word("x"))].into(),
    })
}

#[test]
fn owners_see_their_own_and_root_and_the_daemons_user_see_all() {
    for (peer, seen) in [
        (ANN, 1),
        (BOB, 1),
        (Uid(5), 0),
        (Uid::ROOT, 3),
        (WATCHER, 3),
    ] {
        let ps = Answer::Ps(Ps {
            units: units(),
            more: 0,
        });
        let Answer::Ps(ps) = ps.for_peer(peer, WATCHER) else {
            panic!("another answer")
        };
        assert_eq!(ps.units.len(), seen, "{peer}");
        let Answer::Status(status) = status().for_peer(peer, WATCHER) else {
            panic!("another answer")
        };
        assert_eq!(status.incidents.len(), seen, "{peer}");
        assert_eq!(status.pauses.len(), seen.min(2), "{peer}");
        assert_eq!(status.daemon.desktops.len(), seen.min(2), "{peer}");
    }
}

#[test]
fn somebody_elses_process_is_not_explained() {
    let kind = |answer: Answer| match answer {
        Answer::Refused(refusal) => Some(refusal.kind),
        _ => None,
    };
    let refused = Some(RefusalKind::NotYours);
    assert_eq!(kind(why(Some(BOB)).for_peer(ANN, WATCHER)), refused);
    assert_eq!(kind(why(None).for_peer(ANN, WATCHER)), refused);
    assert_eq!(kind(why(Some(ANN)).for_peer(ANN, WATCHER)), None);
    assert_eq!(kind(why(None).for_peer(Uid::ROOT, WATCHER)), None);
    let Answer::Why(own) = why(Some(ANN)).for_peer(ANN, WATCHER) else {
        panic!("another answer")
    };
    assert!(own.notes.is_empty());
}

fn kept(owner: Option<Uid>) -> Kept {
    Kept {
        id: 3,
        began: Safe::word("t"),
        last: Safe::word("t"),
        boot: Safe::word("b"),
        this_boot: true,
        state: State::Closed,
        how: Some(Safe::word("ended")),
        rule: Safe::word("r"),
        root: 7,
        key: Safe::word("7:70"),
        program: Safe::word("p"),
        command: Safe::word("p"),
        owner: owner.map(|Uid(id)| id),
        signal: None,
        signalled: 0,
        killed: 0,
        parts: vec![],
    }
}

fn show(owner: Option<Uid>) -> Answer {
    Answer::Show(Box::new(Story {
        kept: kept(owner),
        entries: vec![],
        certificates: vec![],
        left_out: 1,
    }))
}

fn history() -> History {
    History {
        incidents: [Some(ANN), Some(BOB), None].map(kept).to_vec(),
        ..History::default()
    }
}

#[test]
fn the_past_of_others_is_theirs() {
    for (peer, seen) in [(ANN, 1), (Uid(5), 0), (Uid::ROOT, 3), (WATCHER, 3)] {
        let Answer::History(told) = Answer::History(history()).for_peer(peer, WATCHER) else {
            panic!("another answer")
        };
        assert_eq!(told.incidents.len(), seen, "{peer}");
    }
    let refused = |owner, peer| match show(owner).for_peer(peer, WATCHER) {
        Answer::Refused(refusal) => Some(refusal.kind),
        _ => None,
    };
    let not_yours = Some(RefusalKind::NotYours);
    assert_eq!(refused(Some(BOB), ANN), not_yours);
    assert_eq!(refused(None, ANN), not_yours);
    assert_eq!(refused(Some(ANN), ANN), None);
    assert_eq!(refused(None, Uid::ROOT), None);
}

#[test]
fn a_long_list_is_cut_after_it_is_pruned() {
    let mut many = vec![unit(Some(BOB)); MOST_UNITS];
    many.extend(vec![unit(Some(ANN)); MOST_UNITS + 3]);
    let ps = Answer::Ps(Ps {
        units: many,
        more: 0,
    });
    let Answer::Ps(ps) = ps.for_peer(ANN, WATCHER) else {
        panic!("another answer")
    };
    assert_eq!((ps.units.len(), ps.more), (MOST_UNITS, 3));
    assert!(encode(&Answer::Ps(ps)).len() < LONGEST_ANSWER);
}

#[test]
fn what_is_said_is_what_is_heard() {
    let questions = [
        Question::Status,
        Question::Ps,
        Question::Why { pid: 4711 },
        Question::Pause {
            span: Some(1800),
            rule: Some("py\ntest".to_owned()),
        },
        Question::Resume { rule: None },
        Question::Reply {
            reply: ReplyWord::Stop,
            whom: Whom::Pid(4711),
        },
        Question::Reply {
            reply: ReplyWord::Extend,
            whom: Whom::Number(3),
        },
        Question::Forget {
            which: vec!["2".to_owned(), "pytest".to_owned()],
        },
        Question::Exceptions,
        Question::History(Search::default()),
        Question::History(Search {
            pid: Some(7),
            rule: Some("r".to_owned()),
            within: Some(60),
            most: Some(5),
        }),
        Question::Show { incident: 3 },
    ];
    for question in questions {
        let line = encode(&question);
        assert_eq!(
            line.iter().position(|&byte| byte == b'\n'),
            Some(line.len() - 1)
        );
        assert_eq!(decode::<Question>(&line), Ok(question));
    }
    let answers = [
        status(),
        why(Some(ANN)),
        Answer::Ps(Ps {
            units: units(),
            more: 4,
        }),
        Answer::Pauses {
            pauses: vec![pause(ANN)],
        },
        Refusal::no_process(7).into(),
        Answer::History(history()),
        show(Some(ANN)),
    ];
    for answer in answers {
        assert_eq!(decode::<Answer>(&encode(&answer)), Ok(answer));
    }
}

#[test]
fn answers_to_an_incident_are_asked_in_these_words_for_ever() {
    let asks = |line: &str| decode::<Question>(line.as_bytes());
    for (line, reply, whom) in [
        (
            "{\"v\":1,\"ask\":\"reply\",\"reply\":\"stop\",\"incident\":3}\n",
            ReplyWord::Stop,
            Whom::Incident(3),
        ),
        (
            "{\"v\":1,\"ask\":\"reply\",\"reply\":\"extend\",\"pid\":4711}\n",
            ReplyWord::Extend,
            Whom::Pid(4711),
        ),
        (
            "{\"v\":1,\"ask\":\"reply\",\"reply\":\"allow\",\"number\":9}\n",
            ReplyWord::Allow,
            Whom::Number(9),
        ),
    ] {
        assert_eq!(asks(line), Ok(Question::Reply { reply, whom }), "{line}");
        assert_eq!(encode(&Question::Reply { reply, whom }), line.as_bytes());
    }
    // Nobody is meant, or two.
    let vain = asks("{\"v\":1,\"ask\":\"reply\",\"reply\":\"stop\"}\n").unwrap_err();
    assert_eq!(vain.kind, RefusalKind::BadQuestion);
}

#[test]
fn exceptions_are_told_to_their_owner_and_to_whoever_gave_them() {
    let exception = |owner: Uid, by: Uid| Exception {
        number: 1,
        rule: Safe::word("r"),
        owner: owner.0,
        program: Safe::word("p"),
        cwd: Safe::word("/"),
        by: by.0,
        since: None,
    };
    let all = vec![
        exception(ANN, ANN),
        exception(ANN, BOB),
        exception(WATCHER, ANN),
    ];
    for (peer, seen) in [
        (ANN, 3),
        (BOB, 1),
        (Uid(5), 0),
        (Uid::ROOT, 3),
        (WATCHER, 3),
    ] {
        let exceptions = all.clone();
        let told = Answer::Exceptions { exceptions }.for_peer(peer, WATCHER);
        let Answer::Exceptions { exceptions } = told else {
            panic!("another answer")
        };
        assert_eq!(exceptions.len(), seen, "{peer}");
    }
}

#[test]
fn another_version_is_told_as_such_whatever_else_it_says() {
    let refused = decode::<Question>(b"{\"v\":9,\"ask\":\"dance\"}\n").unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Version);
    // What a newer client adds to a question that we know does no harm.
    let line = b"{\"v\":1,\"ask\":\"why\",\"pid\":7,\"color\":\"red\"}\n";
    assert_eq!(decode::<Question>(line), Ok(Question::Why { pid: 7 }));
}

#[test]
fn what_is_minded_of_others_is_theirs() {
    let minded = |owner: Uid| Minded {
        incident: 7,
        rule: Safe::word("pytest"),
        owner: Some(owner.0),
        others: Vec::new(),
        goes_on: true,
        members: vec![Safe::word("10:20"), Safe::word("11~21"), Safe::word("what")],
    };
    let minds = vec![minded(ANN), minded(BOB)];
    let answer = Answer::Minds { minds };
    let seen = |peer| match answer.clone().for_peer(peer, Uid::ROOT) {
        Answer::Minds { minds } => minds,
        other => panic!("{other:?}"),
    };
    assert_eq!(seen(ANN), vec![minded(ANN)]);
    // In a tree of root's there are processes of others.
    let shared = |others: &[Uid]| Minded {
        others: others.iter().map(|user| user.0).collect(),
        ..minded(Uid::ROOT)
    };
    let answer = Answer::Minds {
        minds: vec![shared(&[ANN, BOB]), shared(&[BOB])],
    };
    let seen_of = |peer| match answer.clone().for_peer(peer, Uid::ROOT) {
        Answer::Minds { minds } => minds,
        other => panic!("{other:?}"),
    };
    assert_eq!(seen_of(ANN), vec![shared(&[ANN])]);
    assert_eq!(seen(Uid::ROOT).len(), 2);
    // What is read of it are identities, and nothing else.
    let members = minded(ANN).read().members;
    let texts: Vec<String> = members.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10:20", "11~21"]);
}

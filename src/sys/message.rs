//! What people are told, as plain data: written by the renderer, taken by the nudger.

/// What kind of thing is told; each has its own `MESSAGE_ID` in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An incident opened.
    Incident,
    /// People are told.
    Nudge,
    /// A signal is sent.
    Signal,
    /// A person has answered.
    Answer,
    /// What came of it.
    Outcome,
    /// Others are set to work.
    Run,
    /// What came of that.
    Ran,
    /// A stage was due and not carried out.
    Withheld,
    /// An incident is over.
    Close,
    /// Something does not work, or works again.
    Fault,
    /// The rules were read again.
    Reload,
    /// The watch begins.
    Start,
    /// The watch ends.
    Stop,
}

/// One thing to tell, on one line, already safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What kind of thing.
    pub kind: Kind,
    /// How urgent.
    pub urgency: Urgency,
    /// The line.
    pub text: String,
    /// The rule.
    pub rule: Option<String>,
    /// The incident.
    pub incident: Option<u64>,
    /// The process to look at.
    pub pid: Option<u32>,
    /// The unit's identity: `PID:INODE` of its root.
    pub unit: Option<String>,
    /// The signal, without `SIG`.
    pub signal: Option<String>,
}

/// How urgent a message is, as the journal counts it (and syslog before).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something is wrong.
    Error,
    /// Somebody should look.
    Warning,
    /// Worth noting.
    Notice,
    /// For the record.
    Info,
}

impl Kind {
    /// The word in logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Nudge => "nudge",
            Self::Signal => "signal",
            Self::Answer => "answer",
            Self::Outcome => "outcome",
            Self::Run => "run",
            Self::Ran => "ran",
            Self::Withheld => "withheld",
            Self::Close => "close",
            Self::Fault => "fault",
            Self::Reload => "reload",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

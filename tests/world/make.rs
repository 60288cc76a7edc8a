//! What kind of machine it is.

/// How large the machine is, and how it tells processes apart.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    /// Numbers from 2 up to this are handed out, in turn.
    pub pids: u32,
    /// Whether the kernel has pidfs inodes; else identity is soft.
    pub marks: Marks,
}

/// What identity the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    Inodes,
    Ticks,
}

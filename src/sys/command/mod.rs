//! A command that beadle runs itself: started as if beadle were not there, followed to its end, with all that it leaves behind.
//!
//! | file | holds |
//! |---|---|
//! | `inherited` | what beadle itself was started with, for the command to begin with |
//! | `launch` | its start |
//! | `ear` | signals that beadle gets while it runs |
//! | `children` | what the kernel tells of it and of those it left to us |
//! | `image` | which image one of them runs, told apart from the one before |
//! | `enclosure` | a control group of its own, where one is to be had |
//! | `oom` | whom the kernel ended for want of memory |
//! | `ending` | going the way that it went |
//!
//! # The terminal
//! Beadle and the command are in one process group, the one that the shell made for the job. What a terminal sends (Ctrl-C,
//! Ctrl-\\, Ctrl-Z, a hang-up, a new size) it sends to the whole group, so the command gets it without us, exactly once; a
//! group of its own would have to be put into the foreground by us, and would put the rest of a pipeline into the background.
//! Beadle holds all these signals back from itself. What somebody sends to *beadle* is passed on ([`ear::Caught::passes_on`]),
//! unless it comes from below the command: one there reaches it without us, and most often has sent it to the whole group
//! (vim's `kill(0, SIGTSTP)`). When the command is stopped by its terminal, beadle stops too, so that the shell sees a stopped
//! job; `fg` and `bg` continue the group.
//!
//! What somebody *else* sends to the whole group comes to the command twice: from them and from us. It cannot be told from what
//! is sent to beadle alone, not even by the group of the sender: a script without job control is in our group, and its
//! `kill $!` is meant for the command. A signal that comes twice is the smaller evil than one that is lost.
//!
//! # Signals that come too early or too late
//! A shell ends its loop on Ctrl-C only when what it ran *died* of it. What wants an end before there is a command, or when it is
//! gone already, finds nobody but us: then no command is started, and beadle dies of the same signal when all else is done. Whether
//! a command that is gone has seen the signal is told by whether it had a handler for it.
//!
//! # When beadle itself is killed
//! The command gets SIGTERM from the kernel the moment that beadle dies (`PR_SET_PDEATHSIG`), as it would when its
//! terminal hung up. It may ignore it, and what it started is not asked: nobody is left who knows it. Where a daemon runs, a
//! rule of scope `env:BEADLE_RUN` with `leftover` is the second net.

pub mod children;
pub mod ear;
pub mod enclosure;
pub mod ending;
pub mod image;
pub mod inherited;
pub mod launch;
pub mod oom;

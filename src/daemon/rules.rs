//! Rule files, read the same way whoever asks.

use std::path::PathBuf;

use crate::config::{self, Loaded, Names, Refusal, Request};
use crate::engine::process::Uid;
use crate::engine::rule::Mode;
use crate::sys::users::Users;

/// Where rules come from, the same at start and at every reload.
#[derive(Debug)]
pub(crate) struct Rules {
    explicit: Option<PathBuf>,
    home: Option<PathBuf>,
    user: Uid,
    mode: Option<Mode>,
}

impl Rules {
    /// Nothing is read yet.
    pub(crate) fn new(
        explicit: Option<PathBuf>,
        home: Option<PathBuf>,
        user: Uid,
        mode: Option<Mode>,
    ) -> Self {
        Self {
            explicit,
            home,
            user,
            mode,
        }
    }

    /// Reads everything, or says everything that is wrong.
    pub(crate) fn load(&self, users: &Users) -> Result<Loaded, Refusal> {
        config::load(&Request {
            explicit: self.explicit.clone(),
            home: self.home.clone(),
            uid: self.user.0,
            mode: self.mode,
            names: &Known(users),
        })
    }
}

/// User names as this machine knows them.
#[derive(Debug)]
struct Known<'a>(&'a Users);

impl Names for Known<'_> {
    fn user(&self, name: &str) -> Option<u32> {
        self.0.user(name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.0.group(name)
    }
}

//! What makes two roots of a rule instances of one thing.
//!
//! # What is not known
//! A namespace is known as ours or as another; which other one, only the container tells: two roots in sandboxes without one
//! are perhaps in the same. A folder that is deleted is known by a name that another may bear. Of a root that was found
//! below process 1 or below a boundary, nobody knows whether that one started it or took it over. Each of these is unknown,
//! and what is unknown makes no two roots alike, nor different.

use super::evidence::UnitKey;
use super::process::{ProcKey, Text, Uid};
use super::rule::Per;
use super::units::Mono;

/// What is known of a root, from the time when it became one, that other instances have in common with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circle {
    /// Which pid namespace it lives in.
    pub realm: Option<Realm>,
    /// Who started it.
    pub starter: Option<ProcKey>,
    /// Where it works.
    pub cwd: Option<Text>,
}

/// A pid namespace, as far as one can be told from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Realm {
    /// Ours.
    Ours,
    /// That of a container: its id.
    Container(Text),
}

/// Whether two roots are instances of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// They are.
    Yes,
    /// Something is not known.
    Perhaps,
    /// They are not.
    No,
}

/// How old an instance is: by when its root became one. Of two that did at one moment the number decides, so that the
/// answer is the same at every look.
pub type Seniority = (Mono, UnitKey);

/// Instances of one thing, all of it known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    owner: Uid,
    realm: Realm,
    per: Per,
    starter: Option<ProcKey>,
    cwd: Option<Text>,
}

impl Circle {
    /// Compares two roots, each with its owner.
    pub fn compare(
        &self,
        owner: Option<Uid>,
        other: &Self,
        owner_there: Option<Uid>,
        per: Per,
    ) -> Alike {
        let further = match per {
            Per::Owner => Alike::Yes,
            Per::Parent => same(self.starter.as_ref(), other.starter.as_ref()),
            Per::Cwd => same(self.cwd.as_ref(), other.cwd.as_ref()),
        };
        let all = [
            same(owner.as_ref(), owner_there.as_ref()),
            same(self.realm.as_ref(), other.realm.as_ref()),
            further,
        ];
        if all.contains(&Alike::No) {
            Alike::No
        } else if all.contains(&Alike::Perhaps) {
            Alike::Perhaps
        } else {
            Alike::Yes
        }
    }

    /// What it is an instance of; `None` where part of that is not known.
    pub fn kind(&self, owner: Option<Uid>, per: Per) -> Option<Kind> {
        let (starter, cwd) = match per {
            Per::Owner => (None, None),
            Per::Parent => (Some(self.starter?), None),
            Per::Cwd => (None, Some(self.cwd.clone()?)),
        };
        Some(Kind {
            owner: owner?,
            realm: self.realm.clone()?,
            per,
            starter,
            cwd,
        })
    }

    /// This, and what only the other knows.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            realm: self.realm.or(other.realm),
            starter: self.starter.or(other.starter),
            cwd: self.cwd.or(other.cwd),
        }
    }
}

fn same<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> Alike {
    match one.zip(other) {
        Some((one, other)) if one == other => Alike::Yes,
        Some(_) => Alike::No,
        None => Alike::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(cwd: Option<&str>) -> Circle {
        Circle {
            realm: Some(Realm::Ours),
            starter: None,
            cwd: cwd.map(Text::from),
        }
    }

    fn alike(one: &Circle, other: &Circle, per: Per) -> Alike {
        one.compare(Some(Uid(1)), other, Some(Uid(1)), per)
    }

    #[test]
    fn what_differs_for_sure_is_no_instance_whatever_else_is_unknown() {
        let (here, there, nowhere) = (circle(Some("/a")), circle(Some("/b")), circle(None));
        assert_eq!(alike(&here, &here, Per::Cwd), Alike::Yes);
        assert_eq!(alike(&here, &there, Per::Cwd), Alike::No);
        assert_eq!(alike(&here, &there, Per::Owner), Alike::Yes);
        assert_eq!(alike(&here, &nowhere, Per::Cwd), Alike::Perhaps);
        assert_eq!(alike(&nowhere, &nowhere, Per::Parent), Alike::Perhaps);
        let theirs = here.compare(Some(Uid(1)), &nowhere, Some(Uid(2)), Per::Cwd);
        assert_eq!(theirs, Alike::No);
        let whose = here.compare(Some(Uid(1)), &here, None, Per::Cwd);
        assert_eq!(whose, Alike::Perhaps);
    }

    #[test]
    fn other_namespaces_are_told_apart_by_their_containers_alone() {
        let boxed = |id: &str| Circle {
            realm: Some(Realm::Container(Text::from(id))),
            ..circle(None)
        };
        let sandbox = Circle::default();
        assert_eq!(alike(&boxed("a"), &boxed("a"), Per::Owner), Alike::Yes);
        assert_eq!(alike(&boxed("a"), &boxed("b"), Per::Owner), Alike::No);
        assert_eq!(alike(&boxed("a"), &circle(None), Per::Owner), Alike::No);
        assert_eq!(alike(&sandbox, &sandbox, Per::Owner), Alike::Perhaps);
        assert_eq!(sandbox.kind(Some(Uid(1)), Per::Owner), None);
    }
}

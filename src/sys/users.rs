//! Users and groups, by name and by number, as this machine's own databases have them.
//!
//! A lookup may go over the network (LDAP, SSSD) and take its time, so what was found is kept. What was not found is
//! asked for again: an account may be made while we run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;

/// The largest entry that is waited for; a group with 10,000 members has about 100 KiB.
const LARGEST: usize = 1 << 20;

/// The databases, and what was found in them.
#[derive(Debug, Default)]
pub struct Users {
    numbers: RefCell<BTreeMap<String, u32>>,
    groups: RefCell<BTreeMap<String, u32>>,
    accounts: RefCell<BTreeMap<u32, Account>>,
}

#[derive(Clone, Debug)]
struct Account {
    name: String,
    group: u32,
    home: PathBuf,
}

impl Users {
    /// The number of a user.
    pub fn user(&self, name: &str) -> Option<u32> {
        found(&self.numbers, name, |name| {
            // SAFETY: `lookup` passes an entry, a buffer with its size and a place for the result, as the function
            // demands; the name ends in NUL.
            lookup(|entry, buffer, size, found| unsafe {
                libc::getpwnam_r(name.as_ptr(), entry, buffer, size, found)
            })
            .map(|entry| entry.read(|entry: &libc::passwd| entry.pw_uid))
        })
    }

    /// The number of a group.
    pub fn group(&self, name: &str) -> Option<u32> {
        found(&self.groups, name, |name| {
            // SAFETY: as for users.
            lookup(|entry, buffer, size, found| unsafe {
                libc::getgrnam_r(name.as_ptr(), entry, buffer, size, found)
            })
            .map(|entry| entry.read(|entry: &libc::group| entry.gr_gid))
        })
    }

    /// The name of a user.
    pub fn name_of(&self, uid: u32) -> Option<String> {
        self.account(uid).map(|account| account.name)
    }

    /// The home of a user.
    pub fn home_of(&self, uid: u32) -> Option<PathBuf> {
        self.account(uid).map(|account| account.home)
    }

    /// The first group of a user.
    pub fn group_of(&self, uid: u32) -> Option<u32> {
        self.account(uid).map(|account| account.group)
    }

    fn account(&self, uid: u32) -> Option<Account> {
        if let Some(known) = self.accounts.borrow().get(&uid) {
            return Some(known.clone());
        }
        // SAFETY: as for users.
        let entry = lookup(|entry, buffer, size, found| unsafe {
            libc::getpwuid_r(uid, entry, buffer, size, found)
        })?;
        let account = entry.read(|entry: &libc::passwd| {
            // SAFETY: both are fields of a filled entry, whose text is there.
            let (name, home) = unsafe { (copy(entry.pw_name), copy(entry.pw_dir)) };
            Account {
                name: String::from_utf8_lossy(&name).into_owned(),
                group: entry.pw_gid,
                home: PathBuf::from(OsString::from_vec(home)),
            }
        });
        let mut accounts = self.accounts.borrow_mut();
        Some(accounts.entry(uid).or_insert(account).clone())
    }
}

/// What is known under this name, else what is found and known from now on.
fn found(
    known: &RefCell<BTreeMap<String, u32>>,
    name: &str,
    find: impl FnOnce(&CStr) -> Option<u32>,
) -> Option<u32> {
    if let Some(number) = known.borrow().get(name) {
        return Some(*number);
    }
    let number = find(&CString::new(name).ok()?)?;
    known.borrow_mut().insert(name.to_owned(), number);
    Some(number)
}

/// An entry of a database, and the memory that its text lies in.
struct Row<T> {
    entry: T,
    _text: Vec<c_char>,
}

impl<T> Row<T> {
    /// What is to be copied out of it, while its text is there.
    fn read<R>(&self, what: impl FnOnce(&T) -> R) -> R {
        what(&self.entry)
    }
}

/// Makes one of the `get…_r` calls, with more memory while it says that there is too little.
fn lookup<T>(call: impl Fn(*mut T, *mut c_char, usize, *mut *mut T) -> c_int) -> Option<Row<T>> {
    let mut size = 1024;
    while size <= LARGEST {
        let mut text = vec![0; size];
        let mut entry = MaybeUninit::uninit();
        let mut result = ptr::null_mut();
        match call(entry.as_mut_ptr(), text.as_mut_ptr(), size, &raw mut result) {
            0 if result.is_null() => return None,
            0 => {
                return Some(Row {
                    // SAFETY: with a result, the entry was filled in. Its text stays where it is: a vector that
                    // moves does not move what it holds.
                    entry: unsafe { entry.assume_init() },
                    _text: text,
                });
            }
            libc::ERANGE => size *= 4,
            libc::EINTR => {}
            _ => return None,
        }
    }
    None
}

/// A copy of a text of an entry; empty where there is none.
///
/// # Safety
/// The pointer is null, or leads to text that ends in NUL.
unsafe fn copy(text: *const c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number() {
        let users = Users::default();
        for _ in 0..2 {
            assert_eq!(users.user("root"), Some(0));
            assert_eq!(users.group("root"), Some(0));
            assert_eq!(users.name_of(0).as_deref(), Some("root"));
            assert_eq!(users.home_of(0), Some(PathBuf::from("/root")));
        }
    }

    #[test]
    fn who_is_nowhere_is_nobody() {
        let users = Users::default();
        assert_eq!(users.user("no such user"), None);
        assert_eq!(users.group("a\0b"), None);
        assert_eq!(users.name_of(4_000_000_017), None);
    }
}

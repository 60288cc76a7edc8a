//! Command lines fit to be shown: secrets removed, cut short.
//!
//! What looks like a secret goes before anything is kept, printed or sent; in its place stands `[redacted]`. This is a
//! net, not a wall: a secret that looks like any other word gets through. So it errs on the side of hiding.
//!
//! # What is taken for a secret
//! - the value of an option or assignment whose name ends like a secret's: `--password X`, `--api-key=X`,
//!   `-Djavax.net.ssl.keyStorePassword=X`, `GITHUB_TOKEN=X`, `?access_token=X&`, `"password": "X"`;
//! - what follows `Authorization:`, `Cookie:`, `X-Api-Key:` and their like, to the end of the quotes or the argument;
//! - the password in `scheme://user:password@host`;
//! - words that begin as known tokens do: `ghp_…`, `sk-…`, `xoxb-…`, `AKIA…`, `eyJ…`;
//! - passwords behind one letter, after programs that have them: `mysql -pX`, `sshpass -p X`, `curl -u user:X`.
//!
//! Code given as one argument (`sh -c '…'`) is looked through word by word.

mod secret;
#[cfg(test)]
mod tests;

use super::process::Text;
use secret::Tool;

/// What stands in place of a secret.
const REDACTED: &[u8] = b"[redacted]";
/// What stands in place of the rest.
const CUT: &[u8] = "…".as_bytes();

/// The arguments joined by a space, without secrets, at most `longest` bytes; `…` at the end where it was cut.
pub fn command_line(args: &[Text], longest: usize) -> Text {
    let mut line = Line::default();
    for (index, arg) in args.iter().enumerate() {
        if line.shown.len() > longest {
            break;
        }
        if index > 0 {
            line.shown.push(b' ');
        }
        line.argument(arg.bytes());
    }
    // A rewritten title leaves empty arguments behind.
    let mut shown = line.shown.as_slice();
    while let Some((b' ', rest)) = shown.split_last() {
        shown = rest;
    }
    cut(shown, longest)
}

/// The text itself when it is no longer than `longest` bytes, else its beginning with `…`, whole characters only.
pub fn cut(bytes: &[u8], longest: usize) -> Text {
    if bytes.len() <= longest {
        return Text::new(bytes);
    }
    let Some(mut end) = longest.checked_sub(CUT.len()) else {
        return Text::default();
    };
    // A character is at most four bytes; what is no UTF-8 may be cut anywhere.
    for _ in 0..3 {
        match bytes.get(end) {
            Some(0x80..=0xbf) => end = end.saturating_sub(1),
            Some(_) | None => break,
        }
    }
    Text::new([bytes.get(..end).unwrap_or_default(), CUT].concat())
}

/// A line as it is being shown.
#[derive(Default)]
struct Line {
    shown: Vec<u8>,
    /// What the last word says of the next.
    pending: Pending,
    /// The last program named that takes passwords behind one letter.
    tool: Option<Tool>,
}

/// What is known of the next word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pending {
    /// Nothing.
    #[default]
    Nothing,
    /// It is a secret.
    Secret,
    /// It is `user:secret`.
    Login,
    /// It is a secret if a colon stands between, as in JSON.
    Named,
}

impl Line {
    fn argument(&mut self, arg: &[u8]) {
        // A pending secret reaches to the end of its argument, blanks and all.
        if self.hide(arg) {
            return;
        }
        if let Some(name) = secret::assigned(arg) {
            self.shown.extend_from_slice(name);
            self.shown.extend_from_slice(REDACTED);
            return;
        }
        let mut rest = arg;
        while !rest.is_empty() {
            let (gap, after) = split(rest, secret::separates);
            self.shown.extend_from_slice(gap);
            let quote = gap.last().copied().filter(|byte| b"\"'".contains(byte));
            rest = match (self.pending, quote) {
                (Pending::Secret, Some(quote)) => {
                    let (value, after) = split(after, |byte| byte != quote);
                    self.hide(value);
                    after
                }
                (Pending::Secret | Pending::Login | Pending::Named | Pending::Nothing, _) => {
                    let (word, after) = split(after, |byte| !secret::separates(byte));
                    self.word(word, after)
                }
            };
        }
    }

    /// Shows one word of an argument; gives what is left to show after it.
    fn word<'a>(&mut self, word: &[u8], rest: &'a [u8]) -> &'a [u8] {
        if word.is_empty() || self.hide(word) {
            return rest;
        }
        if let Some(value) = word
            .strip_prefix(b":")
            .filter(|_| self.pending == Pending::Named)
        {
            self.shown.push(b':');
            self.pending = Pending::Secret;
            if !value.is_empty() {
                self.hide(value);
            }
            return rest;
        }
        self.pending = Pending::Nothing;
        if let Some(name) = secret::assigned(word) {
            self.shown.extend_from_slice(name);
            if name.len() == word.len() {
                // The value follows in quotes.
                self.pending = Pending::Secret;
            } else {
                self.shown.extend_from_slice(REDACTED);
            }
            return rest;
        }
        if let Some(name) = secret::header(word) {
            self.shown.extend_from_slice(name);
            self.shown.extend_from_slice(b" [redacted]");
            return split(rest, |byte| !b"\"'".contains(&byte)).1;
        }
        if let Some(letter) = self.tool.and_then(|tool| tool.letter(word)) {
            let (option, value) = word.split_at_checked(letter.length).unwrap_or((word, &[]));
            self.shown.extend_from_slice(option);
            self.pending = letter.hides;
            if !value.is_empty() {
                self.hide(value);
            }
            return rest;
        }
        self.tool = Tool::of(word).or(self.tool);
        if secret::names_secret(word) {
            let option = word.starts_with(b"-");
            self.pending = if option {
                Pending::Secret
            } else {
                Pending::Named
            };
        }
        secret::show(word, &mut self.shown);
        rest
    }

    /// Hides a pending secret; whether there was one.
    fn hide(&mut self, value: &[u8]) -> bool {
        match self.pending {
            // Nobody's password begins with two dashes: the option before was a switch.
            Pending::Secret if !value.starts_with(b"--") => {
                self.shown.extend_from_slice(REDACTED);
            }
            Pending::Login if !value.starts_with(b"-") => {
                let (user, secret) = split(value, |byte| byte != b':');
                self.shown.extend_from_slice(user);
                if !secret.is_empty() {
                    self.shown.push(b':');
                    self.shown.extend_from_slice(REDACTED);
                }
            }
            Pending::Secret | Pending::Login => {
                self.pending = Pending::Nothing;
                return false;
            }
            Pending::Named | Pending::Nothing => return false,
        }
        self.pending = Pending::Nothing;
        true
    }
}

/// Splits off the bytes at the start that pass.
fn split(bytes: &[u8], passes: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = bytes.iter().take_while(|byte| passes(**byte)).count();
    bytes.split_at_checked(length).unwrap_or((bytes, &[]))
}

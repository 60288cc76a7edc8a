//! What secrets look like.

use super::{Pending, REDACTED, split};

/// Names that end like this, dashes and dots left out, hold secrets.
const NAMES: [&[u8]; 22] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"passcode",
    b"pwd",
    b"secret",
    b"token",
    b"apikey",
    b"accesskey",
    b"secretkey",
    b"privatekey",
    b"authkey",
    b"signingkey",
    b"encryptionkey",
    b"credential",
    b"credentials",
    b"authorization",
    b"bearer",
    b"cookie",
    b"jwt",
    b"signature",
    b"sessionid",
];
/// Short names that hold secrets when they stand alone between dashes: `--db-pass`, not `--bypass`.
const PARTS: [&[u8]; 8] = [
    b"pass", b"pw", b"auth", b"pat", b"otp", b"passin", b"passout", b"sig",
];
/// Options that begin like this are switches.
const SWITCHES: [&[u8]; 6] = [b"no", b"ask", b"skip", b"without", b"disable", b"prompt"];

/// How tokens begin. What follows is at least [`TOKEN_LENGTH`] long and holds a digit.
const TOKENS: [&[u8]; 40] = [
    b"ghp_",
    b"gho_",
    b"ghu_",
    b"ghs_",
    b"ghr_",
    b"github_pat_",
    b"glpat-",
    b"gldt-",
    b"glrt-",
    b"xoxb-",
    b"xoxp-",
    b"xoxa-",
    b"xoxs-",
    b"xoxr-",
    b"xapp-",
    b"AKIA",
    b"ASIA",
    b"AIza",
    b"ya29.",
    b"sk-",
    b"sk_live_",
    b"sk_test_",
    b"rk_live_",
    b"rk_test_",
    b"whsec_",
    b"npm_",
    b"pypi-",
    b"hf_",
    b"hvs.",
    b"glsa_",
    b"dop_v1_",
    b"dckr_pat_",
    b"shpat_",
    b"lin_api_",
    b"SG.",
    b"eyJ",
    b"AGE-SECRET-KEY-",
    b"nfp_",
    b"pul-",
    b"atlasv1.",
];
const TOKEN_LENGTH: usize = 16;

/// Whether the byte stands between words of code.
pub(super) fn separates(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'`;|()<>{}".contains(&byte)
}

/// `NAME=` of `NAME=value`, where the name is a secret's.
pub(super) fn assigned(text: &[u8]) -> Option<&[u8]> {
    let (name, value) = split(text, |byte| byte != b'=');
    // The name of an option or variable holds no separator; an address does.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let secret = !value.is_empty()
        && name.iter().all(plain)
        && (is_secret_name(name) || is_secret_variable(name));
    secret.then(|| text.get(..=name.len()).unwrap_or(text))
}

/// Whether the word is an option, or a key, whose value is a secret.
pub(super) fn names_secret(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    word.len() > 2 && word.iter().all(plain) && is_secret_name(word)
}

/// `Name:` where the word begins a header that carries a secret.
pub(super) fn header(word: &[u8]) -> Option<&[u8]> {
    let (name, value) = split(word, |byte| byte != b':');
    let carries = value.len() == 1 || !value.starts_with(b"://");
    let secret = !value.is_empty() && carries && name.contains(&b'-') | is_known_header(name);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (secret && !name.starts_with(b"-") && name.iter().all(plain) && is_secret_name(name))
        .then(|| word.get(..=name.len()).unwrap_or(word))
}

fn is_known_header(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"authorization") || name.eq_ignore_ascii_case(b"cookie")
}

fn is_secret_name(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let mut parts = name
        .split(|byte| b"-_.".contains(byte))
        .filter(|part| !part.is_empty());
    let (first, last) = (parts.clone().next(), parts.next_back());
    let dashed = name.starts_with(b"-");
    if dashed && first != last && first.is_some_and(|first| SWITCHES.contains(&first)) {
        return false;
    }
    if last.is_some_and(|last| PARTS.contains(&last)) {
        return true;
    }
    let joined: Vec<u8> = name
        .iter()
        .copied()
        .filter(|byte| !b"-_.".contains(byte))
        .collect();
    NAMES.iter().any(|end| joined.ends_with(end))
}

/// `SECRET_KEY_BASE`, `SIGNING_KEY`: variables are named more loosely than options.
fn is_secret_variable(name: &[u8]) -> bool {
    let shouted = name
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
    let holds = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    shouted
        && (name.ends_with(b"_KEY") || holds(b"SECRET") || holds(b"PASSWORD") || holds(b"_TOKEN"))
}

/// Shows a word without passwords in addresses, secret parameters and known tokens.
pub(super) fn show(word: &[u8], shown: &mut Vec<u8>) {
    let mut rest = word;
    if let Some((before, secret, after)) = login(word) {
        shown.extend_from_slice(before);
        shown.extend_from_slice(if secret.is_empty() { &[] } else { REDACTED });
        rest = after;
    }
    while !rest.is_empty() {
        let (mark, after) = split(rest, |byte| b"?&#".contains(&byte));
        shown.extend_from_slice(mark);
        let (part, after) = split(after, |byte| !b"?&#".contains(&byte));
        rest = after;
        match assigned(part) {
            Some(name) => {
                shown.extend_from_slice(name);
                shown.extend_from_slice(REDACTED);
            }
            None => show_tokens(part, shown),
        }
    }
}

/// `scheme://user:`, `password` and `@host…` of an address with a password in it.
fn login(word: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let scheme = word.windows(3).position(|window| window == b"://")?;
    let start = scheme.saturating_add(3);
    let address = word.get(start..)?;
    let (authority, path) = split(address, |byte| !b"/?#".contains(&byte));
    let colon = authority.iter().position(|&byte| byte == b':')?;
    let at = if let Some(at) = authority.iter().rposition(|&byte| byte == b'@') {
        at
    } else {
        // A careless password holds a slash: `user:pa/ss@host`. A port is all digits.
        let port = authority.get(colon.saturating_add(1)..)?;
        if port.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let at = path.iter().rposition(|&byte| byte == b'@')?;
        authority.len().saturating_add(at)
    };
    let before = start.saturating_add(colon).saturating_add(1);
    let after = start.saturating_add(at);
    Some((
        word.get(..before)?,
        word.get(before..after)?,
        word.get(after..)?,
    ))
}

fn show_tokens(part: &[u8], shown: &mut Vec<u8>) {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut rest = part;
    while !rest.is_empty() {
        let (other, after) = split(rest, |byte| !belongs(byte));
        shown.extend_from_slice(other);
        let (run, after) = split(after, belongs);
        rest = after;
        shown.extend_from_slice(if is_token(run) { REDACTED } else { run });
    }
}

fn is_token(run: &[u8]) -> bool {
    TOKENS
        .iter()
        .filter_map(|start| run.strip_prefix(*start))
        .any(|tail| tail.len() >= TOKEN_LENGTH && tail.iter().any(u8::is_ascii_digit))
}

/// A program that takes a password behind one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// `-pX` in one word; `-p` alone asks for it.
    AttachedP,
    /// `-p X` or `-pX`.
    P,
    /// `-P X` or `-PX`.
    CapitalP,
    /// `-a X`.
    A,
    /// `-w X`.
    W,
    /// `-u user:X`.
    LoginU,
    /// `-a user:X`.
    LoginA,
}

/// An option that is followed by a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// Its bytes; what is left of the word is its value.
    pub length: usize,
    /// What it is followed by.
    pub hides: Pending,
}

impl Tool {
    /// By the word that starts it.
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        let name = word.rsplit(|&byte| byte == b'/').next()?;
        Some(match name {
            b"7z" | b"7za" | b"7zz" | b"rar" | b"unrar" => Self::AttachedP,
            b"sshpass" | b"mongo" | b"mongosh" | b"mongodump" | b"mongorestore" => Self::P,
            b"zip" | b"unzip" => Self::CapitalP,
            b"redis-cli" => Self::A,
            b"curl" => Self::LoginU,
            b"http" | b"https" | b"httpie" => Self::LoginA,
            name if name.starts_with(b"mysql") || name.starts_with(b"mariadb") => Self::AttachedP,
            name if name.starts_with(b"ldap") => Self::W,
            _ => return None,
        })
    }

    pub(super) fn letter(self, word: &[u8]) -> Option<Letter> {
        let (start, hides): (&[u8], _) = match self {
            Self::AttachedP if word.len() == 2 => return None,
            Self::AttachedP | Self::P => (b"-p", Pending::Secret),
            Self::CapitalP => (b"-P", Pending::Secret),
            Self::A => (b"-a", Pending::Secret),
            Self::W => (b"-w", Pending::Secret),
            Self::LoginA => (b"-a", Pending::Login),
            Self::LoginU if word.starts_with(b"--user") && word.len() == 6 => {
                (b"--user", Pending::Login)
            }
            Self::LoginU if word.starts_with(b"--proxy-user") => (b"--proxy-user", Pending::Login),
            Self::LoginU if word.starts_with(b"-U") => (b"-U", Pending::Login),
            Self::LoginU => (b"-u", Pending::Login),
        };
        word.starts_with(start).then_some(Letter {
            length: start.len(),
            hides,
        })
    }
}

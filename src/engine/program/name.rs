//! From a path, a class, a specifier or a title to the name that people use.

/// A package that is run is its own name.
pub(super) fn module_name(module: &[u8]) -> &[u8] {
    module.strip_suffix(b".__main__").unwrap_or(module)
}

/// A script without its folder and extension; `None` when the path names none.
pub(super) fn script_name(path: &[u8]) -> Option<&[u8]> {
    let path = trimmed(path);
    let name = last_part(path);
    if matches!(name, b"__main__.py" | b"__main__.pyc" | b"__main__") {
        let folder = path.strip_suffix(name)?;
        return Some(last_part(trimmed(folder))).filter(|name| !name.is_empty());
    }
    match name {
        b"" | b"." | b".." => None,
        // npm's own entry points.
        b"npm-cli.js" => Some(b"npm"),
        b"npx-cli.js" => Some(b"npx"),
        name => Some(unwrapped(without_extension(name))),
    }
}

fn without_extension(name: &[u8]) -> &[u8] {
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else {
        return name;
    };
    match name.split_at_checked(dot) {
        Some((stem, extension)) if !stem.is_empty() && is_script_extension(extension) => stem,
        Some(_) | None => name,
    }
}

/// Extensions that say "script" and nothing else: `py.test` and `rails.real` are names.
fn is_script_extension(extension: &[u8]) -> bool {
    const EXTENSIONS: [&[u8]; 32] = [
        b".py", b".pyc", b".pyw", b".pyz", b".zip", b".egg", b".js", b".mjs", b".cjs", b".ts",
        b".mts", b".cts", b".jsx", b".tsx", b".wasm", b".rb", b".rake", b".ru", b".pl", b".pm",
        b".php", b".phar", b".sh", b".bash", b".zsh", b".ksh", b".fish", b".jar", b".war",
        b".java", b".dll", b".exe",
    ];
    EXTENSIONS.contains(&extension)
}

/// `org.junit.runner.JUnitCore` is `JUnitCore`; `-m module/class` counts by its class.
pub(super) fn java_name(main: &[u8]) -> Option<&[u8]> {
    let file = last_part(main);
    let stem = without_extension(file);
    let name = if stem.len() < file.len() {
        stem
    } else {
        stem.rsplit(|&byte| byte == b'.').next()?
    };
    (!name.is_empty()).then_some(name)
}

/// `npm:vite@5` is `vite`, `jsr:@std/http@1/file-server` is `file-server`, an address counts by its file.
pub(super) fn deno_name(specifier: &[u8]) -> Option<&[u8]> {
    let package = [&b"npm:"[..], b"jsr:"]
        .iter()
        .find_map(|scheme| specifier.strip_prefix(*scheme));
    match package {
        Some(package) => last_part(package)
            .split(|&byte| byte == b'@')
            .find(|part| !part.is_empty()),
        None => specifier
            .split(|&byte| byte == b'?' || byte == b'#')
            .next()
            .and_then(script_name),
    }
}

/// Whether a path is a stream that code comes from, as in `bash <(curl …)`.
pub(super) fn is_stream(path: &[u8]) -> bool {
    path == b"/dev/stdin" || path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/self/fd/")
}

/// Nix keeps the real program as `.name-wrapped` beside a wrapper called `name`.
pub(super) fn unwrapped(name: &[u8]) -> &[u8] {
    name.strip_prefix(b".")
        .and_then(|name| name.strip_suffix(b"-wrapped"))
        .filter(|name| !name.is_empty())
        .unwrap_or(name)
}

/// The first word of a title, without what sets it off: `puma:`, `[celeryd:`, `(vitest`, a folder.
pub(super) fn first_word(title: &[u8]) -> &[u8] {
    let word = title
        .split(|&byte| byte == b' ')
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    let word = strip(
        word,
        |byte| b"[(".contains(&byte),
        |byte| b":])".contains(&byte),
    );
    last_part(word)
}

fn strip(mut word: &[u8], ahead: impl Fn(u8) -> bool, behind: impl Fn(u8) -> bool) -> &[u8] {
    while let Some((&first, rest)) = word.split_first()
        && ahead(first)
    {
        word = rest;
    }
    while let Some((&last, rest)) = word.split_last()
        && behind(last)
    {
        word = rest;
    }
    word
}

fn trimmed(path: &[u8]) -> &[u8] {
    strip(path, |_| false, |byte| byte == b'/')
}

/// A login shell calls itself `-bash`.
pub(super) fn without_dash(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"-").unwrap_or(word)
}

pub(super) fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

pub(super) fn has_blank(word: &[u8]) -> bool {
    word.contains(&b' ')
}

pub(super) fn all_empty(words: &[&[u8]]) -> bool {
    words.iter().all(|word| word.is_empty())
}

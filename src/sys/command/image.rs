//! Which image a process runs, told apart from the one before an exec.

use crate::engine::process::Pid;

/// What an exec changes and nothing else does by chance: where the kernel has put code, stack, arguments and environment, the
/// name, and the executable. All but the name are hidden of processes that are not ours to look into; of those nothing is
/// learnt either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(String);

/// Fields of `/proc/PID/stat`, by the numbers of proc(5): `startcode`, `endcode`, `startstack`, and `start_data` to `env_end`.
const FIELDS: [usize; 10] = [26, 27, 28, 45, 46, 47, 48, 49, 50, 51];

impl Image {
    /// Of who bears this number now; `None` where there is nobody.
    pub fn of(pid: Pid) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name may hold anything, so the last parenthesis is the end of it.
        let (name, rest) = stat.rsplit_once(')')?;
        let (_, name) = name.split_once('(')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let mut image = name.to_owned();
        for field in FIELDS {
            image.push(' ');
            // The state is the third, and the first here.
            let value = field.checked_sub(3).and_then(|at| fields.get(at));
            image.push_str(value.unwrap_or(&"-"));
        }
        if let Ok(exe) = std::fs::read_link(format!("/proc/{pid}/exe")) {
            image.push_str(&exe.to_string_lossy());
        }
        Some(Self(image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn an_image_stays_the_same_until_an_exec_of_the_same_program() {
        let mut child = Command::new("sh")
            .args(["-c", "echo a; read a; exec sh -c 'echo b; read c'"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::new(child.id()).unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // An exec is not over yet when whoever started it goes on.
        output.read_line(&mut line).unwrap();
        let before = Image::of(pid).unwrap();
        assert_eq!(Image::of(pid), Some(before.clone()));
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"a\n").unwrap();
        output.read_line(&mut line).unwrap();
        assert_ne!(Image::of(pid), Some(before));
        input.write_all(b"c\n").unwrap();
        child.wait().unwrap();
        assert_eq!(Image::of(pid), None);
    }
}

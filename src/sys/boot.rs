//! Which boot of the machine we live in: another one has other processes, whatever their numbers are.

use std::io;

/// Its id, as text; the kernel makes another at every boot.
#[cfg(target_os = "linux")]
pub fn id() -> io::Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

/// Its id, as text; the kernel makes another at every boot.
#[cfg(target_os = "macos")]
pub fn id() -> io::Result<String> {
    // A UUID as text, and the NUL after it.
    let mut bytes = [0_u8; 64];
    let mut length = bytes.len();
    // SAFETY: the name ends in NUL, the length is that of the buffer, and nothing is to be set.
    let read = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            bytes.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

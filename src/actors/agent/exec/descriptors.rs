//! What the program inherits: stdin, stdout and stderr. Whatever else the daemon was started with is
//! closed when the program begins.
//!
//! The one place that names descriptors nobody here owns, hence `unsafe`.

#![expect(
    unsafe_code,
    reason = "descriptors that were inherited have no owner in this program"
)]

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The first descriptor that is not passed on.
const FIRST: RawFd = 3;

/// Marks all but the first three to be closed by the next `exec`.
pub(super) fn keep_the_first_three() -> io::Result<()> {
    mark_at_once().or_else(|_| mark_each())
}

/// By one call, which kernels have since 5.11.
fn mark_at_once() -> io::Result<()> {
    // SAFETY: the call reads and writes no memory of ours, and no descriptor is closed by it.
    let marked = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            RawFd::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    match marked {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// One after the other, for older kernels and for filters that do not know the call.
fn mark_each() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|text| text.parse::<RawFd>().ok()) else {
            continue;
        };
        if number >= FIRST {
            // SAFETY: nobody closes a descriptor meanwhile, since this program has one thread; the
            // borrowed one is used for its flags alone.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            let flags = fcntl_getfd(fd)?;
            fcntl_setfd(fd, flags | FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd as _, OwnedFd};

    use super::*;

    fn inherited() -> OwnedFd {
        let file = OwnedFd::from(fs::File::open("/dev/null").unwrap());
        fcntl_setfd(file.as_fd(), FdFlags::empty()).unwrap();
        file
    }

    #[test]
    fn both_ways_mark_what_would_be_passed_on() {
        for mark in [mark_at_once, mark_each] {
            let extra = inherited();
            mark().unwrap();
            assert!(fcntl_getfd(&extra).unwrap().contains(FdFlags::CLOEXEC));
            let stderr = fcntl_getfd(std::io::stderr()).unwrap();
            assert!(!stderr.contains(FdFlags::CLOEXEC));
        }
    }
}

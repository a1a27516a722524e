//! An order that comes on stdin: the arguments of `exec-agent`, read to the byte, since what
//! follows them belongs to the program.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::Failure;

/// The longest order, bytes: what the kernel takes as arguments and environment, and then some.
const MAX_ORDER: usize = 4 << 20;

/// Puts arguments into the form in which they are read from stdin: their length, then each with a
/// zero byte behind it.
pub(crate) fn sealed(arguments: impl IntoIterator<Item = OsString>) -> Vec<u8> {
    let mut order = vec![0; size_of::<u32>()];
    for argument in arguments {
        order.extend_from_slice(argument.as_bytes());
        order.push(0);
    }
    let length = u32::try_from(order.len() - size_of::<u32>()).unwrap_or(u32::MAX);
    order[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
    order
}

/// Reads an order and not one byte more: what follows is the program's.
pub(super) fn read() -> Result<Option<Vec<OsString>>, Failure> {
    let mut length = [0; size_of::<u32>()];
    if !fill(&mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_ORDER {
        return Err(Failure::other(format!("an order of {length} bytes")));
    }
    let mut order = vec![0; length];
    if !fill(&mut order)? {
        return Ok(None);
    }
    let ended = order.strip_suffix(&[0]).unwrap_or(&order);
    let words = ended.split(|byte| *byte == 0);
    Ok(Some(
        words
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect(),
    ))
}

/// Reads stdin without a buffer; `false` if it ends before.
fn fill(mut buffer: &mut [u8]) -> Result<bool, Failure> {
    while !buffer.is_empty() {
        match rustix::io::read(rustix::stdio::stdin(), &mut *buffer) {
            Ok(0) => return Ok(false),
            Ok(read) => buffer = &mut buffer[read..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::other(format!("stdin: {error}"))),
        }
    }
    Ok(true)
}

/// Lets the program read nothing.
pub(super) fn close() -> io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdin(null)?)
}

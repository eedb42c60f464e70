//! Whether the system may write the memory of this process, keys and tokens in it, to a file when it crashes.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How it was before.
#[derive(Clone, Copy)]
pub(super) struct Before(Rlimit);

/// Has no core written, by the limit, and on Linux none taken by a program that dumps are piped to, which asks for no limit;
/// nor may another process of the same user look into the memory of this one (prctl(2), `PR_SET_DUMPABLE`).
pub(super) fn off() -> io::Result<Before> {
    let before = getrlimit(Resource::Core);
    let none = Rlimit {
        current: Some(0),
        ..before
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable(false)?;
    Ok(Before(before))
}

impl Before {
    /// As it was before, for who looks for a fault.
    pub(super) fn restore(self) -> io::Result<()> {
        setrlimit(Resource::Core, self.0)?;
        set_dumpable(true)
    }
}

#[cfg(target_os = "linux")]
fn set_dumpable(is: bool) -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let behavior = if is {
        DumpableBehavior::Dumpable
    } else {
        DumpableBehavior::NotDumpable
    };
    Ok(set_dumpable_behavior(behavior)?)
}

#[cfg(not(target_os = "linux"))]
fn set_dumpable(_: bool) -> io::Result<()> {
    Ok(())
}

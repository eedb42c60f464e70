//! The applications of `examples/`, as they are.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{http::Ask, program::wait_for};

/// An application that answers; killed when it is dropped.
#[derive(Debug)]
pub struct Example {
    child: Child,
    /// Where its users ask.
    pub public: Ask,
    _stdout: BufReader<ChildStdout>,
}

impl Example {
    /// Starts `command`, and waits until it says where it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!(
                    "{}: {e}; scripts/test installs what it needs",
                    command.get_program().display()
                )
            });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        Self {
            public: Ask::new(
                address.unwrap_or_else(|| panic!("{} did not start: {line:?}", command.get_program().display())),
            ),
            child,
            _stdout: stdout,
        }
    }

    /// Sends it SIGTERM, and waits for its end; whether that was a good one.
    pub fn terminated(mut self) -> bool {
        let mut kill = Command::new("kill");
        let sent = kill.args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let mut status = None;
        wait_for("the application to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

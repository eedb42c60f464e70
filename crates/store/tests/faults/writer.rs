//! A process that writes as fast as it can, and tells what was acknowledged, until it is killed.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use ostracon_core::Policy;
use ostracon_store::{Denylist, Durability, Options, StoreError};

use crate::support::{NOW, at, options, revocation, token};

const DIR: &str = "OSTRACON_TEST_WRITER_DIR";
const FIRST: &str = "OSTRACON_TEST_WRITER_FIRST";
const PUT_OFF: &str = "OSTRACON_TEST_WRITER_PUT_OFF";
const IN_BULK: &str = "OSTRACON_TEST_WRITER_IN_BULK";

const THREADS: usize = 4;

/// Tokens revoked at once by a writer in bulk.
pub(crate) const BULK: usize = 500;

/// Tokens from here on are swept while others are written; nobody asks for them.
const SWEPT: usize = 1 << 40;

/// One thing that happened to the token of that number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    Revoked(usize),
    /// A lift was asked for: it may have happened or not.
    Lifting(usize),
    Lifted(usize),
}

/// The process, seen from outside.
pub(crate) struct Writer {
    child: Child,
    events: mpsc::Receiver<Event>,
}

impl Writer {
    /// Starts one on the store in `dir`. It revokes tokens from number `first` on; syncs are put off for ever if `put_off`.
    pub(crate) fn start(dir: &Path, first: usize, put_off: bool) -> Self {
        Self::run(dir, first, put_off.then_some(PUT_OFF))
    }

    /// Starts one that revokes [`BULK`] tokens at a time, without a pause, and does nothing else.
    pub(crate) fn start_in_bulk(dir: &Path, first: usize) -> Self {
        Self::run(dir, first, Some(IN_BULK))
    }

    fn run(dir: &Path, first: usize, manner: Option<&str>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "writer::until_killed", "--ignored", "--nocapture", "--quiet"])
            .env(DIR, dir)
            .env(FIRST, first.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(manner) = manner {
            command.env(manner, "yes");
        }
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for event in told(out) {
                // Who does not listen any more has heard enough.
                let _ = sender.send(event);
            }
        });
        Self { child, events }
    }

    /// The next thing that it tells; none once it has ended.
    pub(crate) fn next(&self) -> Option<Event> {
        self.events.recv().ok()
    }

    /// What it has told by now.
    pub(crate) fn so_far(&self) -> impl Iterator<Item = Event> {
        self.events.try_iter()
    }

    /// Kills it, and answers with what it still had told.
    pub(crate) fn kill(mut self) -> Vec<Event> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.events.iter().collect()
    }
}

fn told(out: BufReader<ChildStdout>) -> impl Iterator<Item = Event> {
    // A line that the kill cut off has no end, and tells nothing.
    let lines = out.split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| {
        let line = String::from_utf8(line).ok()?;
        // The test harness says a word of its own before.
        let (word, rest) = line.split_once(' ')?;
        let n = rest.strip_suffix('.')?.parse().ok()?;
        match word {
            "r" => Some(Event::Revoked(n)),
            "?" => Some(Event::Lifting(n)),
            "l" => Some(Event::Lifted(n)),
            _ => None,
        }
    })
}

/// No test, but the process that others start and kill.
#[test]
#[ignore = "it is started by the tests that kill it"]
fn until_killed() {
    let Ok(dir) = env::var(DIR) else { return };
    let first: usize = env::var(FIRST).unwrap().parse().unwrap();
    let durability = match env::var(PUT_OFF) {
        Ok(_) => Durability::Interval(Duration::MAX),
        Err(_) => Durability::Sync,
    };
    let options = Options {
        durability,
        ..options(first.is_multiple_of(2))
    };
    let denylist = Denylist::open(Path::new(&dir), &options).unwrap();
    if env::var_os(IN_BULK).is_some() {
        return write_in_bulk(&denylist, first);
    }
    let out = Mutex::new(io::stdout());
    let tell = |word: &str, n: usize| writeln!(out.lock().unwrap(), "{word} {n}.").unwrap();
    thread::scope(|scope| {
        for writer in 0..THREADS {
            let (denylist, tell) = (&denylist, &tell);
            scope.spawn(move || write(denylist, first + writer, tell));
        }
        scope.spawn(|| sweep(&denylist, first));
    });
}

fn write_in_bulk(denylist: &Denylist, first: usize) {
    for from in (first..).step_by(BULK) {
        let tokens = from..from + BULK;
        denylist
            .revoke_many(tokens.clone().map(|n| revocation(token(n))))
            .unwrap();
        let mut out = io::stdout().lock();
        tokens.for_each(|n| writeln!(out, "r {n}.").unwrap());
    }
}

/// Ends with the first write that is refused, as after a power cut.
fn write(denylist: &Denylist, first: usize, tell: &dyn Fn(&str, usize)) -> Option<()> {
    for n in (first..).step_by(THREADS) {
        denylist.revoke(revocation(token(n))).ok()?;
        tell("r", n);
        if n.is_multiple_of(7) {
            tell("?", n);
            denylist.lift(token(n)).ok()?;
            tell("l", n);
        }
    }
    Some(())
}

fn sweep(denylist: &Denylist, first: usize) -> Result<(), StoreError> {
    for n in 0.. {
        let end = NOW + n + 10;
        let short = |m| revocation(token(SWEPT + first + m)).expiring(at(end), &Policy::default());
        denylist.revoke_many((0..20).map(short))?;
        denylist.sweep(at(end + 100))?;
        // Checkpoints as often as can be: one that claims more than the journal has would not open after a power cut.
        denylist.settle()?;
    }
    Ok(())
}

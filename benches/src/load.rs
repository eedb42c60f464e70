//! The one source of requests that all servers of a comparison are asked from: connections that are kept, each with one
//! request under way, on one thread.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{fs, io, net::SocketAddr, sync::Arc, time::Instant};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// How long an answer may take: one that takes longer ends the comparison.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it goes over the wire, and what must be answered.
#[derive(Debug)]
pub struct Request {
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// What the answer begins with.
    pub expected: &'static [u8],
    /// Where in the bytes sixteen digits stand that are others each time, so that what is asked for is new.
    pub serial: Option<usize>,
}

/// What the next [serial](Request::serial) is.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Request {
    /// The bytes as they are sent this time, in `buffer`.
    fn put(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        let Some(at) = self.serial else { return };
        let digits = format!("{:016x}", NEXT.fetch_add(1, Ordering::Relaxed));
        let place = buffer.get_mut(at..).and_then(|rest| rest.get_mut(..digits.len()));
        place.expect("room for the digits").copy_from_slice(digits.as_bytes());
    }
}

/// How the end of an answer is known.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// A head, and a body of `content-length`.
    Http,
    /// A bulk string of Redis, or none, or a word.
    Redis,
}

/// What came of one turn.
#[derive(Debug)]
pub struct Load {
    /// How long each answer took, in nanoseconds.
    pub latencies: Vec<u64>,
    /// How long the turn took.
    pub took: Duration,
    /// Processor time of the source itself.
    pub own: Duration,
}

/// Asks `server` each of `requests` in turn over so many `connections`, for as long as `duration`. Each connection begins at
/// another of them.
///
/// # Panics
///
/// When an answer is not what its request expects, does not come, or breaks the protocol.
#[must_use]
pub fn ask(
    server: SocketAddr,
    protocol: Protocol,
    requests: &Arc<[Request]>,
    connections: usize,
    duration: Duration,
) -> Load {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(server).await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            streams.push(stream);
        }
        let (began, before) = (Instant::now(), own_time());
        let until = began.checked_add(duration).expect("a time");
        let mut all = JoinSet::new();
        let apart = requests.len().div_ceil(connections);
        for (n, stream) in streams.into_iter().enumerate() {
            let requests = Arc::clone(requests);
            let first = n.saturating_mul(apart);
            all.spawn(async move { converse(stream, protocol, &requests, first, until).await });
        }
        let mut latencies = Vec::new();
        while let Some(done) = all.join_next().await {
            latencies.extend(done.expect("a connection").expect("an answer"));
        }
        Load {
            latencies,
            took: began.elapsed(),
            own: own_time().saturating_sub(before),
        }
    })
}

async fn converse(
    mut stream: TcpStream,
    protocol: Protocol,
    requests: &[Request],
    first: usize,
    until: Instant,
) -> io::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut buffer = Vec::with_capacity(4096);
    let mut sent = Vec::with_capacity(4096);
    for request in requests.iter().cycle().skip(first) {
        let asked = Instant::now();
        if asked >= until {
            break;
        }
        request.put(&mut sent);
        stream.write_all(&sent).await?;
        buffer.clear();
        loop {
            let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut buffer)).await??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if protocol.is_whole(&buffer) {
                break;
            }
        }
        assert!(
            buffer.starts_with(request.expected),
            "expected {}, not {}",
            String::from_utf8_lossy(request.expected),
            String::from_utf8_lossy(&buffer)
        );
        latencies.push(u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(latencies)
}

impl Protocol {
    /// Whether `answer` is all there.
    fn is_whole(self, answer: &[u8]) -> bool {
        match self {
            Self::Redis => match answer {
                [b'$', b'-', ..] | [b'+', ..] => answer.ends_with(b"\r\n"),
                // `$1`, and what it announces, each with its end of line.
                _ => answer.ends_with(b"\r\n") && answer.split(|byte| *byte == b'\n').count() == 3,
            },
            Self::Http => {
                let Some(head) = memmem::find(answer, b"\r\n\r\n") else {
                    return false;
                };
                let (head, body) = answer.split_at(head.saturating_add(4));
                body.len() >= content_length(head)
            }
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let value = value.and_then(|value| core::str::from_utf8(value).ok());
    value.map_or(0, |value| value.trim().parse().expect("a length"))
}

/// Processor time of this thread so far.
fn own_time() -> Duration {
    run_time("/proc/thread-self/schedstat")
}

/// Processor time of the process `pid` so far, that of its living threads.
///
/// # Panics
///
/// When there is no such process: it has ended while it was measured.
#[must_use]
pub fn process_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that lives");
    threads
        .filter_map(|thread| Some(thread.ok()?.path().join("schedstat")))
        .filter(|path| path.exists())
        .map(|path| run_time(path.to_str().expect("a path")))
        .sum()
}

fn run_time(path: &str) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn an_answer_ends_with_its_body() {
        let http = |text: &str| Protocol::Http.is_whole(text.as_bytes());
        assert!(!http("HTTP/1.1 200 OK\r\n"));
        assert!(http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!http("HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\n\r\nno"));
        assert!(http("HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\n\r\nnot"));
    }

    #[test]
    fn a_bulk_string_ends_with_its_second_line() {
        let redis = |text: &str| Protocol::Redis.is_whole(text.as_bytes());
        assert!(!redis("$-1"));
        assert!(redis("$-1\r\n"));
        assert!(!redis("$1\r\n1"));
        assert!(redis("$1\r\n1\r\n"));
        assert!(redis("+OK\r\n"));
    }
}

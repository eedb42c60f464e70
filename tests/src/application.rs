//! An application behind a proxy: it says what reached it.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

/// A request as it arrived.
#[derive(Debug)]
#[expect(missing_docs, reason = "as HTTP has them")]
pub struct Arrived {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Arrived {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// All of it, as JSON.
    pub fn to_json(&self) -> Value {
        json!({"method": self.method, "path": self.path, "headers": self.headers, "body": self.body})
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        // Browsers open connections that they may never use.
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut stream = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            let read = stream.by_ref().take(16 * 1024).read_line(&mut line).ok()?;
            (read > 0).then(|| line.trim_end().to_owned())
        };
        let first = line()?;
        let (method, path) = first.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        let mut headers = Vec::new();
        while let Some((name, value)) = line()?.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut arrived = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            body: String::new(),
        };
        let length = arrived.header("content-length").unwrap_or("0").parse().ok()?;
        stream.take(length).read_to_string(&mut arrived.body).ok()?;
        Some(arrived)
    }
}

/// What the application answers.
#[derive(Debug)]
#[expect(missing_docs, reason = "as HTTP has them")]
pub struct Reply {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    /// `200` with a body of that type.
    pub fn ok(content_type: &str, body: impl Into<String>) -> Self {
        Self {
            status: "200 OK",
            headers: vec![("Content-Type", content_type.to_owned())],
            body: body.into(),
        }
    }

    fn write(&self, mut stream: &TcpStream) {
        let length = ("Content-Length", self.body.len().to_string());
        let mut answer = format!("HTTP/1.1 {}\r\nConnection: close\r\n", self.status);
        for (name, value) in self.headers.iter().chain([&length]) {
            answer.extend([name, ": ", value, "\r\n"]);
        }
        answer.extend(["\r\n", &self.body]);
        // Whoever does not wait for the answer does not need it.
        let _ = stream.write_all(answer.as_bytes());
    }
}

/// It, listening; it ends when it is dropped.
pub struct Application {
    address: SocketAddr,
    arrived: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Application {
    /// One that answers with what reached it.
    pub fn echo() -> Self {
        Self::start(|arrived| Reply::ok("application/json", arrived.to_json().to_string()))
    }

    /// One that answers as `reply` says.
    pub fn start(reply: impl Fn(&Arrived) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, ends, reply) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
            Arc::new(reply),
        );
        let thread = thread::spawn({
            let (arrived, ends) = (Arc::clone(&arrived), Arc::clone(&ends));
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if ends.load(SeqCst) {
                        return;
                    }
                    let (arrived, reply) = (Arc::clone(&arrived), Arc::clone(&reply));
                    thread::spawn(move || {
                        if let Some(request) = Arrived::read(&stream) {
                            arrived.fetch_add(1, SeqCst);
                            reply(&request).write(&stream);
                        }
                    });
                }
            }
        });
        Self {
            address,
            arrived,
            ends,
            thread: Some(thread),
        }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many requests have reached it.
    pub fn arrived(&self) -> usize {
        self.arrived.load(SeqCst)
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application at {}", self.address)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.ends.store(true, SeqCst);
        // The last connection, which lets it see that it is to end.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

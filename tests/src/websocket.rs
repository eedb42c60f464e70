//! The client's side of a WebSocket (RFC 6455), as far as a test needs it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A socket that was let in.
#[derive(Debug)]
pub struct WebSocket(BufReader<TcpStream>);

/// What a socket hears.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    /// A message.
    Text(String),
    /// It is closed, with this code.
    Closed(u16),
}

impl WebSocket {
    /// Opens one at `address`, with `header`.
    ///
    /// # Errors
    ///
    /// The status, where it is not let in.
    pub fn open(address: &str, header: &str) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        while head.last().is_none_or(|line: &String| line != "\r\n") {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).unwrap() > 0, "no answer: {head:?}");
            head.push(line);
        }
        let status = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 { Ok(Self(stream)) } else { Err(status) }
    }

    /// Sends a short message.
    pub fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).unwrap();
        // The mask that a client's frames must have, of zeros.
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.get_mut().write_all(&frame).unwrap();
    }

    /// Waits for what comes next.
    pub fn hear(&mut self) -> Heard {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let [first, length] = head;
        assert!(first & 0x80 != 0 && length < 126, "one short frame: {head:?}");
        let mut payload = vec![0; length.into()];
        self.0.read_exact(&mut payload).unwrap();
        match first & 0x0f {
            1 => Heard::Text(String::from_utf8(payload).unwrap()),
            8 => Heard::Closed(u16::from_be_bytes([payload[0], payload[1]])),
            other => panic!("opcode {other}"),
        }
    }

    /// Whether it is open: what is said comes back.
    pub fn is_open(&mut self) -> bool {
        self.say("still here?");
        self.hear() == Heard::Text("still here?".to_owned())
    }
}

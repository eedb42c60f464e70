//! Heads of requests: how large they may be, and what is said to those that cannot be read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::http::{Method, Request, Version, header};

use crate::{listen::Stream, problem::Problem};

/// The largest head of a request, in bytes, the empty line behind it included: room for a token in `Authorization`, one in
/// a cookie, and what else a browser sends along.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What is said to a request whatever it is for, if it is none that anybody should answer.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Problem> {
    if is_too_large(request) {
        Some(Problem::head_too_large())
    } else if !is_proper(request) {
        Some(Problem::head_malformed())
    } else {
        None
    }
}

/// Whether `request` names one host, as it must from HTTP/1.1 on (RFC 9112 §3.2), has no transfer coding but one `chunked`, since
/// of any other the body would have to be decoded (§6.1), and asks for no tunnel, which the connection would be behind a good
/// answer (RFC 9110 §9.3.6).
fn is_proper<B>(request: &Request<B>) -> bool {
    let all = |name| request.headers().get_all(name).iter();
    let mut codings = all(header::TRANSFER_ENCODING);
    let is_plain = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    let hosts = all(header::HOST).take(2).count();
    let is_named = hosts == 1 || hosts == 0 && request.version() < Version::HTTP_11;
    is_named && is_plain && codings.next().is_none() && request.method() != Method::CONNECT
}

/// Whether the head of `request` is larger than [`MAX_HEAD_BYTES`], in the spelling with one space behind each colon. What
/// reads the head stops at that, too, but by as much later as it happened to read at once.
fn is_too_large<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    let target = [
        uri.scheme_str().map_or(0, |scheme| scheme.len().saturating_add(3)),
        uri.authority().map_or(0, |authority| authority.as_str().len()),
        uri.path_and_query().map_or(0, |target| target.as_str().len()),
    ];
    let line = [request.method().as_str().len(), "  HTTP/1.1\r\n\r\n".len()];
    let fields = request.headers().iter().map(|(name, value)| {
        let colon_and_end = 4_usize;
        colon_and_end
            .saturating_add(name.as_str().len())
            .saturating_add(value.len())
    });
    target.into_iter().chain(line).chain(fields).sum::<usize>() > MAX_HEAD_BYTES
}

/// What is said to a head that cannot be read: no handler ever sees it, and hyper answers it by itself, without a word. On its
/// way out that answer gets the body that every other failure has (RFC 9457).
#[derive(Debug, Default)]
pub(crate) struct Answers {
    instead: Vec<u8>,
    written: usize,
}

impl Answers {
    /// Writes `bytes` to `stream`, or what is said instead of them.
    pub(crate) fn poll_write(
        &mut self,
        stream: &mut dyn Stream,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_empty() {
            match with_words(bytes) {
                Some(instead) => self.instead = instead,
                None => return Pin::new(stream).poll_write(context, bytes),
            }
        }
        while let Some(rest @ [_, ..]) = self.instead.get(self.written..) {
            match ready!(Pin::new(&mut *stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written = self.written.saturating_add(written),
            }
        }
        *self = Self::default();
        Poll::Ready(Ok(bytes.len()))
    }
}

/// `answer` with a body, if it is hyper's own: it has none, and lacks what all of ours have.
fn with_words(answer: &[u8]) -> Option<Vec<u8>> {
    const NO_BODY: &str = "\r\ncontent-length: 0\r\n";
    let code = answer.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
    let problem = match code {
        b"00" => Problem::head_malformed(),
        b"14" => Problem::target_too_long(),
        b"31" => Problem::head_too_large(),
        _ => return None,
    };
    let head = str::from_utf8(answer).ok()?;
    let is_one = head.find("\r\n\r\n") == head.len().checked_sub(4);
    if !is_one || !head.contains(NO_BODY) || head.contains("\r\nx-content-type-options:") {
        return None;
    }
    let body = problem.to_json();
    let fields = format!(
        "\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         content-length: {}\r\n",
        body.len()
    );
    Some([head.replacen(NO_BODY, &fields, 1).as_bytes(), &body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes a byte at a time, and each other time none.
    #[derive(Default)]
    struct Narrow(Vec<u8>, bool);

    impl tokio::io::AsyncRead for Narrow {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl tokio::io::AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.1 = !self.1;
            if self.1 {
                return Poll::Pending;
            }
            self.0.extend(bytes.iter().take(1));
            Poll::Ready(Ok(bytes.len().min(1)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(bytes: &[u8]) -> String {
        let (mut stream, mut answers) = (Narrow::default(), Answers::default());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Poll::Ready(taken) = answers.poll_write(&mut stream, &mut context, rest) {
                rest = rest.get(taken.unwrap()..).unwrap();
            }
        }
        String::from_utf8(stream.0).unwrap()
    }

    #[test]
    fn p114_what_no_handler_sees_has_a_body_too() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let answer = written(bare.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 ") && head.ends_with("\r\ndate: now"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(body.contains(r#""status":431"#) && body.contains(r#""code":"head_too_large""#));

        for ours in [
            bare.replace("date", "x-content-type-options"),
            bare.replace("431", "404"),
            bare.replace("431", "200"),
            bare.replace(": 0", ": 4") + "body",
            "HTTP/1.1 4".to_owned(),
        ] {
            assert_eq!(written(ours.as_bytes()), ours);
        }
    }

    #[test]
    fn a38_a_head_is_as_large_as_it_is_written() {
        let head = |padding: usize| {
            let padding = "x".repeat(padding);
            let request = Request::get("/a?b").header("host", "h").header("p", padding);
            is_too_large(&request.body(()).unwrap())
        };
        let rest = "GET /a?b HTTP/1.1\r\nhost: h\r\np: \r\n\r\n".len();
        assert!(!head(MAX_HEAD_BYTES - rest) && head(MAX_HEAD_BYTES - rest + 1));
    }
}

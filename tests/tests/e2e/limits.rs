//! What one caller may take.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use ostracon_tests::{Home, wait_for};
use serde_json::json;

/// Reads what is answered until the other side closes.
fn rest(mut stream: impl Read) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A92, P71, P80: who guesses is turned away, and nobody else.
#[test]
fn a92_failed_logins_are_limited_and_keep_no_backend_out() {
    let home = Home::new();
    let server = home.start_with(&[("OSTRACON_LIMITS__FAILURES_PER_MINUTE", "5")]);
    let body = json!({"sub": "u"});
    let guess = |id: &str| server.admin.as_client(id, "guess").post_json("/v1/sessions", &body);
    assert_eq!(guess("backend").problem().0, 401);
    wait_for("guesses to be limited", || guess("backend").status == 429);
    let limited = guess("nobody");
    assert_eq!(limited.problem(), (429, "too_many_failures".into()));
    assert!(
        limited
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
    let introspect = server
        .public
        .as_client("backend", "guess")
        .post_form("/oauth/introspect", "token=x");
    assert_eq!(introspect.status, 429);
    // From the same address and under the same name, the right secret revokes all the same.
    let revocation = json!({"target": {"kind": "subject", "sub": "u"}});
    assert_eq!(server.admin.post_json("/v1/revocations", &revocation).status, 201);
}

/// A client that sends its head drop by drop, or nothing at all, is cut off and makes room.
#[test]
fn slow_and_idle_connections_make_room() {
    let home = Home::new();
    let server = home.start_with(&[
        ("OSTRACON_LIMITS__HEADER_TIMEOUT", "1s"),
        ("OSTRACON_LIMITS__REQUEST_TIMEOUT", "1s"),
        ("OSTRACON_LIMITS__CONNECTIONS", "1"),
    ]);
    let mut slow = TcpStream::connect(server.public.address()).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    assert_eq!(
        server.public.get("/healthz").status,
        200,
        "after the slow one was cut off"
    );
    assert!(!rest(slow).contains("200"));
    // A body that does not come.
    let mut stream = TcpStream::connect(server.public.address()).unwrap();
    let head = "POST /auth/logout HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = rest(stream);
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"),
        "{answer}"
    );
}

/// A client that asks and asks, and takes none of the answers, is cut off and makes room.
#[test]
fn who_takes_no_answer_makes_room() {
    let home = Home::new();
    let server = home.start_with(&[
        ("OSTRACON_LIMITS__HEADER_TIMEOUT", "2s"),
        ("OSTRACON_LIMITS__EVENT_HEARTBEAT", "1s"),
        ("OSTRACON_LIMITS__CONNECTIONS", "1"),
    ]);
    let mut greedy = TcpStream::connect(server.public.address()).unwrap();
    greedy.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let questions = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    // Until the answers fill all there is between the two, and the server takes no more questions.
    let asked = (0..1_000).take_while(|_| greedy.write_all(questions.as_bytes()).is_ok());
    assert!(asked.count() < 1_000, "it is never full");
    assert_eq!(server.public.get("/healthz").status, 200, "after it was cut off");
}

/// RFC 9112 §3.2, §6.1; RFC 9110 §9.3.6: what could be taken for something else is taken for nothing.
#[test]
fn a_head_that_names_no_host_or_two_or_another_coding_is_malformed() {
    let home = Home::new();
    let server = home.start();
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(server.public.address()).unwrap();
        stream.write_all(format!("{head}\r\n\r\n").as_bytes()).unwrap();
        rest(stream)
    };
    for bad in [
        "GET /healthz HTTP/1.1",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a",
        "POST /logout HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
        "POST /logout HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "CONNECT /auth/verify HTTP/1.1\r\nHost: a",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443",
    ] {
        let answer = ask(bad);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad}: {answer}");
        assert!(
            answer.contains("head_malformed") && answer.contains("\r\nconnection: close\r\n"),
            "{bad}: {answer}"
        );
    }
    assert!(ask("GET /healthz HTTP/1.0").starts_with("HTTP/1.0 200 "));
}

/// A37, A38: what is too large costs no more than the limit.
#[test]
fn a38_heads_are_bounded() {
    let home = Home::new();
    let server = home.start();
    let mut stream = TcpStream::connect(server.public.address()).unwrap();
    let head = "GET /auth/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ";
    // The server answers and closes in the middle of it; that sending then fails is no matter.
    let _ = stream.write_all(head.as_bytes());
    let chunk = vec![b'a'; 16 * 1024];
    let _ = (0..1024).try_for_each(|_| stream.write_all(&chunk));
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
    assert_eq!(server.public.get("/healthz").status, 200);
}

#[test]
fn a_listener_can_be_a_unix_socket() {
    let home = Home::new();
    let path = home.path().join("public.sock");
    let server = home.start_on_socket(&path);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert!(rest(stream).starts_with("HTTP/1.1 200 OK"));
    server.terminate();
    assert!(server.ended().0.success());
    assert!(!path.exists(), "the socket goes with the server");
}

/// A form of thousands of names is refused before they are compared, and costs nobody else anything.
#[test]
fn a89_parameters_are_bounded() {
    let home = Home::new();
    let server = home.start();
    let form: Vec<_> = (0..9000).map(|n| format!("{n:x}")).collect();
    let form = form.join("&");
    for path in ["/auth/logout", "/auth/refresh", "/oauth/revoke"] {
        let answer = server.oauth.post_form(path, &form);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.body.contains("parameters"));
    }
}

/// Where a request is answered ahead of its body, the next one is answered on the same connection, or this one says that
/// the connection ends; and the answer arrives, also at whoever reads nothing before all is sent.
#[test]
fn what_is_answered_ahead_of_its_body_breaks_no_other_request() {
    let home = Home::new();
    let server = home.start();
    let json = "application/json";
    let routes = [
        ("/v1/revocations", json, 401),
        ("/v1/revocations/batch", json, 401),
        ("/v1/maintenance/sweep", json, 401),
        ("/nowhere", json, 404),
        ("/healthz", json, 405),
    ];
    let as_backend = server.admin.authorization();
    let known = format!("Authorization: {as_backend}\r\n");
    let of_known = [
        ("/v1/revocations", "text/plain", 415),
        ("/v1/revocations/batch", "text/plain", 415),
        ("/v1/maintenance/backup", json, 403),
    ];
    let all = routes.map(|(path, sent, status)| ("", path, sent, status));
    let all = all
        .into_iter()
        .chain(of_known.map(|(path, sent, status)| (&*known, path, sent, status)));
    for (authorization, path, sent, status) in all {
        let ask = |framing: &str, body: &[u8]| {
            let mut stream = TcpStream::connect(server.admin.address()).unwrap();
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: {sent}\r\n{framing}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
            let answers = rest(stream);
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answers}");
            assert!(!answers.contains("100 Continue"), "{path}: {answers}");
            let (first, _) = answers.split_once("\r\n\r\n").unwrap();
            (
                first.contains("\r\nconnection: close"),
                answers.contains("HTTP/1.1 200 OK"),
            )
        };
        let next = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let (goes_on, ends) = ((false, true), (true, false));
        let short = "x".repeat(60_000);
        let framing = "Content-Length: 60000";
        assert_eq!(ask(framing, format!("{short}{next}").as_bytes()), goes_on, "{path}");
        assert_eq!(ask("Content-Length: 12000000", &vec![b'x'; 12_000_000]), ends, "{path}");
        let chunked = format!("ea60\r\n{short}\r\n0\r\n\r\n");
        assert_eq!(ask("Transfer-Encoding: chunked", chunked.as_bytes()), ends, "{path}");
        // Nobody has said that it should come.
        assert_eq!(ask("Content-Length: 5\r\nExpect: 100-continue", b""), ends, "{path}");
    }
}

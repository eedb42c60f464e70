//! What one caller may take.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use ostracon_tests::{Home, wait_for};
use serde_json::json;

/// Reads what is answered until the other side closes.
fn rest(mut stream: impl Read) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

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

/// A body that nobody wanted is not left in the connection, where it was in the way of the next request.
#[test]
fn a_body_that_maintenance_does_not_ask_for_breaks_no_other_request() {
    let home = Home::new();
    let server = home.start();
    for route in ["backup", "sweep", "rebuild-prefilter"] {
        let mut stream = TcpStream::connect(server.admin.address()).unwrap();
        let head = format!(
            "POST /v1/maintenance/{route} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut continued = [0; 25];
        stream.read_exact(&mut continued).unwrap();
        assert!(
            continued.starts_with(b"HTTP/1.1 100 Continue"),
            "{route}: it is read before anything is answered"
        );
        stream
            .write_all(b"helloGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let answers = rest(stream);
        assert!(answers.starts_with("HTTP/1.1 401 "), "{answers}");
        assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
    }
}

//! Callers who are in no hurry: what each costs, how long it is put up with, and what the others notice of it.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ostracon_tests::Home;

use crate::{
    Told,
    life::{Pool, verify},
    quantile,
};

/// How long the server waits for a head.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long until all must be gone.
const PATIENCE: Duration = Duration::from_mins(3);

/// What is sent at first, what again and again, and by how many.
fn sort(name: &str) -> (&'static [u8], &'static [u8], usize) {
    const BEGUN: &[u8] = b"GET /auth/verify HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    const MANY: &[u8] = b"X-Flood: flood, flood, flood, flood, flood, flood, flood, flood\r\n";
    const QUESTION: &[u8] = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    match name {
        "idle" => (b"", b"", 10_000),
        "slow" => (BEGUN, b"x", 500),
        "half-open" => (BEGUN, b"", 2_000),
        // They take none of the answers, which are long.
        "untaken" => (b"", QUESTION, 200),
        _ => (b"GET /auth/verify HTTP/1.1\r\n", MANY, 100),
    }
}

/// Has callers of the sort `name` at the program, until it has let all of them go.
pub(crate) fn run(name: &str) -> bool {
    let (first, again, many) = sort(name);
    let takes = name != "untaken";
    let turns = if name == "flood" || !takes { 100 } else { 1 };
    let home = Home::new();
    let server = home.start_with(&[
        ("OSTRACON_LIMITS__HEADER_TIMEOUT", "60s"),
        ("OSTRACON_LIMITS__CONNECTIONS", "20000"),
    ]);
    let (told, pool) = (Arc::new(Told::default()), Arc::new(Pool::fill(&server, 50)));
    let other = {
        let (told, pool, public) = (Arc::clone(&told), Arc::clone(&pool), server.public.clone());
        thread::spawn(move || {
            for slot in (0..50).cycle() {
                if told.is_over() {
                    return;
                }
                verify(&pool, &told, &public, slot);
            }
        })
    };
    thread::sleep(Duration::from_secs(3));
    let (quiet, before) = (told.window(), server.resident_kib());

    let begun = Instant::now();
    let mut callers: Vec<_> = (0..many)
        .map(|_| {
            let asked = if takes { &server.public } else { &server.admin };
            let mut stream = TcpStream::connect(asked.address()).unwrap();
            stream.write_all(first).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let all_there = begun.elapsed();
    let (mut peak, mut sent, mut first_gone) = (0, 0_u64, None);
    while !callers.is_empty() && begun.elapsed() < PATIENCE {
        peak = peak.max(server.resident_kib());
        callers.retain_mut(|stream| {
            // A flood comes as fast as it is taken, a drop once a turn.
            for _ in 0..turns {
                match stream.write(again) {
                    Ok(written) => sent += u64::try_from(written).unwrap(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return false,
                }
            }
            let mut answer = [0; 1024];
            match if takes { stream.read(&mut answer) } else { Ok(1) } {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            }
        });
        if callers.len() < many {
            first_gone.get_or_insert_with(|| begun.elapsed());
        }
        thread::sleep(Duration::from_millis(if turns > 1 { 5 } else { 200 }));
    }
    let (gone, meanwhile) = (begun.elapsed(), told.window());
    told.end();
    other.join().unwrap();

    let each = peak.saturating_sub(before) as f64 / many as f64;
    println!(
        "{name}: {many} connections, all there after {:.1} s",
        all_there.as_secs_f64()
    );
    println!("  memory          {before} KiB before, {peak} KiB at most: {each:.1} KiB each");
    println!("  sent            {sent} bytes beyond the first");
    println!(
        "  let go          first after {:.1} s, last after {:.1} s; the limit for a head is {} s",
        first_gone.unwrap_or_default().as_secs_f64(),
        gone.as_secs_f64(),
        HEADER_TIMEOUT.as_secs()
    );
    let (p99, quiet) = (quantile(&meanwhile, 0.99), quantile(&quiet, 0.99));
    println!(
        "  verify, others  p99 {p99} us over {} answers; {quiet} us before",
        meanwhile.len()
    );
    let errors = told.errors.lock().unwrap();
    errors.iter().take(10).for_each(|error| println!("  {error}"));
    println!(
        "  left over       {} connections, {} errors",
        callers.len(),
        errors.len()
    );
    callers.is_empty() && errors.is_empty()
}

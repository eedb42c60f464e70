//! Guards the hot path by instructions, which are the same in each run, where times are not: each case is run under
//! callgrind, and held against `instructions.txt`.
//!
//! `scripts/instructions` runs it, and `scripts/instructions --renew` writes down what it finds. Counted is what happens
//! between the beginning and the end of [`measured`], on its thread alone. What cryptography takes is counted on its own
//! and taken off, since it chooses its code by the processor.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use ostracon_benches::{
    issuer::Party,
    listing::Listing,
    names::{self, NOW, UNLISTED},
};
use ostracon_core::{
    Algorithm, Claims, Compact, Demand, Facts, Memory, Policy, Scope, Target, Targets, TokenType, decide,
};

/// How many percent a case may take more than is written down, and how many instructions in any event: another C library
/// copies and compares otherwise.
const TOLERANCE: u64 = 5;
const SLACK: u64 = 24;
/// Inputs of each case, each taken once.
const INPUTS: u64 = 256;

/// What is counted, and what of it is not ours.
const CASES: [(&str, Option<&str>); 8] = [
    ("check absent, one target", None),
    ("check absent, six targets", None),
    ("check listed, one target", None),
    ("verify HS256 first time, our part", Some("signature of HS256")),
    (
        "verify HS256 first time, and kept, our part",
        Some("signature of HS256"),
    ),
    ("verify EdDSA seen before", None),
    ("recall alone", None),
    ("decide", None),
];

/// A MAC that is wrong in its first byte, and one that is in its last: who could tell them apart by the time that they take could
/// guess byte by byte (P25; RFC 7518 §3.2).
const ALIKE: [&str; 2] = ["HS256, wrong from the first byte on", "HS256, wrong in the last byte"];

/// Where a call of this begins and ends, counting does.
#[inline(never)]
fn measured(calls: &mut dyn FnMut()) {
    calls();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Ok(case) = env::var("OSTRACON_INSTRUCTIONS_OF") {
        run(&case);
        return ExitCode::SUCCESS;
    }
    if !has("--count") {
        // `cargo bench` and `cargo test --benches` have no valgrind to count with; that the cases can be set up, they see.
        for (case, part) in CASES {
            run(case);
            part.into_iter().for_each(run);
        }
        ALIKE.into_iter().for_each(run);
        return ExitCode::SUCCESS;
    }
    let found: BTreeMap<_, _> = CASES
        .into_iter()
        .map(|(case, part)| {
            let foreign = part.map_or(0, count);
            (case.to_owned(), count(case).saturating_sub(foreign) / INPUTS)
        })
        .collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    if has("--renew") {
        let lines = found.iter().map(|(case, count)| format!("{count}\t{case}\n"));
        fs::write(&file, lines.collect::<String>()).expect("a baseline");
        println!("written to {}", file.display());
        return ExitCode::SUCCESS;
    }
    if p025_a_wrong_mac_takes_what_any_wrong_mac_takes() {
        compare(&found, &file)
    } else {
        ExitCode::FAILURE
    }
}

/// Whether it makes no difference where a MAC is wrong, to an instruction in each comparison. A comparison that ends at the first
/// byte that differs would take three or more for each that does not.
fn p025_a_wrong_mac_takes_what_any_wrong_mac_takes() -> bool {
    let [first, last] = ALIKE.map(count);
    let is_alike = first.abs_diff(last) < INPUTS;
    let word = if is_alike { "" } else { "NOT ALIKE" };
    println!("a wrong MAC: {first} and {last} instructions in {INPUTS} comparisons {word}\n");
    is_alike
}

/// Whether no case takes more than is written down, within the tolerance.
fn compare(found: &BTreeMap<String, u64>, file: &Path) -> ExitCode {
    let written = fs::read_to_string(file).expect("a baseline");
    let written: BTreeMap<_, u64> = written
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(count, case)| (case, count.parse().expect("a count")))
        .collect();
    let mut code = ExitCode::SUCCESS;
    println!("| instructions a call | written down | now | |\n|---|---:|---:|---|");
    for (case, now) in found {
        let Some(before) = written.get(case.as_str()) else {
            println!("| {case} | none | {now} | MISSING |");
            code = ExitCode::FAILURE;
            continue;
        };
        let allowed = before.saturating_mul(100 + TOLERANCE) / 100;
        let allowed = allowed.max(before.saturating_add(SLACK));
        let fewer = before.saturating_mul(100 - TOLERANCE) / 100;
        let word = match now {
            now if *now > allowed => {
                code = ExitCode::FAILURE;
                "TOO MANY"
            }
            now if *now < fewer => "fewer: renew what is written down",
            _ => "",
        };
        println!("| {case} | {before} | {now} | {word} |");
    }
    for case in written.keys().filter(|case| !found.contains_key(**case)) {
        println!("| {case} | | none | GONE |");
        code = ExitCode::FAILURE;
    }
    if code != ExitCode::SUCCESS {
        println!(
            "\nThe hot path takes more than {TOLERANCE} % more instructions than benches/instructions.txt has. \
             `scripts/instructions --renew` writes it anew, where that is meant."
        );
    }
    code
}

/// Runs `case` by itself under callgrind; how many instructions it took in all.
fn count(case: &str) -> u64 {
    let dir = tempfile::tempdir().expect("a directory");
    let out: PathBuf = dir.path().join("callgrind");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*instructions::measured*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().expect("a path"))
        .env("OSTRACON_INSTRUCTIONS_OF", case)
        .output()
        .expect("valgrind, as `scripts/instructions` installs it");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {told}");
    let profile = fs::read_to_string(&out).expect("a profile");
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.parse().ok()).expect("a total");
    // Less would be a case that was not measured, whose count never grows.
    assert!(total > INPUTS.saturating_mul(20), "{case}: {total}");
    total
}

fn inputs() -> Range<u64> {
    UNLISTED..UNLISTED.saturating_add(INPUTS)
}

/// Takes `calls` once unmeasured, so that what is set up at the first call is, and once measured.
fn twice(calls: &mut dyn FnMut()) {
    calls();
    measured(calls);
}

fn run(case: &str) {
    let policy = Policy::default();
    let demand = Demand {
        audiences: &["shop"],
        scope: Scope::new("read").expect("a scope"),
        ..Demand::default()
    };
    match case {
        check if check.starts_with("check ") => checks(check),
        "verify HS256 first time, and kept, our part" => {
            let (party, memory) = (Party::new(Algorithm::HS256), Memory::new(32 << 20));
            let ring = party.ring().clone().with_memory(&memory);
            let tokens = |from: u64| (from..from.saturating_add(INPUTS)).map(|n| party.token(n, NOW));
            let mut unseen = [tokens(UNLISTED << 1), tokens(UNLISTED)]
                .map(Iterator::collect::<Vec<_>>)
                .to_vec();
            twice(&mut || {
                for token in &unseen.pop().expect("two rounds") {
                    assert!(black_box(ring.verify(token, TokenType::Access)).is_ok());
                }
            });
            assert_eq!((memory.stats().hits, memory.stats().misses), (0, INPUTS << 1));
        }
        "verify HS256 first time, our part" | "signature of HS256" => {
            let party = Party::new(Algorithm::HS256);
            let tokens: Vec<_> = inputs().map(|n| party.token(n, NOW)).collect();
            if case == "signature of HS256" {
                let issuer = party.ring().issuer(&names::issuer()).expect("an issuer");
                let key = issuer.key(&names::kid()).expect("a key");
                twice(&mut || {
                    for token in &tokens {
                        assert!(key.verifies(&Compact::split(token).expect("three segments")));
                    }
                });
            } else {
                twice(&mut || {
                    for token in &tokens {
                        assert!(black_box(party.ring().verify(token, TokenType::Access)).is_ok());
                    }
                });
            }
        }
        first if ALIKE.contains(&first) => {
            let party = Party::new(Algorithm::HS256);
            let issuer = party.ring().issuer(&names::issuer()).expect("an issuer");
            let key = issuer.key(&names::kid()).expect("a key");
            let wrong: Vec<_> = inputs()
                .map(|n| wrong_in(&party.token(n, NOW), first == ALIKE[0]))
                .collect();
            twice(&mut || {
                for token in &wrong {
                    assert!(!key.verifies(&Compact::split(token).expect("three segments")));
                }
            });
        }
        "recall alone" => {
            let party = Party::new(Algorithm::EdDSA);
            let ring = party.ring().clone().with_memory(&Memory::new(32 << 20));
            let tokens: Vec<_> = inputs().map(|n| party.token(n, NOW)).collect();
            twice(&mut || {
                for token in &tokens {
                    assert!(black_box(ring.verify(token, TokenType::Access)).is_ok());
                }
            });
            assert_eq!(ring.memory().stats().hits, INPUTS);
        }
        "verify EdDSA seen before" => {
            let (party, listing) = (Party::new(Algorithm::EdDSA), every_kind());
            let memory = Memory::new(32 << 20);
            let ring = party.ring().clone().with_memory(&memory);
            let tokens: Vec<_> = inputs().map(|n| party.token(n, NOW)).collect();
            twice(&mut || {
                for token in &tokens {
                    let token = ring.verify(token, TokenType::Access).expect("a good token");
                    let facts = listing.denylist().check(&token.targets(), NOW).expect("an answer");
                    assert_eq!(decide(token.claims(), &demand, &facts, &policy, NOW), Ok(()));
                }
            });
            assert_eq!((memory.stats().hits, memory.stats().misses), (INPUTS, INPUTS));
        }
        "decide" => {
            let (facts, claims): (_, Vec<Claims>) = (Facts::none(), inputs().map(names::claims).collect());
            twice(&mut || {
                for claims in &claims {
                    assert_eq!(decide(black_box(claims), &demand, &facts, &policy, NOW), Ok(()));
                }
            });
        }
        other => panic!("no case {other}"),
    }
}

fn checks(case: &str) {
    let listing = every_kind();
    match case {
        "check absent, one target" => {
            let targets: Vec<_> = inputs().map(names::token).collect();
            twice(&mut || {
                for target in &targets {
                    let facts = listing.denylist().check(&Targets::one(target.as_ref()), NOW);
                    assert!(black_box(facts).expect("an answer").revocation.is_none());
                }
            });
        }
        "check absent, six targets" => {
            let (kid, claims): (_, Vec<_>) = (names::kid(), inputs().map(names::claims).collect());
            twice(&mut || {
                for claims in &claims {
                    let facts = listing.denylist().check(&Targets::of(claims, Some(&kid)), NOW);
                    assert!(black_box(facts).expect("an answer").revocation.is_none());
                }
            });
        }
        "check listed, one target" => {
            let few: Vec<_> = some_listed().collect();
            let targets: Vec<_> = inputs().zip(few.iter().cycle()).map(|(_, target)| target).collect();
            twice(&mut || {
                for target in &targets {
                    let facts = listing.denylist().check(&Targets::one(target.as_ref()), NOW);
                    assert!(black_box(facts).expect("an answer").revocation.is_some());
                }
            });
        }
        other => panic!("no case {other}"),
    }
}

/// `token` with another first byte of its MAC, or another last one.
fn wrong_in(token: &str, first: bool) -> String {
    let (input, mac) = token.rsplit_once('.').expect("three segments");
    let other = |letter: &str| if letter == "A" { "B" } else { "A" };
    // The last letter of 43 holds four bits, and two that must be zero (RFC 4648 §3.5); the one before it is of the last byte, too.
    let place = if first { 0 } else { mac.len().saturating_sub(2) };
    let (before, rest) = mac.split_at(place);
    let (letter, after) = rest.split_at(1);
    format!("{input}.{before}{}{after}", other(letter))
}

/// A store in which something of every kind is listed, so that none can be passed over.
fn every_kind() -> Listing {
    let listing = Listing::empty();
    listing.list(some_listed().chain(names::other_kinds()).collect::<Vec<Target>>());
    listing
}

fn some_listed() -> impl Iterator<Item = Target> {
    (names::EXPIRED..names::EXPIRED.saturating_add(64)).map(names::listed)
}

//! Bytes that nobody should send, at every door: seeded, bounded, and longer on demand.
//!
//! `CHIMEIN_FUZZ_SECONDS=3600 cargo test --test attacks fuzz` gives each door an hour, with seeds of
//! that run. A failure prints the bytes.

use std::time::Duration;

use chimein::clock::{Clock, Moment};

use crate::child::Dice;
use crate::targets::{TARGETS, Target};

/// How many inputs each door gets within the suite.
const ROUNDS: u64 = 2_000;

/// The most bytes of an input.
const BYTES_MAX: usize = 4096;

#[test]
fn no_bytes_from_outside_break_a_door() {
    std::thread::scope(|scope| {
        for (name, target, seeds) in TARGETS {
            scope.spawn(move || attack(name, *target, seeds));
        }
    });
}

/// The crate for a fuzzer has a binary of two lines for each door.
#[test]
fn a_fuzzer_is_given_every_door() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, ..) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in Cargo.toml");
        let path = folder.join(format!("fuzz_targets/{name}.rs"));
        let binary = std::fs::read_to_string(path).unwrap();
        assert!(binary.contains(&format!("targets::{name}(bytes)")), "{name}: {binary}");
    }
    let binaries = std::fs::read_dir(folder.join("fuzz_targets")).unwrap();
    assert_eq!(binaries.count(), TARGETS.len());
}

/// Feeds one door, for the rounds or the time that it is given.
fn attack(name: &str, target: Target, seeds: &[&[u8]]) {
    let clock = Clock::start();
    let time = std::env::var("CHIMEIN_FUZZ_SECONDS").ok().map(|seconds| {
        Duration::from_secs(seconds.parse().expect("CHIMEIN_FUZZ_SECONDS is a number of seconds"))
    });
    let is_over = |round| match time {
        Some(time) => clock.now().since(Moment::ORIGIN) >= time,
        None => round >= ROUNDS,
    };
    let origin = time.map_or(0, |_| u64::from(std::process::id()) << 32);
    let mut round = 0;
    while !is_over(round) {
        let mut dice = Dice::new(origin + round);
        let seed = seeds[below(&mut dice, seeds.len())];
        let mut shown = Shown { name, bytes: mutated(seed, &mut dice) };
        target(&shown.bytes);
        shown.bytes.clear();
        round += 1;
    }
    println!("{name}: {round} inputs");
}

/// Prints the bytes that broke something.
struct Shown<'a> {
    name: &'a str,
    bytes: Vec<u8>,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} is broken by \"{}\"", self.name, self.bytes.escape_ascii());
        }
    }
}

/// Flips, cuts, repeats and inserts; now and then leaves the bytes whole, or throws them away.
fn mutated(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    const TOKENS: [&[u8]; 16] = [
        b"-1",
        b"18446744073709551616",
        b"1e999",
        b"null",
        b"[[[[",
        b"{",
        b"\"",
        b"\\u0000",
        b"\\ud83d",
        b"\r\n",
        b"\0",
        b"%00",
        b"%",
        b"&",
        b"=",
        b"\xff\xfe",
    ];
    if dice.below(20) == 0 {
        return (0..dice.below(200)).map(|_| byte(dice)).collect();
    }
    let mut bytes = seed.to_vec();
    for _ in 0..dice.below(8) {
        let at = below(dice, bytes.len() + 1);
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if dice.below(4) == 0 => bytes.truncate(at),
            2 => {
                let piece: Vec<u8> = bytes[at..].iter().copied().take(300).collect();
                bytes.extend(piece);
            }
            3 => drop(bytes.splice(at..at, TOKENS[below(dice, TOKENS.len())].iter().copied())),
            4 => {
                let to = (at + below(dice, 8)).min(bytes.len());
                drop(bytes.drain(at..to));
            }
            _ => bytes.insert(at, byte(dice)),
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.below(256)).unwrap()
}

fn below(dice: &mut Dice, end: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(end).unwrap().max(1))).unwrap()
}

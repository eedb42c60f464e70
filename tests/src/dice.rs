//! Chance that can be had again: all of it comes from one number, which is printed.

/// The environment variable that has the number of a run to be repeated.
const SEED: &str = "OSTRACON_HISTORY_SEED";

/// A source of choices (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// One that begins with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed to run with: the one that is asked for, or another each time. Printed, so that a failure can be repeated.
    pub fn seed() -> u64 {
        let asked = std::env::var(SEED)
            .ok()
            .map(|seed| seed.parse().expect("OSTRACON_HISTORY_SEED is a number"));
        let seed = asked.unwrap_or_else(|| {
            let since = std::time::UNIX_EPOCH.elapsed().unwrap();
            u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(32)
        });
        eprintln!("{SEED}={seed}");
        seed
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let end = u64::try_from(end).unwrap();
        usize::try_from(z.checked_rem(end).unwrap()).unwrap()
    }

    /// One of `all`.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        all.get(self.below(all.len())).unwrap()
    }
}

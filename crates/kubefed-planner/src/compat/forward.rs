//! Skips rounds that repeat each other, exactly.
//!
//! As long as no cluster becomes full, the weights of a round are those of the round before. A
//! cluster that still has kept replicas absorbs its share; one that has none grows by its share. While
//! the shares of those that grow stay the same, the replicas that remain fall by the same amount each
//! round, and what an absorbing cluster is charged in `k` rounds is a sum of rounded-up terms of an
//! arithmetic progression, which Euclid's algorithm gives in logarithmic time. So the largest `k` for
//! which nothing else happens is found by bisection, and `k` rounds cost as much as a few.
//!
//! # Why that is bounded
//!
//! Let those that grow hold one part in `a` of the weights, and let `d` remain. It takes about `a` rounds
//! to halve `d`, and on the way their share, which is `d / a`, changes at most `d / a` times. So halving
//! costs the smaller of the two, at most the root of `d`, and all halvings together a small multiple of
//! that: for 2^31 replicas some hundred thousand rounds in the worst case, instead of as many as replicas
//! run.

use super::Row;
use super::ordered::Round;

/// Rounds after which a plan is suspected of going on for long. Ordinary input takes 1 to 5.
const PATIENCE: u32 = 8;
/// Skips shorter than this do not pay for the search.
const SKIP_WORTHWHILE: u64 = 64;

/// Decides when the search for a skip is worth its time.
#[derive(Default)]
pub(super) struct Pace {
    rounds: u32,
    patience: u32,
}

impl Pace {
    /// Skips as many rounds as repeat `done`, in which no row became full and the plans grew by
    /// `growth`. Returns what remains.
    pub(super) fn skip(
        &mut self,
        rows: &mut [Row],
        remaining: i64,
        done: &Round,
        growth: i64,
    ) -> i64 {
        if growth == 0 {
            skip_absorbing(rows, done);
            return remaining;
        }
        self.rounds += 1;
        if self.rounds < self.patience.max(PATIENCE) {
            return remaining;
        }
        let next = Round {
            remaining,
            weights: done.weights,
        };
        let Some(steady) = Steady::new(rows, next) else {
            return remaining;
        };
        let skipped = steady.rounds_max(rows);
        self.rounds = 0;
        self.patience = if skipped < SKIP_WORTHWHILE {
            self.patience.max(PATIENCE).saturating_mul(2)
        } else {
            0
        };
        steady.apply(rows, skipped)
    }
}

/// Skips rounds in which every share is absorbed. Holds for negative weights and overflowing
/// products too: all that matters is that the offers repeat.
fn skip_absorbing(rows: &mut [Row], done: &Round) {
    let offer = |row: &Row| done.share(row.weight).min(done.remaining);
    let mut rounds = i64::MAX;
    for row in rows.iter() {
        let offer = offer(row);
        if offer > 0 {
            rounds = rounds.min(row.kept / offer);
        } else if offer < 0 {
            // A negative offer adds to what is kept; stop before that overflows.
            rounds = rounds.min((i64::MAX - row.kept.max(0)) / offer.saturating_neg());
        }
    }
    for row in rows {
        row.kept = row.kept.wrapping_sub(rounds.wrapping_mul(offer(row)));
    }
}

/// A sequence of rounds in which each row either absorbs or grows, by the same amount every time.
struct Steady {
    next: Round,
    /// What all growing rows take in a round.
    growth: i64,
}

impl Steady {
    /// `None` where products might overflow or something is negative. Rows are sorted by weight.
    fn new(rows: &[Row], next: Round) -> Option<Self> {
        let (first, last) = (rows.first()?, rows.last()?);
        let weight_max = i128::from(first.weight);
        let sum_max = weight_max * (rows.len() as i128 + i128::from(next.remaining));
        if last.weight < 0 || sum_max > i128::from(i64::MAX) {
            return None;
        }
        let growing = rows.iter().filter(|row| row.kept <= 0);
        let growth = growing.map(|row| next.share(row.weight)).sum();
        Some(Self { next, growth })
    }

    /// The largest number of rounds that leaves the pattern as it is.
    fn rounds_max(&self, rows: &[Row]) -> u64 {
        let (mut holds, mut fails) = (0, 1);
        while self.holds(rows, fails) {
            (holds, fails) = (fails, fails * 2);
        }
        while fails - holds > 1 {
            let middle = holds + (fails - holds) / 2;
            if self.holds(rows, middle) {
                holds = middle;
            } else {
                fails = middle;
            }
        }
        holds
    }

    /// Whether `rounds` rounds leave the pattern as it is. Monotone: longer is never easier.
    fn holds(&self, rows: &[Row], rounds: u64) -> bool {
        let Some(last) = self.last_round(rounds) else {
            return false;
        };
        let mut before = 0;
        rows.iter().all(|row| {
            let share = last.share(row.weight);
            // The clip to what remains within the round must not act; it is tightest in the last.
            let unclipped = last.remaining - before >= share;
            let steady = if row.kept > 0 {
                self.absorbed(row.weight, rounds) <= row.kept as u128
            } else {
                before += share;
                let planned = i128::from(row.plan) + i128::from(share) * i128::from(rounds);
                share == self.next.share(row.weight)
                    && planned <= i128::from(row.maximum.min(row.capacity))
            };
            unclipped && steady
        })
    }

    /// The last of `rounds` rounds; `None` if the replicas do not last so long.
    fn last_round(&self, rounds: u64) -> Option<Round> {
        let rounds = i64::try_from(rounds).ok()?;
        let gone = self.growth.checked_mul(rounds)?;
        let after = self.next.remaining.checked_sub(gone)?;
        (after >= 0 && rounds < i64::MAX / 4).then(|| Round {
            remaining: after + self.growth,
            weights: self.next.weights,
        })
    }

    /// What a row of this weight is charged in `rounds` rounds, which last_round accepted.
    fn absorbed(&self, weight: i64, rounds: u64) -> u128 {
        let last = self.next.remaining - self.growth * (rounds as i64 - 1);
        floor_sum(
            u128::from(rounds),
            self.next.weights as u128,
            self.growth as u128 * weight as u128,
            last as u128 * weight as u128 + self.next.weights as u128 - 1,
        )
    }

    fn apply(&self, rows: &mut [Row], rounds: u64) -> i64 {
        if rounds == 0 {
            return self.next.remaining;
        }
        for row in rows {
            if row.kept > 0 {
                row.kept -= self.absorbed(row.weight, rounds) as i64;
            } else {
                row.plan += self.next.share(row.weight) * rounds as i64;
            }
        }
        self.next.remaining - self.growth * rounds as i64
    }
}

/// The sum of `(a * i + b) / m`, rounded down, over `i` in `0..n`, by Euclid's algorithm.
fn floor_sum(mut n: u128, mut m: u128, mut a: u128, mut b: u128) -> u128 {
    let mut sum = 0;
    while n > 0 {
        sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
        (a, b) = (a % m, b % m);
        let last = a * n + b;
        (n, b) = (last / m, last % m);
        (m, a) = (a, m);
        if m == 0 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::floor_sum;

    #[test]
    fn the_sum_of_rounded_terms_equals_adding_them_up() {
        for n in 0..12 {
            for m in 1..9 {
                for a in 0..20 {
                    for b in 0..20 {
                        let plain: u128 = (0..n).map(|i| (a * i + b) / m).sum();
                        assert_eq!(floor_sum(n, m, a, b), plain, "{n} {m} {a} {b}");
                    }
                }
            }
        }
    }
}

//! Division one replica at a time, in integers.

use std::cmp::Ordering;

/// One party: weight, lower and upper bound, and its place among ties.
#[derive(Clone, Debug)]
pub struct Party {
    pub weight: u64,
    pub low: u32,
    pub high: u32,
    pub rank: u64,
}

impl Party {
    fn high(&self) -> u32 {
        if self.weight == 0 {
            self.low
        } else {
            self.high
        }
    }
}

/// Webster's method: starting from the lower bounds, each replica goes to the largest
/// `weight / (2 * replicas + 1)`.
pub fn webster(total: u64, parties: &[Party]) -> Vec<u32> {
    let mut shares: Vec<u32> = parties.iter().map(|party| party.low).collect();
    let mut left = total.saturating_sub(shares.iter().map(|&x| u64::from(x)).sum());
    while left > 0 {
        let open = (0..parties.len()).filter(|&i| shares[i] < parties[i].high());
        let better = |a: &usize, b: &usize| {
            let odd = |i: usize| 2 * u128::from(shares[i]) + 1;
            let left = u128::from(parties[*a].weight) * odd(*b);
            let right = u128::from(parties[*b].weight) * odd(*a);
            right
                .cmp(&left)
                .then(parties[*a].rank.cmp(&parties[*b].rank))
        };
        let Some(next) = open.min_by(better) else {
            break;
        };
        shares[next] += 1;
        left -= 1;
    }
    shares
}

/// The exact shares, as a common denominator and numerators: the level is found by trying every set
/// of parties at their bounds, in the order in which they reach them.
pub fn exact_shares(total: u64, parties: &[Party]) -> (u128, Vec<u128>) {
    // Levels at which something changes, as fractions; the sum is linear between two of them.
    let mut levels: Vec<(u128, u128)> = vec![(0, 1)];
    for party in parties.iter().filter(|party| party.weight > 0) {
        levels.push((party.low.into(), party.weight.into()));
        levels.push((party.high().into(), party.weight.into()));
    }
    let order = |a: &(u128, u128), b: &(u128, u128)| (a.0 * b.1).cmp(&(b.0 * a.1));
    levels.sort_by(order);
    let above = |level: (u128, u128), bound: u32, weight: u64| {
        level.0 * u128::from(weight) >= u128::from(bound) * level.1
    };
    let mut answer = (1, parties.iter().map(|party| party.low.into()).collect());
    for level in levels {
        let mut fixed = 0_i128;
        let mut free = 0_u128;
        for party in parties {
            if party.weight == 0 || !above(level, party.low, party.weight) {
                fixed += i128::from(party.low);
            } else if above(level, party.high(), party.weight) {
                fixed += i128::from(party.high());
            } else {
                free += u128::from(party.weight);
            }
        }
        let rest = i128::from(total) - fixed;
        if free == 0 || rest < 0 {
            continue;
        }
        let found = (rest as u128, free);
        if order(&found, &level) == Ordering::Less {
            continue;
        }
        let share = |party: &Party| {
            let exact = found.0 * u128::from(party.weight);
            exact.clamp(
                u128::from(party.low) * free,
                u128::from(party.high()) * free,
            )
        };
        let shares: Vec<u128> = parties.iter().map(share).collect();
        if shares.iter().sum::<u128>() == u128::from(total) * free {
            answer = (free, shares);
        }
    }
    answer
}

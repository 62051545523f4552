//! Capacities and weights from what is known of clusters: free resources, or replicas that wait.
//!
//! All in integers, in the smallest unit of each resource (milli-cores, bytes, pods), so that ties do
//! not depend on the platform and small clusters are not rounded away.

/// How many replicas fit into what is free: the minimum over the resources of `free / request`.
///
/// `None` if nothing is requested, which says nothing about the room. Count the pods as a resource of
/// which each replica requests one.
///
/// ```
/// // 3.5 free cores and 40 pods; a replica requests 500 milli-cores and one pod.
/// assert_eq!(kubefed_planner::capacity::fitting([(3_500, 500), (40, 1)]), Some(7));
/// ```
pub fn fitting(free_and_request: impl IntoIterator<Item = (u64, u64)>) -> Option<u32> {
    let requested = free_and_request
        .into_iter()
        .filter(|&(_, request)| request > 0);
    let fitting = requested.map(|(free, request)| free / request).min()?;
    Some(u32::try_from(fitting).unwrap_or(u32::MAX))
}

/// Weights from free amounts, none above `permille` thousandths of the cluster's part of what all
/// clusters could allocate.
///
/// A cluster that happens to be empty would otherwise draw everything; 1,400 is a common choice. The
/// weights are the free amounts, lowered where the limit acts.
///
/// ```
/// use kubefed_planner::capacity::limited_weights;
///
/// // Two clusters of one size, of which one is nearly full.
/// let weights: Vec<_> = limited_weights(&[(10, 100), (90, 100)], 1_400).collect();
/// assert_eq!(weights, [10, 70]);
/// ```
pub fn limited_weights(
    free_and_allocatable: &[(u64, u64)],
    permille: u32,
) -> impl Iterator<Item = u64> {
    let sum = |part: fn(&(u64, u64)) -> u64| -> u128 {
        free_and_allocatable
            .iter()
            .map(|pair| u128::from(part(pair)))
            .sum()
    };
    let (free_sum, allocatable_sum) = (sum(|pair| pair.0), sum(|pair| pair.1));
    free_and_allocatable
        .iter()
        .map(move |&(free, allocatable)| {
            if allocatable_sum == 0 {
                return free;
            }
            // The products stay below 2^128 as long as the sums stay below 2^96.
            let part = mul_div(
                free_sum,
                u128::from(allocatable) * u128::from(permille),
                allocatable_sum,
            );
            free.min(u64::try_from(part / 1_000).unwrap_or(u64::MAX))
        })
}

/// `a * b / c`, with less precision where the product would overflow.
fn mul_div(a: u128, b: u128, c: u128) -> u128 {
    match a.checked_mul(b) {
        Some(product) => product / c,
        None => (a / c).saturating_mul(b),
    }
}

/// Keeps the previous weight while the new one differs from it by less than `percent`, so that small
/// changes in free resources move nothing.
///
/// ```
/// use kubefed_planner::capacity::steady_weight;
///
/// assert_eq!(steady_weight(100, 104, 10), 100);
/// assert_eq!(steady_weight(100, 111, 10), 111);
/// ```
pub fn steady_weight(previous: u64, new: u64, percent: u8) -> u64 {
    let difference = u128::from(previous.abs_diff(new)) * 100;
    if difference < u128::from(previous) * u128::from(percent) {
        previous
    } else {
        new
    }
}

/// A capacity that was learnt from replicas that found no room.
///
/// KubeFed knows a capacity only while replicas are waiting, and forgets it when they are gone, so that
/// the next plan sends them back. This one is kept, with an age: it doubles with every interval in which
/// nothing was learnt, until it does not bind any more.
///
/// ```
/// use kubefed_planner::capacity::Learnt;
///
/// // Ten replicas were asked for, four of them found no room.
/// let learnt = Learnt::observe(None, 10, 4);
/// assert_eq!(learnt.map(Learnt::capacity), Some(6));
/// // Nothing waits any more; what was learnt stays.
/// assert_eq!(Learnt::observe(learnt, 6, 0).map(Learnt::capacity), Some(6));
/// // After an interval more is tried.
/// assert_eq!(learnt.map(|learnt| learnt.aged().capacity()), Some(12));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Learnt {
    capacity: u32,
}

impl Learnt {
    /// What is known after a look at a cluster that should run `replicas`, of which `unschedulable`
    /// found no room. Count replicas of the current revision that are not terminating.
    ///
    /// More replicas than the capacity learnt before, all of them with room, raise it.
    pub fn observe(previous: Option<Self>, replicas: u32, unschedulable: u32) -> Option<Self> {
        if unschedulable > 0 {
            // Replicas of another revision may wait as well; a capacity is never negative.
            let capacity = replicas.saturating_sub(unschedulable);
            return Some(Self { capacity });
        }
        previous.map(|previous| Self {
            capacity: previous.capacity.max(replicas),
        })
    }

    /// The capacity to plan with.
    pub const fn capacity(self) -> u32 {
        self.capacity
    }

    /// What is left of it after an interval in which nothing was learnt: twice as much room, at least 1.
    pub const fn aged(self) -> Self {
        let doubled = self.capacity.saturating_mul(2);
        Self {
            capacity: if doubled == 0 { 1 } else { doubled },
        }
    }
}

//! A planner that has seen a plan of some size allocates nothing for the next one of that size.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kubefed_planner::strategy::{
    Aggregated, Duplicate, Dynamic, Fill, GroupLimits, Spread, Static, Strategy, Tiered,
};
use kubefed_planner::{Candidate, Demand, Level, Method, Moves, Planner, Probe, Scarcity, compat};

/// Counts the allocations of each thread, since tests run side by side.
struct Counting;

std::thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Nothing is counted while a thread ends.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one only counts"
)]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of plans for other workloads, after one plan.
fn warm(mut plan: impl FnMut(&'static str)) -> u64 {
    let keys = ["shop/web-0", "shop/web-1", "shop/web-2", "", "x"];
    plan(keys[0]);
    let before = ALLOCATIONS.get();
    keys.into_iter().for_each(&mut plan);
    ALLOCATIONS.get() - before
}

const SIZES: [usize; 5] = [1, 3, 10, 100, 3_000];

fn names(size: usize) -> Vec<String> {
    (0..size).map(|i| format!("member-{i}")).collect()
}

#[test]
fn a_warm_planner_allocates_nothing() {
    let strategies: [Strategy; 11] = [
        Static::new().into(),
        Static::new().method(Method::LargestRemainder).into(),
        Dynamic::new().into(),
        Aggregated::new().into(),
        Aggregated::new().fill(Fill::BestFit).stay(1).into(),
        Aggregated::new().fill(Fill::Weighted).into(),
        Tiered::new().within(Dynamic::new()).fill_percent(70).into(),
        Spread::over(Level::Region).groups_max(5).into(),
        Spread::over(Level::Region)
            .limits("region-3", GroupLimits::new().minimum(2))
            .within(Spread::over(Level::Zone).within(Tiered::new()))
            .into(),
        Spread::over(Level::Zone).skew_max(2).skew_soft().into(),
        Duplicate::new().into(),
    ];
    let places: Vec<_> = (0..16).map(|i| format!("region-{i}")).collect();
    for size in SIZES {
        let names = names(size);
        let number = |i: usize, below: usize| ((i.wrapping_mul(0x9e37_79b9) >> 7) % below) as u32;
        let candidates: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let candidate = Candidate::new(name)
                    .weight(number(i, 9).into())
                    .minimum(number(i, 3))
                    .maximum(3 + number(i, 40))
                    .current(number(i + 1, 30))
                    .tier(number(i, 3))
                    .label(Level::Region, &places[number(i, 16) as usize])
                    .label(Level::Zone, &places[number(i + 3, 16) as usize]);
                if i % 2 == 0 {
                    candidate.capacity(number(i + 2, 30))
                } else {
                    candidate
                }
            })
            .collect();
        for strategy in &strategies {
            for moves in [Moves::UNLIMITED, Moves::NONE, Moves::at_most(7)] {
                for total in [size as u32 / 2, 10 * size as u32, u32::MAX] {
                    let mut planner = Planner::new();
                    let mut demand = Demand::new(total).strategy(strategy.clone());
                    demand = demand.moves(moves).lower_minima().probe(Probe::Wanted);
                    let counted = warm(|key| {
                        // A strategy may own memory, so that the demand is made before.
                        demand = std::mem::replace(&mut demand, Demand::new(0)).key(key);
                        let plan = planner.plan(&demand, &candidates).unwrap();
                        assert_eq!(plan.len(), size);
                    });
                    assert_eq!(counted, 0, "{size} {total} {strategy:?} {moves:?}");
                }
            }
        }
        for scarcity in [Scarcity::ByPriority, Scarcity::Proportional] {
            let demand = Demand::new(1).scarcity(scarcity).lower_minima();
            let mut planner = Planner::new();
            let counted = warm(|_| {
                planner.plan(&demand, &candidates).unwrap();
            });
            assert_eq!(counted, 0, "{size} {scarcity:?}");
        }
    }
}

#[test]
fn a_warm_planner_of_kubefeds_rule_allocates_nothing() {
    for size in SIZES {
        let names = names(size);
        for shape in 0..64 {
            let has = |bit: usize| shape >> bit & 1 == 1;
            let number =
                |i: usize, below: usize| ((i.wrapping_mul(0x9e37_79b9) >> 7) % below) as i64;
            let candidates: Vec<_> = names
                .iter()
                .enumerate()
                .map(|(i, name)| {
                    let weight = if has(0) { 1 + number(i, 100) } else { 1 };
                    let mut preference = compat::Preference::new().weight(weight);
                    if has(1) {
                        preference = preference.minimum(number(i, 4)).maximum(5 + number(i, 30));
                    }
                    let mut candidate = compat::Candidate::new(name).preference(preference);
                    if has(2) {
                        candidate = candidate.current(number(i, 20));
                    }
                    if has(3) && i % 2 == 0 {
                        candidate = candidate.capacity(number(i, 16) - i64::from(has(4)));
                    }
                    candidate
                })
                .collect();
            let mut planner = compat::Planner::new();
            let counted = warm(|key| {
                let demand = compat::Demand::new(10 * size as i64 + 1).key(key);
                planner
                    .plan(&demand.rebalance(has(5)), &candidates)
                    .unwrap();
            });
            assert_eq!(counted, 0, "{size} {shape:b}");
        }
    }
}

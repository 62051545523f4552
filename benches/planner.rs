//! What does a plan cost, by shape and number of clusters, and does it allocate?
//!
//! `cargo bench -p kubefed-planner` prints a table after criterion's own output. *Cold* is from names
//! to the answer: candidates are made, their names hashed. *Warm* reuses candidates and planner, and
//! plans another workload each time, so that the order of the clusters differs. `planner peer` answers
//! requests on the standard input instead; see `peers/planner`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a bench"
)]

#[path = "inputs/planner.rs"]
mod inputs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use inputs::{Cluster, Input, KEYS, Random, SHAPES, SIZES};
use kubefed_planner::strategy::{Aggregated, Dynamic, Spread, Static, Strategy, Tiered};
use kubefed_planner::{Assignment, Candidate, Demand, Level, Method, Moves, Planner, compat};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one only counts"
)]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("peer") {
        peer();
        return;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(250))
        .sample_size(10)
        .configure_from_args();
    let mut table = Table::default();
    for shape in SHAPES {
        compat_shape(&mut criterion, &mut table, shape);
    }
    for (name, strategy, moves) in strategies() {
        own_shape(&mut criterion, &mut table, name, &strategy, moves);
    }
    sort(&mut criterion, &mut table);
    criterion.final_summary();
    table.print();
}

/// The best time of a plan and its allocations, by shape, mode and size.
#[derive(Default)]
struct Table(BTreeMap<(usize, String, usize), (f64, u64)>);

impl Table {
    /// Benches `plan`, which is given a number that differs each time.
    fn bench(
        &mut self,
        criterion: &mut Criterion,
        shape: &str,
        mode: &str,
        size: usize,
        mut plan: impl FnMut(usize),
    ) {
        let row = self.0.keys().map(|key| key.0).max().unwrap_or(0);
        let name = format!("{shape} {mode}");
        let known = self.0.keys().find(|key| key.1 == name).map(|key| key.0);
        let entry = (known.unwrap_or(row + 1), name, size);
        let mut best = f64::INFINITY;
        let mut group = criterion.benchmark_group(format!("{shape}/{mode}"));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_custom(|times| {
                let start = Instant::now();
                (0..times as usize).for_each(&mut plan);
                let elapsed = start.elapsed();
                best = best.min(elapsed.as_nanos() as f64 / times as f64);
                elapsed
            });
        });
        group.finish();
        if best.is_finite() {
            (0..KEYS).for_each(&mut plan);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            (0..KEYS).for_each(&mut plan);
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            self.0.insert(entry, (best, allocations / KEYS as u64));
        }
    }

    fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        println!("\nbest ns per plan (ns per cluster, allocations per plan)");
        print!("{:24}", "clusters");
        SIZES.iter().for_each(|size| print!("{size:>22}"));
        let mut row = 0;
        for ((number, name, _), (nanos, allocations)) in &self.0 {
            if *number != row {
                row = *number;
                print!("\n{name:24}");
            }
            let size = self
                .0
                .iter()
                .find(|(key, value)| key.0 == *number && value.0.to_bits() == nanos.to_bits());
            let each = size.map_or(0.0, |(key, _)| nanos / key.2 as f64);
            print!("{:>22}", format!("{nanos:.0} ({each:.1}, {allocations})"));
        }
        println!();
        let largest = |name: &str| {
            let mut cells = self.0.iter().filter(|(key, _)| key.1 == name);
            cells.next_back().map(|(key, cell)| (key.2, cell.0))
        };
        if let (Some((size, plan)), Some((_, sort))) =
            (largest("wildcard warm"), largest("sort_unstable u64"))
        {
            let times = plan / sort;
            println!(
                "\nwildcard warm at {size} clusters takes {times:.2} times as long as sort_unstable of as many u64"
            );
        }
    }
}

fn compat_shape(criterion: &mut Criterion, table: &mut Table, shape: &str) {
    for size in SIZES {
        let input = Input::new(shape, size);
        let mut planner = compat::Planner::new();
        table.bench(criterion, shape, "cold", size, |key| {
            let candidates = input.candidates();
            black_box(planner.plan(&input.demand(key), &candidates).unwrap());
        });
        let candidates = input.candidates();
        table.bench(criterion, shape, "warm", size, |key| {
            black_box(planner.plan(&input.demand(key), &candidates).unwrap());
        });
    }
}

fn strategies() -> Vec<(&'static str, Strategy, Moves)> {
    let remainder = Static::new().method(Method::LargestRemainder);
    vec![
        ("webster", Static::new().into(), Moves::UNLIMITED),
        ("webster, no moves", Static::new().into(), Moves::NONE),
        ("largest remainder", remainder.into(), Moves::UNLIMITED),
        ("dynamic", Dynamic::new().into(), Moves::UNLIMITED),
        ("aggregated", Aggregated::new().into(), Moves::UNLIMITED),
        ("three tiers", Tiered::new().into(), Moves::UNLIMITED),
        (
            "16 regions",
            Spread::over(Level::Region).into(),
            Moves::UNLIMITED,
        ),
    ]
}

fn own_shape(
    criterion: &mut Criterion,
    table: &mut Table,
    name: &str,
    strategy: &Strategy,
    moves: Moves,
) {
    let regions: Vec<_> = (0..16).map(|i| format!("region-{i}")).collect();
    for size in SIZES {
        let mut random = Random(size as u64);
        let names: Vec<_> = (0..size).map(|i| format!("member-{i:05}")).collect();
        let candidates: Vec<_> = names
            .iter()
            .map(|name| {
                let mut number = |below| random.below(below) as u32;
                let minimum = number(4);
                Candidate::new(name)
                    .weight(1 + u64::from(number(100)))
                    .minimum(minimum)
                    .maximum(5 + number(36))
                    .capacity(minimum + number(40))
                    .current(number(16))
                    .tier(number(3))
                    .label(Level::Region, &regions[number(16) as usize])
            })
            .collect();
        let keys: Vec<_> = (0..KEYS).map(|i| format!("default/web-{i}")).collect();
        let demands: Vec<_> = keys
            .iter()
            .map(|key| {
                let demand = Demand::new(10 * size as u32).key(key).moves(moves);
                demand.strategy(strategy.clone())
            })
            .collect();
        let mut planner = Planner::new();
        table.bench(criterion, name, "warm", size, |key| {
            black_box(planner.plan(&demands[key % KEYS], &candidates).unwrap());
        });
    }
}

/// What sorting as many keys costs, to compare with.
fn sort(criterion: &mut Criterion, table: &mut Table) {
    for size in SIZES {
        let mut random = Random(1);
        let keys: Vec<u64> = (0..size).map(|_| random.below(i64::MAX) as u64).collect();
        let mut sorted = keys.clone();
        table.bench(criterion, "sort_unstable", "u64", size, |_| {
            sorted.copy_from_slice(&keys);
            black_box(&mut sorted).sort_unstable();
        });
    }
}

/// Answers lines `shape size mode plans` with the nanoseconds a plan took and a digest of the answers.
fn peer() {
    let (mut compat, mut own) = (compat::Planner::new(), Planner::new());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let (size, plans): (usize, usize) = (words[1].parse().unwrap(), words[3].parse().unwrap());
        let input = Input::new(words[0], size);
        let candidates = input.candidates();
        let (nanos, digest) = match words[2] {
            "webster" => {
                let candidates: Vec<_> = input.clusters.iter().map(own_candidate).collect();
                measure(plans, |key, see| {
                    let demand = Demand::new(input.total as u32).key(&input.keys[key % KEYS]);
                    let demand = demand.moves(Moves::UNLIMITED).lower_minima();
                    let plan = own.plan(&demand, &candidates).unwrap();
                    see(&mut Settled::new(&input, &plan));
                })
            }
            mode => measure(plans, |key, see| {
                let made = (mode == "cold").then(|| input.candidates());
                let candidates = made.as_ref().unwrap_or(&candidates);
                let plan = compat.plan(&input.demand(key), candidates).unwrap();
                see(&mut plan.iter().flat_map(|a| [a.replicas, a.overflow]));
            }),
        };
        println!("{nanos:.1} {digest:016x}");
    }
}

type Answers<'a> = &'a mut dyn Iterator<Item = i64>;

/// The replicas on which every rule for ties agrees: those of all clusters without the ones of the
/// smallest quotient, and then how many these are.
struct Settled<'a> {
    input: &'a Input,
    plan: &'a [Assignment],
    next: usize,
    /// The smallest quotient, once it was looked for.
    last: Option<(u128, u128)>,
    tied: i64,
}

impl<'a> Settled<'a> {
    /// Looks at nothing yet, since making it is timed.
    fn new(input: &'a Input, plan: &'a [Assignment]) -> Self {
        Self {
            input,
            plan,
            next: 0,
            last: None,
            tied: 0,
        }
    }

    /// What the last replica of a cluster was worth: its weight over an odd number.
    fn quotient(&self, i: usize) -> Option<(u128, u128)> {
        let replicas = u128::from(self.plan[i].replicas);
        let weight = u128::from(self.input.clusters[i].weight.unsigned_abs());
        (replicas > 0).then(|| (weight, 2 * replicas - 1))
    }
}

impl Iterator for Settled<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let quotients = || (0..self.plan.len()).filter_map(|i| self.quotient(i));
        let order = |a: &(u128, u128), b: &(u128, u128)| (a.0 * b.1).cmp(&(b.0 * a.1));
        let last = self.last.or_else(|| quotients().min_by(order));
        self.last = last;
        let i = self.next;
        self.next += 1;
        if i == self.plan.len() {
            return Some(self.tied);
        }
        let replicas = i64::from(self.plan.get(i)?.replicas);
        let tied = self.quotient(i).zip(last);
        let tied = i64::from(tied.is_some_and(|(own, last)| order(&own, &last).is_eq()));
        self.tied += tied;
        Some(replicas - tied)
    }
}

/// Runs plans, and the first ones again for the digest of what they show.
fn measure(plans: usize, mut plan: impl FnMut(usize, &mut dyn FnMut(Answers<'_>))) -> (f64, u64) {
    let mut ignore = |answers: Answers<'_>| {
        black_box(answers);
    };
    // Once before the clock runs, so that memory and caches are warm on both sides.
    plan(0, &mut ignore);
    let start = Instant::now();
    (0..plans).for_each(|key| plan(key, &mut ignore));
    let nanos = start.elapsed().as_nanos() as f64 / plans as f64;
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |answers: Answers<'_>| {
        for number in answers {
            digest = (digest ^ number as u64).wrapping_mul(0x0100_0000_01b3);
        }
    };
    (0..plans.min(KEYS)).for_each(|key| plan(key, &mut add));
    (nanos, digest)
}

/// The same cluster for the planners of this crate.
fn own_candidate(cluster: &Cluster) -> Candidate<'_> {
    let candidate = Candidate::new(&cluster.name)
        .weight(cluster.weight as u64)
        .minimum(cluster.minimum as u32)
        .maximum(cluster.maximum.map_or(u32::MAX, |maximum| maximum as u32))
        .current(cluster.current.unwrap_or(0) as u32);
    match cluster.capacity {
        Some(capacity) => candidate.capacity(capacity as u32),
        None => candidate,
    }
}

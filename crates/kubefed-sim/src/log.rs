//! What was asked of a cluster: records for assertions, counts, and one number for a whole run.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::route::Verb;

/// A request and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Time since the start of the simulation.
    pub at: Duration,
    /// What was asked.
    pub verb: Verb,
    /// `plural` or `plural.group`; empty for requests that name no resource.
    pub resource: String,
    /// Path and query.
    pub path: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The HTTP code of the answer; none where a fault lost the request or its answer.
    pub code: Option<u16>,
}

/// The last requests of a cluster, and sums over all of them.
#[derive(Debug)]
pub(crate) struct Log {
    records: VecDeque<RequestRecord>,
    records_max: usize,
    counts: BTreeMap<(Verb, String), u64>,
    trace: DefaultHasher,
}

impl Log {
    pub(crate) fn new(records_max: usize) -> Self {
        Self {
            records: VecDeque::new(),
            records_max,
            counts: BTreeMap::new(),
            trace: DefaultHasher::new(),
        }
    }

    pub(crate) fn push(&mut self, record: RequestRecord, body: &[u8]) {
        (
            record.at,
            record.verb.as_str(),
            &record.path,
            record.code,
            body,
        )
            .hash(&mut self.trace);
        match self.counts.get_mut(&(record.verb, record.resource.clone())) {
            Some(count) => *count += 1,
            None => drop(
                self.counts
                    .insert((record.verb, record.resource.clone()), 1),
            ),
        }
        if self.records_max > 0 {
            if self.records.len() == self.records_max {
                self.records.pop_front();
            }
            self.records.push_back(record);
        }
    }

    pub(crate) fn records(&self) -> Vec<RequestRecord> {
        self.records.iter().cloned().collect()
    }

    pub(crate) fn forget_records(&mut self) {
        self.records.clear();
    }

    pub(crate) fn counts(&self) -> BTreeMap<(Verb, String), u64> {
        self.counts.clone()
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }
}

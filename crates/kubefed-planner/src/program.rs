//! The program `plan-replicas`: JSON lines in and out, or a table with reasons for clusters given by
//! hand. The example of that name connects it to a terminal.

use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, writeln};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compat::{self, Preference, Preferences};
use crate::strategy::Strategy;
use crate::{Candidate, Demand, Level, Moves, Planner};

const KUBEFED: &str = "kubefed";

/// Divides replicas among clusters.
///
/// Without a file and without clusters it reads JSON lines from the standard input, and writes them
/// with "plan" and "overflow" filled in.
#[derive(Parser)]
#[command(name = "plan-replicas", version, after_help = AFTER_HELP)]
pub struct Options {
    /// YAML or JSON file with total, key, strategy and clusters
    file: Option<PathBuf>,
    /// Compare with the answers in the JSON lines instead of writing them
    #[arg(long)]
    check: bool,
    /// Replicas wanted
    #[arg(long, short)]
    total: Option<u32>,
    /// Text that breaks ties, namespace/name of the workload
    #[arg(long, short)]
    key: Option<String>,
    /// A cluster, e.g. west,weight=2,min=1,max=6,current=3,capacity=4,tier=1,region=eu
    #[arg(long = "cluster", short, value_name = "NAME[,FIELD=VALUE...]")]
    clusters: Vec<String>,
    /// kubefed, static, dynamic, aggregated, tiered, spread or duplicate
    #[arg(long, short)]
    strategy: Option<String>,
    /// How many running replicas may be stopped for balance: a number, or "unlimited" (the default);
    /// for kubefed every number means no rebalance
    #[arg(long)]
    moves: Option<String>,
    /// Say what would give each cluster one replica more
    #[arg(long)]
    explain: bool,
    /// Output of a plan for given clusters
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

const AFTER_HELP: &str = "\
JSON lines have the members total, rebalance, key, clusters (names), preferences (name or * to min, max
and weight), current and capacity (name to number); others are passed on.

Examples:
  plan-replicas --check < planner-kubefed.jsonl
  plan-replicas -t 9 -c east -c west,weight=2,capacity=4 --explain
  plan-replicas demand.yaml -o json

Exit status: 0 planned, 1 an answer differs or replicas have no place, 2 bad input.";

#[derive(Clone, Copy, Default, ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
    Yaml,
}

/// Plans what the options ask for; `Ok(false)` where an answer differs or replicas have no place.
///
/// `lines` are the JSON lines of the standard input, `None` where a person sits there. Lines that cannot
/// be planned are named in `errors`, and the others are planned all the same.
///
/// # Errors
///
/// Bad input, and output that cannot be written.
pub fn run(
    options: &Options,
    lines: Option<&mut dyn BufRead>,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<bool> {
    if options.file.is_some() || !options.clusters.is_empty() {
        return plan_workload(options, output);
    }
    let Some(lines) = lines else {
        bail!("give a file, --cluster, or JSON lines on the standard input; see --help");
    };
    plan_lines(options, lines, output, errors)
}

/// A line of the vectors.
#[derive(Deserialize, Serialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Value::is_null")]
    id: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    shape: Value,
    total: i64,
    #[serde(default)]
    rebalance: bool,
    #[serde(default)]
    key: String,
    clusters: Vec<String>,
    #[serde(default)]
    preferences: BTreeMap<String, Preference>,
    #[serde(default)]
    current: BTreeMap<String, i64>,
    #[serde(default)]
    capacity: BTreeMap<String, i64>,
    #[serde(default)]
    plan: BTreeMap<String, i64>,
    #[serde(default)]
    overflow: BTreeMap<String, i64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

fn plan_lines(
    options: &Options,
    lines: &mut dyn BufRead,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<bool> {
    let (mut passed, mut failed, mut broken) = (0, 0, 0);
    let mut planners = Planners::default();
    for (text, number) in lines.lines().zip(1..) {
        let text = text.context("standard input")?;
        if text.trim().is_empty() {
            continue;
        }
        let answered = serde_json::from_str(&text)
            .context("not such a line")
            .and_then(|line: Line| Ok((planners.answer(options, &line)?, line)));
        let ((plan, overflow), mut line) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                writeln!(errors, "line {number}: {error:#}")?;
                broken += 1;
                continue;
            }
        };
        if !options.check {
            (line.plan, line.overflow) = (plan, overflow);
            serde_json::to_writer(&mut *output, &line)?;
            writeln!(output)?;
        } else if (&plan, &overflow) == (&line.plan, &line.overflow) {
            passed += 1;
        } else {
            failed += 1;
            if failed <= 5 {
                let wanted = (&line.plan, &line.overflow);
                writeln!(
                    output,
                    "line {number}: {:?}, expected {wanted:?}",
                    (plan, overflow)
                )?;
            }
        }
    }
    if options.check {
        writeln!(output, "{passed} passed, {failed} failed")?;
    }
    output.flush()?;
    if broken > 0 {
        bail!("lines that could not be planned: {broken}");
    }
    Ok(failed == 0)
}

type Counts = BTreeMap<String, i64>;

#[derive(Default)]
struct Planners {
    compat: compat::Planner,
    own: Planner,
}

impl Planners {
    fn answer(&mut self, options: &Options, line: &Line) -> Result<(Counts, Counts)> {
        let preferences = line
            .preferences
            .iter()
            .map(|(name, &limits)| (name.as_str(), limits));
        let preferences = Preferences::from_iter(preferences);
        let mut answers = Vec::new();
        match options.strategy.as_deref() {
            None | Some(KUBEFED) => {
                let names = line.clusters.iter();
                let candidates: Vec<_> = names
                    .map(|name| line.compat_candidate(&preferences, name))
                    .collect();
                let demand = compat::Demand::new(line.total)
                    .rebalance(line.rebalance)
                    .key(&line.key);
                let plan = self.compat.plan(&demand, &candidates)?;
                answers.extend(plan.iter().map(|a| (a.replicas, a.overflow)));
            }
            Some(_) => {
                let clusters = line
                    .clusters
                    .iter()
                    .map(|name| line.cluster(&preferences, name));
                let workload = Workload {
                    total: count(line.total).context("total")?,
                    key: line.key.clone(),
                    strategy: None,
                    moves: if line.rebalance { None } else { Some(0) },
                    clusters: clusters.collect::<Result<_>>()?,
                };
                if workload.clusters.is_empty() {
                    return Ok(Default::default());
                }
                if workload.clusters.len() < line.clusters.len() {
                    bail!("a cluster is given twice");
                }
                // Capacities of lines are observed, not configured.
                let demand = workload.demand(options)?.lower_minima();
                let plan = self.own.plan(&demand, &workload.candidates())?;
                // Candidates are in the order of their names.
                let mut named: BTreeMap<_, _> = workload.clusters.keys().zip(plan.iter()).collect();
                let ordered = line.clusters.iter().filter_map(|name| named.remove(name));
                answers.extend(ordered.map(|a| (a.replicas.into(), a.overflow.into())));
            }
        }
        let named = || line.clusters.iter().cloned().zip(&answers);
        let plan = named().map(|(name, answer)| (name, answer.0));
        let overflow = named().filter(|(_, answer)| answer.1 != 0);
        Ok((
            plan.collect(),
            overflow.map(|(name, answer)| (name, answer.1)).collect(),
        ))
    }
}

impl Line {
    fn compat_candidate<'a>(
        &self,
        preferences: &Preferences<'_>,
        name: &'a str,
    ) -> compat::Candidate<'a> {
        let mut candidate = preferences.candidate(name);
        if let Some(&current) = self.current.get(name) {
            candidate = candidate.current(current);
        }
        match self.capacity.get(name) {
            Some(&capacity) => candidate.capacity(capacity),
            None => candidate,
        }
    }

    /// A cluster for our own strategies, which refuse what makes no sense. One that no preference names
    /// takes no part.
    fn cluster(&self, preferences: &Preferences<'_>, name: &str) -> Result<(String, Cluster)> {
        let preference = preferences.of(name).unwrap_or_default();
        let count = |what: &str, number: Option<i64>| {
            let number = number.map(count).transpose();
            number.with_context(|| format!("cluster {name:?}: {what}"))
        };
        let weight = u64::try_from(preference.weight)
            .map_err(|_| anyhow!("cluster {name:?}: weight is negative"))?;
        let cluster = Cluster {
            weight,
            min: count("min", Some(preference.minimum))?.unwrap_or(0),
            max: count("max", preference.maximum)?,
            current: count("current", self.current.get(name).copied())?.unwrap_or(0),
            capacity: count("capacity", self.capacity.get(name).copied())?,
            ..Cluster::default()
        };
        Ok((name.to_owned(), cluster))
    }
}

fn count(number: i64) -> Result<u32> {
    let most = u32::MAX;
    u32::try_from(number).map_err(|_| anyhow!("{number} is not between 0 and {most}"))
}

/// What a file holds.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Workload {
    total: u32,
    key: String,
    strategy: Option<Named>,
    moves: Option<u32>,
    clusters: BTreeMap<String, Cluster>,
}

/// A strategy by name, or with its options.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Named {
    Name(String),
    Full(Strategy),
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cluster {
    weight: u64,
    min: u32,
    max: Option<u32>,
    current: u32,
    capacity: Option<u32>,
    tier: u32,
    provider: String,
    region: String,
    zone: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            weight: 1,
            min: 0,
            max: None,
            current: 0,
            capacity: None,
            tier: 0,
            provider: String::new(),
            region: String::new(),
            zone: String::new(),
        }
    }
}

impl Cluster {
    fn candidate<'a>(&'a self, name: &'a str) -> Candidate<'a> {
        let candidate = Candidate::new(name)
            .weight(self.weight)
            .minimum(self.min)
            .maximum(self.max.unwrap_or(u32::MAX))
            .current(self.current)
            .tier(self.tier)
            .label(Level::Provider, &self.provider)
            .label(Level::Region, &self.region)
            .label(Level::Zone, &self.zone);
        self.capacity
            .map_or(candidate, |capacity| candidate.capacity(capacity))
    }

    fn compat_candidate<'a>(&self, name: &'a str) -> compat::Candidate<'a> {
        let weight = i64::try_from(self.weight).unwrap_or(i64::MAX);
        let preference = Preference::new().minimum(self.min.into()).weight(weight);
        let preference = match self.max {
            Some(maximum) => preference.maximum(maximum.into()),
            None => preference,
        };
        let candidate = compat::Candidate::new(name).preference(preference);
        let candidate = candidate.current(self.current.into());
        self.capacity
            .map_or(candidate, |capacity| candidate.capacity(capacity.into()))
    }
}

impl Workload {
    fn read(options: &Options) -> Result<Self> {
        let mut workload = match &options.file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| path.display().to_string())?;
                let read = serde_saphyr::from_str(&text);
                read.map_err(|error| anyhow!("{}: {error}", path.display()))?
            }
            None => Self::default(),
        };
        for text in &options.clusters {
            let (name, fields) = text.split_once(',').unwrap_or((text, ""));
            let fields = format!("{{{}}}", fields.replace('=', ": "));
            let cluster = serde_saphyr::from_str(&fields);
            let cluster = cluster.map_err(|error| anyhow!("--cluster {text}: {error}"))?;
            if workload.clusters.insert(name.to_owned(), cluster).is_some() {
                bail!("cluster {name:?} is given twice");
            }
        }
        workload.total = options.total.unwrap_or(workload.total);
        workload.key = options.key.clone().unwrap_or(workload.key);
        Ok(workload)
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        let clusters = self.clusters.iter();
        clusters
            .map(|(name, cluster)| cluster.candidate(name))
            .collect()
    }

    fn compat_candidates(&self) -> Vec<compat::Candidate<'_>> {
        let clusters = self.clusters.iter();
        clusters
            .map(|(name, cluster)| cluster.compat_candidate(name))
            .collect()
    }

    fn demand(&self, options: &Options) -> Result<Demand<'_>> {
        let strategy = options
            .strategy
            .clone()
            .map(Named::Name)
            .or(self.strategy.clone());
        let strategy = match strategy {
            None => Strategy::default(),
            Some(Named::Full(strategy)) => strategy,
            Some(Named::Name(name)) => Strategy::from_name(&name).with_context(|| {
                format!(
                    "no strategy {name:?}; there are {KUBEFED}, {}",
                    Strategy::NAMES.join(", ")
                )
            })?,
        };
        let demand = Demand::new(self.total).key(&self.key).strategy(strategy);
        Ok(demand.moves(self.moves(options)?))
    }

    fn moves(&self, options: &Options) -> Result<Moves> {
        let given = options.moves.as_deref();
        let moves = match given {
            Some("unlimited") => None,
            Some(number) => Some(number.parse().context("--moves")?),
            None => self.moves,
        };
        Ok(moves.map_or(Moves::UNLIMITED, Moves::at_most))
    }

    fn is_kubefed(&self, options: &Options) -> bool {
        let in_file = matches!(&self.strategy, Some(Named::Name(name)) if name == KUBEFED);
        options
            .strategy
            .as_deref()
            .map_or(in_file, |name| name == KUBEFED)
    }
}

/// A row of the answer.
#[derive(Serialize)]
struct Row<'a> {
    cluster: &'a str,
    replicas: i64,
    overflow: i64,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_more: Option<String>,
}

fn plan_workload(options: &Options, output: &mut dyn Write) -> Result<bool> {
    let workload = Workload::read(options)?;
    let (rows, summary) = if workload.is_kubefed(options) {
        kubefed_rows(&workload, options)?
    } else {
        rows(&workload, options)?
    };
    let placed: i64 = rows.iter().map(|row| row.replicas).sum();
    let answer = serde_json::json!({ "clusters": rows, "summary": summary });
    match options.output {
        Output::Json => writeln!(output, "{answer:#}")?,
        Output::Yaml => write!(output, "{}", serde_saphyr::to_string(&answer)?)?,
        Output::Table => write_table(&rows, &summary, output)?,
    }
    Ok(placed >= workload.total.into())
}

fn rows<'a>(workload: &'a Workload, options: &Options) -> Result<(Vec<Row<'a>>, String)> {
    let candidates = workload.candidates();
    let demand = workload.demand(options)?;
    let mut planner = Planner::new();
    let plan = planner.plan(&demand, &candidates)?;
    let summary = plan.summary().to_string();
    let row = |(candidate, assignment): (&Candidate<'a>, &crate::Assignment)| Row {
        cluster: candidate.name(),
        replicas: assignment.replicas.into(),
        overflow: assignment.overflow.into(),
        reason: assignment.reason.to_string(),
        one_more: None,
    };
    let mut rows: Vec<_> = candidates.iter().zip(plan.iter()).map(row).collect();
    if options.explain {
        for (index, row) in rows.iter_mut().enumerate() {
            let explained = planner.explain(&demand, &candidates, index)?;
            row.one_more = Some(explained.one_more.to_string());
        }
    }
    Ok((rows, summary))
}

fn kubefed_rows<'a>(workload: &'a Workload, options: &Options) -> Result<(Vec<Row<'a>>, String)> {
    let candidates = workload.compat_candidates();
    let rebalance = workload.moves(options)? == Moves::UNLIMITED;
    let demand = compat::Demand::new(workload.total.into())
        .rebalance(rebalance)
        .key(&workload.key);
    let mut planner = compat::Planner::new();
    let plan = planner.plan(&demand, &candidates)?;
    let row = |(candidate, assignment): (&compat::Candidate<'a>, &compat::Assignment)| Row {
        cluster: candidate.name(),
        replicas: assignment.replicas,
        overflow: assignment.overflow,
        reason: compat::Reason::of(&demand, candidate, assignment).to_string(),
        one_more: None,
    };
    let mut rows: Vec<_> = candidates.iter().zip(plan).map(row).collect();
    let placed: i64 = rows.iter().map(|row| row.replicas).sum();
    if options.explain {
        for (index, row) in rows.iter_mut().enumerate() {
            row.one_more = Some(planner.one_more(&demand, &candidates, index)?.to_string());
        }
    }
    Ok((
        rows,
        format!("{placed} of {} replicas are placed", workload.total),
    ))
}

fn write_table(rows: &[Row<'_>], summary: &str, output: &mut dyn Write) -> Result<()> {
    let wide = rows
        .iter()
        .map(|row| row.cluster.len())
        .max()
        .unwrap_or(0)
        .max("CLUSTER".len());
    writeln!(
        output,
        "{:wide$}  {:>8}  {:>8}  REASON",
        "CLUSTER", "REPLICAS", "OVERFLOW"
    )?;
    for row in rows {
        let Row {
            cluster,
            replicas,
            overflow,
            reason,
            one_more,
        } = row;
        writeln!(
            output,
            "{cluster:wide$}  {replicas:>8}  {overflow:>8}  {reason}"
        )?;
        if let Some(one_more) = one_more {
            writeln!(output, "{:wide$}  {:>8}  {:>8}    {one_more}", "", "", "")?;
        }
    }
    writeln!(output, "{summary}")?;
    Ok(())
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, Resource};
use kube::{Client, Error};
use kubefed_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use kubefed_api::{
    ClusterName, ObservedCopy, QualifiedName, ResourceType, WithoutManagedFields, well_known,
};
use kubefed_propagation::{Action, Failure, Ignorance, Observation, Outcome};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Carries out decisions in member clusters. It is the only writer of propagated copies.
///
/// # Guarantees
///
/// * Every call ends by its deadline, and is cancelled then. Whether the write took effect is unknown,
///   so the outcome says that it timed out.
/// * Every write is guarded: creation by the object's absence, replacement by a resource version,
///   deletion by a uid, removal of the label by uid and resource version.
/// * A cluster has a bounded number of calls under way. One whose calls run into the deadline is left
///   alone for a while: its calls fail at once, so that it cannot hold back the objects of others.
///
/// Clones share limits and memory.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    options: DispatchOptions,
    clusters: Arc<Mutex<BTreeMap<ClusterName, Arc<Lane>>>>,
}

/// Limits of a [`Dispatcher`].
#[derive(Clone, Debug)]
pub struct DispatchOptions {
    deadline: Duration,
    calls_per_cluster_max: usize,
    pause: Duration,
}

impl Default for DispatchOptions {
    /// 10 s a call: API servers give webhooks 10 s, and what takes longer is better tried again. 32
    /// calls at once per cluster, below the seats that an API server gives one user by default. A
    /// cluster that ran into the deadline is left alone for 10 s, one period of the health check.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            calls_per_cluster_max: 32,
            pause: Duration::from_secs(10),
        }
    }
}

impl DispatchOptions {
    /// Sets how long a call may take, the wait for its turn not included.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how many calls to one cluster may be under way at once; at least one.
    #[must_use]
    pub fn calls_per_cluster_max(mut self, calls: usize) -> Self {
        self.calls_per_cluster_max = calls.max(1);
        self
    }

    /// Sets for how long a cluster is left alone after a call ran into the deadline.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

/// What became of a dispatched action.
#[derive(Clone, Debug, PartialEq)]
pub enum Dispatched {
    /// It ended, well or not.
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// The copy as the cluster answered it, where it did.
        copy: Option<ObservedCopy>,
    },
    /// The cluster is not as it was when the decision was made: something exists, has changed or has
    /// gone. Read the object and decide again.
    Stale,
}

/// One object in one member cluster, and the way to it.
#[derive(Clone)]
pub struct MemberObject<'a> {
    /// The cluster.
    pub cluster: &'a ClusterName,
    /// A client for the cluster.
    pub client: &'a Client,
    /// The type of the object.
    pub target: &'a ResourceType,
    /// The object.
    pub name: &'a QualifiedName,
}

#[derive(Debug)]
struct Lane {
    calls: Semaphore,
    paused_until: Mutex<Option<Instant>>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self::new(DispatchOptions::default())
    }
}

impl Dispatcher {
    /// A dispatcher with these limits.
    pub fn new(options: DispatchOptions) -> Self {
        Self {
            options,
            clusters: Arc::default(),
        }
    }

    /// Whether a cluster is left alone because a call ran into the deadline.
    pub fn is_paused(&self, cluster: &ClusterName) -> bool {
        self.lane(cluster).is_paused()
    }

    /// Reads an object directly, which is the only way to prove that it is not there.
    pub async fn read(&self, object: &MemberObject<'_>) -> Observation {
        let request = object
            .request()
            .get(object.name.name(), &GetParams::default());
        match self.call(object, request).await {
            Ok(body) => Observation::of_body(Arc::new(body)),
            Err(Trouble::Api(Error::Api(status))) if status.is_not_found() => {
                Observation::ProvenAbsent
            }
            Err(trouble) => Observation::Unknown(Ignorance::ReadFailed(trouble.to_string())),
        }
    }

    /// Carries out an action that writes.
    ///
    /// Actions that do not write have no outcome and are stale by definition: whoever asks for them
    /// has to decide again.
    pub async fn write(&self, object: &MemberObject<'_>, action: &Action) -> Dispatched {
        let name = object.name.name();
        let request = object.request();
        let request = match action {
            Action::Create { object } => request.create(&PostParams::default(), encode(object)),
            Action::Update { object, .. } | Action::Adopt { object } => {
                request.replace(name, &PostParams::default(), encode(object))
            }
            Action::RemoveLabel {
                uid,
                resource_version,
            } => {
                let patch = json!({"metadata": {
                    "labels": {well_known::MANAGED_LABEL: null},
                    "resourceVersion": resource_version,
                    "uid": uid,
                }});
                request.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            }
            Action::Delete { uid, options } => delete(&request, name, uid, options),
            Action::Nothing
            | Action::UpToDate { .. }
            | Action::Wait(_)
            | Action::ProveAbsence
            | Action::FetchBody
            | Action::Refuse(_) => return Dispatched::Stale,
        };
        match self.call(object, request).await {
            Ok(reply) => success(action, Arc::new(reply)),
            Err(trouble) => failure(action, trouble),
        }
    }

    async fn call(
        &self,
        object: &MemberObject<'_>,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, Trouble> {
        let request = request.map_err(|error| Trouble::Api(Error::BuildRequest(error)))?;
        let lane = self.lane(object.cluster);
        if lane.is_paused() {
            return Err(Trouble::Paused);
        }
        // The semaphore is never closed, so the error cannot occur; without a permit nothing is lost
        // but the limit.
        let _permit = lane.calls.acquire().await.ok();
        if lane.is_paused() {
            return Err(Trouble::Paused);
        }
        let call = object.client.request::<WithoutManagedFields>(request);
        match tokio::time::timeout(self.options.deadline, call).await {
            Ok(reply) => reply.map(|reply| reply.0).map_err(Trouble::Api),
            Err(_) => {
                lane.pause(self.options.pause);
                Err(Trouble::TimedOut(self.options.deadline))
            }
        }
    }

    fn lane(&self, cluster: &ClusterName) -> Arc<Lane> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = || {
            Arc::new(Lane {
                calls: Semaphore::new(self.options.calls_per_cluster_max),
                paused_until: Mutex::default(),
            })
        };
        Arc::clone(clusters.entry(cluster.clone()).or_insert_with(lane))
    }
}

impl Lane {
    fn is_paused(&self) -> bool {
        let until = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn pause(&self, pause: Duration) {
        let mut until = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + pause);
    }
}

impl MemberObject<'_> {
    fn request(&self) -> Request {
        let resource = self.target.api_resource();
        Request::new(DynamicObject::url_path(&resource, self.name.namespace()))
    }
}

/// Why a call brought no answer that helps.
enum Trouble {
    Api(Error),
    TimedOut(Duration),
    Paused,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(Error::Api(status)) => f.write_str(&status.message),
            Self::Api(error) => error.fmt(f),
            Self::TimedOut(deadline) => write!(f, "no answer within {} s", deadline.as_secs_f64()),
            Self::Paused => f.write_str("the cluster is left alone, it did not answer in time"),
        }
    }
}

fn encode(object: &Value) -> Vec<u8> {
    object.to_string().into_bytes()
}

fn delete(
    request: &Request,
    name: &str,
    uid: &str,
    options: &DeleteOptions,
) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    // The body is built here: kube's own type has no room for every policy that users may name.
    let mut preconditions = options.preconditions.clone().unwrap_or_default();
    preconditions.uid.get_or_insert_with(|| uid.to_owned());
    let options = DeleteOptions {
        preconditions: Some(preconditions),
        ..options.clone()
    };
    let mut request = request.delete(name, &DeleteParams::default())?;
    *request.body_mut() =
        serde_json::to_vec(&options).map_err(kube::core::request::Error::SerializeBody)?;
    Ok(request)
}

fn success(action: &Action, reply: Arc<Value>) -> Dispatched {
    let copy = ObservedCopy::from_body(Arc::clone(&reply));
    let (outcome, copy) = match action {
        Action::RemoveLabel { .. } => (Outcome::Released, None),
        // A delete that is complete is answered by a Status, one that has begun by the object.
        Action::Delete { .. } if reply["kind"] == "Status" => (Outcome::Gone, None),
        Action::Delete { .. } => (Outcome::Deleting, Some(copy)),
        _ => {
            let version = copy.version().clone();
            let remote_status = reply.get("status").cloned();
            (
                Outcome::Applied {
                    version,
                    remote_status,
                },
                Some(copy),
            )
        }
    };
    Dispatched::Ended { outcome, copy }
}

fn failure(action: &Action, trouble: Trouble) -> Dispatched {
    if let Trouble::Api(Error::Api(status)) = &trouble {
        match action {
            Action::Delete { .. } if status.is_not_found() => {
                return Dispatched::Ended {
                    outcome: Outcome::Gone,
                    copy: None,
                };
            }
            Action::RemoveLabel { .. } if status.is_not_found() => {
                return Dispatched::Ended {
                    outcome: Outcome::Released,
                    copy: None,
                };
            }
            Action::Update { .. } | Action::Adopt { .. } if status.is_not_found() => {
                return Dispatched::Stale;
            }
            _ if status.is_conflict() || status.is_already_exists() => return Dispatched::Stale,
            _ => {}
        }
    }
    let failure = match trouble {
        Trouble::Api(_) => Failure::Refused,
        Trouble::TimedOut(_) | Trouble::Paused => Failure::TimedOut,
    };
    let message = trouble.to_string();
    Dispatched::Ended {
        outcome: Outcome::Failed { failure, message },
        copy: None,
    }
}

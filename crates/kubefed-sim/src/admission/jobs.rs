//! Jobs select their pods by their own uid.

use serde_json::{Value, json};

use crate::admission::{Admission, defaults};
use crate::json;
use crate::refusal::Refusal;

/// One pod, unless the job says how many.
pub(super) fn set_defaults(job: &mut Value) {
    let parallelism = json::at(job, "spec.parallelism").is_some();
    if !parallelism {
        json::put(job, "spec.parallelism", 1);
        if json::at(job, "spec.completions").is_none() {
            json::put(job, "spec.completions", 1);
        }
    }
}

pub(crate) fn job(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    defaults::fill(admission.new, "jobs.batch");
    let generated = admission.new["spec"]["manualSelector"] != json!(true);
    if admission.old.is_none() && generated {
        let (uid, name) = (
            json::text(admission.new, "metadata.uid").to_owned(),
            admission.name(),
        );
        let labels = json::child(admission.new, "spec.template.metadata.labels");
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            labels.insert(key.to_owned(), json!(value));
        }
        json::put(
            admission.new,
            "spec.selector",
            json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } }),
        );
    }
    admission.immutable("spec.selector")?;
    admission.immutable("spec.completions")?;
    admission.immutable("spec.template")
}

use std::fmt;

use kubefed_api::Error as FieldError;

/// What is wrong with one step of propagation, and where.
///
/// Displays as `step: path: message`. The object and the cluster are known to the caller, who names
/// them. The predicates tell the steps apart, so that each can have its own status on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    step: Step,
    cause: FieldError,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Hash,
    Overrides,
    Render,
    Retention,
}

impl Error {
    pub(crate) fn hash(cause: FieldError) -> Self {
        let step = Step::Hash;
        Self { step, cause }
    }

    pub(crate) fn overrides(cause: FieldError) -> Self {
        let step = Step::Overrides;
        Self { step, cause }
    }

    pub(crate) fn render(cause: FieldError) -> Self {
        let step = Step::Render;
        Self { step, cause }
    }

    pub(crate) fn retention(cause: FieldError) -> Self {
        let step = Step::Retention;
        Self { step, cause }
    }

    /// The template or the overrides could not be hashed, so no recorded version can be trusted.
    pub fn is_hash(&self) -> bool {
        self.step == Step::Hash
    }

    /// The overrides of the cluster are invalid or do not apply.
    pub fn is_overrides(&self) -> bool {
        self.step == Step::Overrides
    }

    /// The template could not be turned into an object.
    pub fn is_render(&self) -> bool {
        self.step == Step::Render
    }

    /// Fields that the member cluster owns could not be kept.
    pub fn is_retention(&self) -> bool {
        self.step == Step::Retention
    }

    /// Path of the field, for example `spec.template.metadata.labels`; empty for the whole object.
    pub fn path(&self) -> &str {
        self.cause.path()
    }

    /// What is wrong, without step and path.
    pub fn message(&self) -> &str {
        self.cause.message()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Hash => "cannot hash the federated object",
            Step::Overrides => "cannot apply the overrides",
            Step::Render => "cannot render the template",
            Step::Retention => "cannot keep the fields of the member cluster",
        };
        write!(f, "{step}: {}", self.cause)
    }
}

impl std::error::Error for Error {}

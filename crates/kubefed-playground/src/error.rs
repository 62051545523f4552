use std::fmt;

/// What went wrong in a playground: the step, the cluster and the object it was about.
#[derive(Debug)]
pub struct Error {
    step: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Call(kube::Error),
    Unsettled(Vec<String>),
    Said(String),
}

impl Error {
    pub(crate) fn call(step: impl Into<String>, cause: kube::Error) -> Self {
        Self {
            step: step.into(),
            cause: Cause::Call(cause),
        }
    }

    pub(crate) fn said(step: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            cause: Cause::Said(cause.into()),
        }
    }

    pub(crate) fn unsettled(step: impl Into<String>, moving: Vec<String>) -> Self {
        Self {
            step: step.into(),
            cause: Cause::Unsettled(moving),
        }
    }

    /// What is still moving, where the playground did not settle in time.
    pub fn moving(&self) -> Option<&[String]> {
        match &self.cause {
            Cause::Unsettled(moving) => Some(moving),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step)?;
        match &self.cause {
            Cause::Call(kube::Error::Api(status)) => f.write_str(&status.message),
            Cause::Call(error) => error.fmt(f),
            Cause::Said(message) => f.write_str(message),
            Cause::Unsettled(moving) => {
                write!(
                    f,
                    "not settled in time, still moving: {}",
                    moving.join("; ")
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Call(error) => Some(error),
            _ => None,
        }
    }
}

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
    Unsettled {
        moving: Vec<String>,
        problems: Vec<String>,
    },
    Said(String),
    Problems(Vec<String>),
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

    pub(crate) fn problems(step: impl Into<String>, problems: Vec<String>) -> Self {
        Self {
            step: step.into(),
            cause: Cause::Problems(problems),
        }
    }

    /// The same error of a larger step, of which waiting is the last part.
    pub(crate) fn within(mut self, step: &str) -> Self {
        self.step = match self.cause {
            Cause::Unsettled { .. } => step.to_owned(),
            _ => format!("{step}: {}", self.step),
        };
        self
    }

    /// A problem that is still being worked on is told once.
    pub(crate) fn unsettled(
        step: impl Into<String>,
        moving: Vec<String>,
        mut problems: Vec<String>,
    ) -> Self {
        problems.retain(|problem| !moving.contains(problem));
        Self {
            step: step.into(),
            cause: Cause::Unsettled { moving, problems },
        }
    }

    /// What is still moving, where the playground did not settle in time.
    pub fn moving(&self) -> Option<&[String]> {
        match &self.cause {
            Cause::Unsettled { moving, .. } => Some(moving),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.step)?;
        match &self.cause {
            Cause::Call(kube::Error::Api(status)) => write!(f, " {}", status.message),
            Cause::Call(error) => write!(f, " {error}"),
            Cause::Said(message) => write!(f, " {message}"),
            Cause::Problems(problems) => lines(f, problems),
            Cause::Unsettled { moving, problems } => {
                f.write_str(" not settled in time, still moving:")?;
                lines(f, moving)?;
                if !problems.is_empty() {
                    f.write_str("\nnot as it should be:")?;
                }
                lines(f, problems)
            }
        }
    }
}

/// Each on a line of its own: there may be many.
fn lines(f: &mut fmt::Formatter<'_>, list: &[String]) -> fmt::Result {
    list.iter().try_for_each(|line| write!(f, "\n  {line}"))
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Call(error) => Some(error),
            _ => None,
        }
    }
}

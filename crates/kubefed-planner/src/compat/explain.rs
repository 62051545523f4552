/// Why.
#[derive(Debug)]
pub enum Reason {}

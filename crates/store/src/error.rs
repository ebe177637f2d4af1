//! The one error of the store.

/// Why the store could not do what was asked. After any of these but [`StoreError::Unknown`] nothing of the
/// transaction is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, is full, or is stopping. Worth another try later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Another transaction was faster (deadlock or a unique key). Worth another try at once.
    #[error("the transaction met another: {0}")]
    Clash(String),
    /// The connection broke at the commit and the server could not be asked, or the disk took the commit and could not
    /// sync it: everything is kept, or nothing.
    #[error("the commit was broken off; it may have been done: {0}")]
    Unknown(String),
    /// A stored value is not what its column says.
    #[error("stored value can't be read: {0}")]
    Corrupt(String),
    /// A statement of ours is wrong.
    #[error("statement failed: {0}")]
    Statement(String),
}

impl StoreError {
    /// Whether it comes of what was to be written, so that another try would meet it again.
    #[must_use]
    pub fn is_of_the_values(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Statement(_))
    }
}

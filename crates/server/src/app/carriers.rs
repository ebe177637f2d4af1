//! The carriers of this installation, by name.

use std::sync::Arc;

use offhook_carriers::Carrier;

/// At least none; in sandbox mode the sandbox. The first buys new numbers; a number stays with its own.
#[derive(Clone, Default)]
pub struct Carriers {
    all: Vec<Arc<dyn Carrier>>,
}

impl Carriers {
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Carrier>>) -> Self {
        Self { all }
    }

    /// The carrier new numbers are bought from.
    #[must_use]
    pub fn for_purchases(&self) -> Option<&Arc<dyn Carrier>> {
        self.all.first()
    }

    /// The carrier with this name, which is kept with every number.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Carrier>> {
        self.all.iter().find(|carrier| carrier.name() == name)
    }
}

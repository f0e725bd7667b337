//! What the daemon takes from outside itself; tests bring their own.

use std::{fmt, sync::Arc};

use crate::{
    observe::Events,
    origin::{Dial, Network},
    time::Clock,
};

/// The time, the way to origins, and where events go.
#[derive(Clone)]
pub struct Outside {
    /// What freshness and timers follow.
    pub clock: Clock,
    /// How origins are reached.
    pub dial: Arc<dyn Dial>,
    /// What is counted and logged.
    pub events: Arc<Events>,
}

impl Outside {
    /// The machine's clock, its network, and nothing counted yet.
    pub fn system() -> Self {
        Self {
            clock: Clock::System,
            dial: Arc::new(Network),
            events: Arc::new(Events::new()),
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

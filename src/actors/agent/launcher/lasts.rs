//! The last process of each replica: the next life begins only when it is gone, also where other
//! settings have come between.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::agent::InstanceId;

/// Turns true when a process is gone; fails when its session was lost, with its process.
pub(in crate::actors::agent) type Gone = watch::Receiver<bool>;

/// Those that may not be gone yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Lasts(Arc<Mutex<HashMap<InstanceId, Gone>>>);

impl Lasts {
    /// A life comes; gives what it has to wait for.
    pub(super) fn follow(&self, replica: &InstanceId, gone: Gone) -> Option<Gone> {
        let mut lasts = self.0.lock();
        let before = lasts.remove(replica);
        // Whoever has no life any more leaves nothing behind.
        lasts.retain(|_, last| !*last.borrow() && last.has_changed().is_ok());
        lasts.insert(replica.clone(), gone);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(index: u32) -> InstanceId {
        let agent = "echo".parse().unwrap();
        InstanceId { agent, index }
    }

    #[test]
    fn a_life_follows_the_last_of_its_own_replica_and_what_is_gone_is_forgotten() {
        let lasts = Lasts::default();
        let (first, gone) = watch::channel(false);
        assert!(lasts.follow(&replica(0), gone).is_none());
        let (_other, gone) = watch::channel(false);
        assert!(lasts.follow(&replica(1), gone).is_none());
        let (_next, gone) = watch::channel(false);
        let before = lasts.follow(&replica(0), gone).unwrap();
        assert!(!*before.borrow());
        first.send_replace(true);
        assert!(*before.borrow());
        drop((_other, _next));
        let (_last, gone) = watch::channel(false);
        lasts.follow(&replica(2), gone);
        assert_eq!(lasts.0.lock().len(), 1);
    }
}

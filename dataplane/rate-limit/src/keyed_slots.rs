//! Concurrency limits per key, for example per host. Entries exist only while they are used.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of slots for each key, and how many tasks may wait for one of them.
pub(crate) struct KeyedSlots<K: Eq + Hash + Clone> {
    slots: usize,
    max_waiting: usize,
    gates: Mutex<HashMap<K, Gate>>,
}

struct Gate {
    slots: Arc<Semaphore>,
    /// Tasks that hold a slot or wait for one.
    users: usize,
}

impl<K: Eq + Hash + Clone> KeyedSlots<K> {
    pub(crate) fn new(slots: usize, max_waiting: usize) -> Self {
        Self { slots, max_waiting, gates: Mutex::default() }
    }

    /// Waits for a slot of a key. `None` if too many tasks wait for it already.
    pub(crate) async fn enter(&self, key: K) -> Option<KeyedSlot<'_, K>> {
        let (user, slots) = self.register(key)?;
        let permit = slots.acquire_owned().await.ok()?;
        Some(KeyedSlot { _permit: permit, _user: user })
    }

    fn register(&self, key: K) -> Option<(User<'_, K>, Arc<Semaphore>)> {
        let mut gates = self.gates.lock();
        let gate = gates
            .entry(key.clone())
            .or_insert_with(|| Gate { slots: Arc::new(Semaphore::new(self.slots)), users: 0 });
        if gate.users >= self.slots + self.max_waiting {
            return None;
        }
        gate.users += 1;
        Some((User { of: self, key }, Arc::clone(&gate.slots)))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.gates.lock().len()
    }
}

/// A slot. Dropping it frees the slot.
pub(crate) struct KeyedSlot<'a, K: Eq + Hash + Clone> {
    _permit: OwnedSemaphorePermit,
    _user: User<'a, K>,
}

/// One task at a gate. The last one removes the gate.
struct User<'a, K: Eq + Hash + Clone> {
    of: &'a KeyedSlots<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Drop for User<'_, K> {
    fn drop(&mut self) {
        let mut gates = self.of.gates.lock();
        if let Some(gate) = gates.get_mut(&self.key) {
            gate.users -= 1;
            if gate.users == 0 {
                gates.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn given_a_key_when_its_slots_are_taken_then_a_few_wait_more_fail_and_other_keys_are_free() {
        let slots = KeyedSlots::new(1, 1);
        let first = slots.enter("a").await.unwrap();
        let mut second = Box::pin(slots.enter("a"));
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        assert!(slots.enter("a").await.is_none());
        assert!(slots.enter("b").await.is_some());
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(slots.len(), 0);
    }

    #[tokio::test]
    async fn given_a_task_that_waits_when_it_gives_up_then_its_place_is_free() {
        let slots = KeyedSlots::new(1, 1);
        let _first = slots.enter("a").await.unwrap();
        for _ in 0..3 {
            let mut waiting = Box::pin(slots.enter("a"));
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        assert_eq!(slots.len(), 1);
    }
}

//! The lock of what `loom` tries out: in this crate's own unit tests it is loom's, so that they see every order of its takings.

#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;

#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(test)]
impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no holder panics")
    }
}

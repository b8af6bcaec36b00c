//! What Praxis and the program `praxis-worker` say to each other.
//!
//! The program itself is the binary of this package; `praxis-exec` embeds it and speaks to it in these [`frames`].

#[cfg(unix)]
pub mod frames;
#[cfg(unix)]
pub mod staging;

//! The HTTP client of engines that speak to a server.

use reqwest::{Client, ClientBuilder};

use crate::{Error, ErrorKind};

/// Makes a client; redirects are never followed, and TLS trusts what the machine trusts.
pub(crate) fn client(adjust: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, Error> {
    // Whoever installs another one first has it used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("praxis/", env!("CARGO_PKG_VERSION")));
    adjust(builder).build().map_err(|error| {
        let message = format!("cannot make an HTTP client: {}", chain(&error));
        Error::new(ErrorKind::Io, message)
    })
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text.chars().take(500).collect()
}

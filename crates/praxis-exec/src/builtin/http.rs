use std::io::Read;

use serde_json::{Map, Value, json};
use ureq::http::{Method, Request};
use ureq::{Agent, Body};

use super::{BuiltinConfig, Tools, invalid};
use crate::{Effects, Error, ErrorKind, Invocation, Parameter, ParameterKind, ToolContract};

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const MAX_REDIRECTS: u32 = 5;

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    tools.blocking(
        ToolContract::new("http_fetch")
            .describe("Fetches a URL. Off unless the network is allowed.")
            .parameter(Parameter::text("url").describe("an http or https URL"))
            .parameter(Parameter::text("method").or("GET").one_of(METHODS))
            .parameter(
                Parameter::new("headers", ParameterKind::Object)
                    .describe("a JSON object of header name to value"),
            )
            .parameter(Parameter::new("body", ParameterKind::Text).describe("what to send"))
            .effects(Effects::external()),
        http_fetch,
    )
}

fn http_fetch(call: Invocation, config: &BuiltinConfig) -> Result<Value, Error> {
    let url = call.text("url")?;
    if !config.allow_network {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("the network is off, so `{url}` is not fetched"),
        )
        .with_help("allow it with --allow-network, or `allow_network` in the configuration"));
    }
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| {
        ["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    }) {
        return Err(invalid(format!("url `{url}` is not an http or https URL")));
    }
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(config.http_timeout()))
        .max_redirects(MAX_REDIRECTS)
        .http_status_as_error(false)
        .user_agent(concat!("praxis/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let response = agent
        .run(request(&call, url)?)
        .map_err(|source| failed(url, source))?;
    let (head, body) = response.into_parts();
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), Value::from(value))
        })
        .collect();
    let body = read(body, url, config.http_bytes)?;
    Ok(json!({"status": head.status.as_u16(), "headers": headers, "body": body}))
}

fn request(call: &Invocation, url: &str) -> Result<Request<Vec<u8>>, Error> {
    let method = call.text("method")?;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|source| invalid(format!("method `{method}` is none")).with_source(source))?;
    let mut request = Request::builder().method(method).uri(url);
    if let Some(Value::Object(headers)) = call.argument("headers") {
        for (name, value) in headers {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            request = request.header(name, value);
        }
    }
    let body = call
        .argument("body")
        .and_then(Value::as_str)
        .unwrap_or_default();
    request.body(body.as_bytes().to_vec()).map_err(|source| {
        invalid(format!("no request to `{url}` can be made: {source}")).with_source(source)
    })
}

fn read(body: Body, url: &str, limit: u64) -> Result<String, Error> {
    let mut bytes = Vec::new();
    body.into_reader()
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| {
            Error::new(
                ErrorKind::Failed,
                format!("the answer of `{url}` broke off: {source}"),
            )
            .with_source(source)
        })?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            ErrorKind::OutputTooLarge,
            format!("the answer of `{url}` is larger than {limit} bytes"),
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(url: &str, source: ureq::Error) -> Error {
    let kind = match &source {
        ureq::Error::Timeout(_) => ErrorKind::Timeout,
        ureq::Error::BadUri(_) => ErrorKind::InvalidArguments,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, format!("cannot fetch `{url}`: {source}")).with_source(source)
}

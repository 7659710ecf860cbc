//! Requests, with redirects, retries and the token.

use super::cache::{hub_home, variable};
use crate::error::Error;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

/// Attempts of a request that fails for reasons that may pass.
const ATTEMPTS: u32 = 5;
/// Redirects of a request.
const REDIRECTS: usize = 10;
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The time for a part of a file, after which the download goes on with a new request.
const BODY_TIME: Duration = Duration::from_secs(300);

/// Talks to a server.
pub struct Client {
    agent: Agent,
    /// The server's address, without a slash at the end.
    endpoint: String,
    token: Option<String>,
    offline: bool,
    /// The wait before the second attempt; it doubles with each.
    wait: Duration,
}

/// The end of a file, as a request asks for it.
#[derive(Clone, Copy)]
pub struct Range<'a> {
    /// The first byte.
    pub start: u64,
    /// Of which version of the file, by its ETag or time of change; of any other the server sends everything.
    pub version: Option<&'a str>,
}

/// How redirects are treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    All,
    /// Only within the server: what it says about a file is in the answer that leads elsewhere.
    SameServer,
}

impl Client {
    /// A client without a token; `endpoint` is the address of the Hub.
    pub fn new(endpoint: Option<String>) -> Self {
        let endpoint = endpoint.unwrap_or_else(|| "https://huggingface.co".into());
        let config = Agent::config_builder()
            .user_agent(concat!("beitle-quantize/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_recv_body(Some(BODY_TIME));
        let is_set = |value: String| !matches!(value.to_lowercase().as_str(), "0" | "false" | "no" | "off");
        Client {
            agent: config.build().into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: None,
            offline: variable("HF_HUB_OFFLINE").is_some_and(is_set),
            wait: Duration::from_millis(500),
        }
    }

    /// A client for the Hub, with the user's token if there is one.
    pub fn for_hub() -> Self {
        let file = match variable("HF_TOKEN_PATH") {
            Some(path) => Some(path.into()),
            None => hub_home(Path::new("token")).ok().map(|home| home.join("token")),
        };
        let saved = || fs::read_to_string(file?).ok();
        let token = variable("HF_TOKEN").or_else(saved).map(|token| token.trim().to_owned());
        Client { token: token.filter(|token| !token.is_empty()), ..Client::new(variable("HF_ENDPOINT")) }
    }

    /// The address of the Hub. It may hold a password: messages show [`shown`] of it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the network must not be used.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Waits before attempt `attempt`, counted from 0.
    pub fn wait(&self, attempt: u32) {
        if attempt > 0 {
            sleep(self.wait * 2u32.pow(attempt - 1));
        }
    }

    /// The most attempts.
    pub fn attempts(&self) -> u32 {
        ATTEMPTS
    }

    /// Sends a request, to other servers without the token, and again if the failure may pass. `what` is what is being downloaded, for
    /// messages.
    ///
    /// # Errors
    /// The server cannot be reached, or answers with an error.
    pub fn send(
        &self,
        what: &Path,
        (method, url): (&str, &str),
        range: Option<Range>,
        follow: Follow,
    ) -> Result<Response<Body>, Error> {
        if self.offline {
            return Err(Error::new(
                what,
                "is not on this machine, and HF_HUB_OFFLINE forbids to download it",
            ));
        }
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            self.wait(attempt);
            match self.send_once((method, url), range, follow) {
                Err(e) => last = format!("{}: {e}", shown(server(url))),
                Ok(response) if is_passing(response.status()) => {
                    last = format!("{} answers {}", shown(server(url)), response.status());
                    let seconds =
                        header(response.headers(), "retry-after").and_then(|text| text.parse().ok());
                    sleep(Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST_WAIT));
                }
                Ok(response) => return self.checked(what, url, response),
            }
        }
        Err(Error::new(what, format!("cannot be downloaded: {last} (after {ATTEMPTS} attempts)")))
    }

    /// Sends a request once, and follows redirects.
    fn send_once(
        &self,
        (method, url): (&str, &str),
        range: Option<Range>,
        follow: Follow,
    ) -> Result<Response<Body>, String> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = if method == "HEAD" { self.agent.head(&url) } else { self.agent.get(&url) };
            // Compressed, a file would have another length and checksum.
            request = request.header("Accept-Encoding", "identity");
            if let Some(token) = self.token.as_ref().filter(|_| server(&url) == server(&self.endpoint)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            if let Some(range) = range {
                request = request.header("Range", format!("bytes={}-", range.start));
                if let Some(version) = range.version {
                    request = request.header("If-Range", version);
                }
            }
            let response = request.call().map_err(|e| match e {
                // It quotes the URL with all its secrets.
                ureq::Error::BadUri(_) => "expected a URL with http:// or https:// and a host".into(),
                e => e.to_string(),
            })?;
            let next = response.status().is_redirection().then(|| header(response.headers(), "location"));
            let Some(Some(next)) = next else { return Ok(response) };
            let next = resolve(&url, next);
            if follow == Follow::SameServer && server(&next) != server(&url) {
                return Ok(response);
            }
            if url.starts_with("https://") && !next.starts_with("https://") {
                return Err(format!("it redirects to {}, which is not encrypted", shown(server(&next))));
            }
            url = next;
        }
        Err(format!("more than {REDIRECTS} redirects"))
    }

    /// The answer, or what its error status means.
    fn checked(&self, what: &Path, url: &str, response: Response<Body>) -> Result<Response<Body>, Error> {
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(response);
        }
        let code = header(response.headers(), "x-error-code").unwrap_or_default();
        let hint = match (status, code) {
            (_, "GatedRepo") => {
                "it is gated: accept its conditions on its page, and set HF_TOKEN to a token of yours"
            }
            (StatusCode::NOT_FOUND, "RevisionNotFound") => "there is no such revision",
            (StatusCode::NOT_FOUND, "EntryNotFound") => "there is no such file",
            (StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, _) if self.token.is_none() => {
                "it does not exist, or it is private: then set HF_TOKEN to a token of yours"
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => "the token does not give access to it",
            (StatusCode::NOT_FOUND, _) => "it does not exist",
            _ => "expected the file",
        };
        Err(Error::new(
            what,
            format!("cannot be downloaded: {} answers {status}: {hint}", shown(server(url))),
        ))
    }
}

/// A header as text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether an error may pass.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}

/// Scheme, user, host and port of a URL.
fn server(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

/// A URL as messages show it: without user, query and fragment, which may hold passwords and signatures.
pub fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let (server, scheme) = (server(url), url.find("://").map_or(0, |at| at + 3));
    let host = server.rfind('@').map_or(scheme, |at| at + 1);
    [&url[..scheme], &url[host..]].concat()
}

/// The URL that a redirect from `url` leads to; it may be relative.
fn resolve(url: &str, next: &str) -> String {
    let path = &next[..next.find(['/', '?', '#']).unwrap_or(next.len())];
    if path.ends_with(':') {
        return next.to_owned();
    }
    let scheme = url.find(':').map_or(0, |at| at + 1);
    let whole = url.split(['?', '#']).next().unwrap_or(url);
    let before = match next {
        _ if next.starts_with("//") => &url[..scheme],
        _ if next.starts_with('/') => server(url),
        _ if path.is_empty() => whole,
        _ => {
            &whole[..whole.rfind('/').filter(|at| *at >= server(url).len()).map_or(whole.len(), |at| at + 1)]
        }
    };
    let slash = if before == server(url) && !next.starts_with('/') { "/" } else { "" };
    [before, slash, next].concat()
}

#[cfg(test)]
mod tests {
    use super::{resolve, server, shown};

    #[test]
    fn servers_of_urls() {
        assert_eq!(server("https://a.b:80/c/d"), "https://a.b:80");
        assert_eq!(server("https://a.b?c"), "https://a.b");
        assert_eq!(server("http://a"), "http://a");
        // What looks like the Hub's address is part of another server's.
        assert_eq!(server("https://a.b@c.d/"), "https://a.b@c.d");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("https://user:a@b@c.d:80/e@f?g=h#i"), "https://c.d:80/e@f");
        assert_eq!(shown("user:a@c.d/e"), "c.d/e");
        assert_eq!(shown("http://a/b#c"), "http://a/b");
    }

    #[test]
    fn redirects_are_resolved() {
        let url = "https://a.b:80/c/d?e=/f";
        assert_eq!(resolve(url, "http://g/h"), "http://g/h");
        assert_eq!(resolve(url, "//g/h"), "https://g/h");
        assert_eq!(resolve(url, "/g?h"), "https://a.b:80/g?h");
        assert_eq!(resolve(url, "g/h?i=http://j"), "https://a.b:80/c/g/h?i=http://j");
        assert_eq!(resolve(url, "?g"), "https://a.b:80/c/d?g");
        assert_eq!(resolve("https://a.b", "g"), "https://a.b/g");
        assert_eq!(resolve("https://a.b?c", "?g"), "https://a.b/?g");
    }
}

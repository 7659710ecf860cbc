//! A server on this machine that speaks the protocol of the Hub, and a second one for its large files.

use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
}

/// An answer. `cut`: the connection ends after so many bytes of the body.
#[derive(Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub cut: Option<usize>,
}

type Respond = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// A server on a port of its own; it ends with the process.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `respond` gets a request and how often its path was asked for before.
    pub fn start(respond: Box<Respond>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (log, respond) = (Arc::clone(&requests), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, respond) = (Arc::clone(&log), Arc::clone(&respond));
                std::thread::spawn(move || serve(stream, &log, &**respond));
            }
        });
        Server { address, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves one request, and closes the connection.
fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, respond: &Respond) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let request = Request { method, path, headers };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.iter().filter(|r| (&r.method, &r.path) == (&request.method, &request.path)).count() - 1
    };
    let answer = respond(&request, before);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    // A body of chunks has no length.
    if !answer.headers.iter().any(|(name, _)| ["Content-Length", "Transfer-Encoding"].contains(name)) {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    answer.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    stream.write_all((head + "\r\n").as_bytes()).ok()?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())]).ok()?;
    }
    Some(())
}

pub fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a checkpoint of the tests.
pub fn files(name: &str) -> HashMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(p).unwrap())).collect()
}

/// What is asked of the server with the files.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// The first answer with a large file ends in its middle.
    pub cut: bool,
    /// Large files have other bytes than announced.
    pub wrong: bool,
    /// All answers with a large file end in their middle; after 12 of them there is no file.
    pub cut_all: bool,
    /// The server with large files does not know ranges.
    pub no_ranges: bool,
    /// Its answers to ranges are about another part.
    pub wrong_ranges: bool,
    /// Large files are announced to be larger than any disk.
    pub huge: bool,
}

pub fn content_range(start: usize, bytes: usize) -> (&'static str, String) {
    ("Content-Range", format!("bytes {start}-{}/{bytes}", bytes - 1))
}

/// The body of an answer with the header `CHUNKED`, in one chunk.
pub fn chunked(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0\r\n\r\n"].concat()
}

/// A server with large files and one with a repository `o/n` that leads to it.
pub fn hub(files: HashMap<String, Vec<u8>>, faults: Faults) -> (Server, Server) {
    let files = Arc::new(files);
    let large = Arc::clone(&files);
    let storage = Server::start(Box::new(move |request, before| {
        let Some(bytes) = large.get(request.path.trim_start_matches("/blob/")) else { return status(404) };
        let mut body = bytes.clone();
        if faults.wrong {
            body[1000] ^= 1;
        }
        let range = request.headers.get("range").filter(|_| !faults.no_ranges);
        let start =
            range.map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
        if faults.cut_all && before == 12 {
            return status(404);
        }
        let body = body.split_off(start.unwrap_or(0));
        let cut = (faults.cut && before == 0 || faults.cut_all).then_some(body.len() / 2);
        let Some(start) = start else { return Answer { status: 200, body, cut, ..Answer::default() } };
        let said = if faults.wrong_ranges { 0 } else { start };
        Answer { status: 206, headers: vec![content_range(said, bytes.len())], body, cut }
    }));
    let elsewhere = storage.address.clone();
    let server = Server::start(Box::new(move |request, _| {
        let names: Vec<_> = files.keys().map(|name| json!({"rfilename": name})).collect();
        if request.path.starts_with("/api/models/o/n/revision/") {
            let body = json!({"sha": COMMIT, "siblings": names}).to_string().into_bytes();
            return Answer { status: 200, body, ..Answer::default() };
        }
        let name = request.path.strip_prefix(&format!("/o/n/resolve/{COMMIT}/")).unwrap_or("");
        let Some(bytes) = files.get(name) else { return status(404) };
        if name.ends_with(".json") {
            let headers = vec![("ETag", format!("\"{}\"", &hash(bytes)[..40]))];
            return Answer { status: 200, headers, body: bytes.clone(), ..Answer::default() };
        }
        let headers = vec![
            ("Location", format!("{elsewhere}/blob/{name}")),
            ("X-Linked-Etag", format!("\"{}\"", hash(bytes))),
            ("X-Linked-Size", if faults.huge { "9000000000000000".into() } else { bytes.len().to_string() }),
        ];
        Answer { status: 302, headers, ..Answer::default() }
    }));
    (server, storage)
}

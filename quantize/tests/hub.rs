//! Checkpoints of the Hugging Face Hub, from a server on this machine that speaks its protocol: redirects to another server, ranges, cut
//! connections, wrong contents, and refusals.
#![cfg(all(unix, feature = "hub"))]

#[path = "hub/home.rs"]
mod home;
#[path = "hub/server.rs"]
mod server;

use home::Home;
use serde_json::json;
use server::{Answer, COMMIT, Faults, Server, chunked, content_range, files, hash, hub, status};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
const TOKEN: (&str, &str) = ("HF_TOKEN", "hf_secret");

#[test]
fn a_model_is_downloaded_once_and_the_token_goes_to_the_hub_alone() {
    let home = Home::new("once");
    let files = files("relative");
    let (server, storage) = hub(files.clone(), Faults::default());
    let stderr = home.converts(&server.address, "o/n", &[TOKEN]);
    assert!(stderr.contains("downloading: "), "{stderr}");
    let asked = server.requests();
    assert!(asked.iter().all(|request| request.headers["authorization"] == "Bearer hf_secret"));
    assert!(
        !asked.iter().any(|request| request.path.contains("goldens") || request.path.contains("golden.json"))
    );
    assert_eq!(storage.requests().len(), 1);
    assert!(!storage.requests()[0].headers.contains_key("authorization"), "another server gets the token");

    // The layout of Python's cache.
    let folder = home.repository();
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    let weights = folder.join("snapshots").join(COMMIT).join("model.safetensors");
    let link = fs::read_link(&weights).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(hash(&files["model.safetensors"])));
    assert_eq!(fs::read(&weights).unwrap(), files["model.safetensors"]);
    assert!(!fs::read_dir(folder.join("blobs")).unwrap().any(|e| e.unwrap().path().extension().is_some()));

    // Again: the branch may have moved, the files are there.
    home.converts(&server.address, "o/n", &[]);
    assert_eq!((server.requests().len(), storage.requests().len()), (asked.len() + 1, 1));
    // Without a network, or of a commit that is there: nobody is asked.
    let nobody = "http://127.0.0.1:9";
    home.converts(nobody, "o/n", &[("HF_HUB_OFFLINE", "1")]);
    home.converts(nobody, &format!("o/n@{COMMIT}"), &[]);
    home.fails(nobody, "o/other", &[("HF_HUB_OFFLINE", "1")], &["o/other@main", "HF_HUB_OFFLINE"]);
}

#[test]
fn the_cache_that_python_has_filled_is_used() {
    let home = Home::new("python");
    let folder = home.0.join("elsewhere/models--o--n");
    let snapshot = folder.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(folder.join("blobs")).unwrap();
    fs::create_dir_all(folder.join("refs")).unwrap();
    for (name, bytes) in files("sharded") {
        fs::write(folder.join("blobs").join(hash(&bytes)), &bytes).unwrap();
        std::os::unix::fs::symlink(format!("../../blobs/{}", hash(&bytes)), snapshot.join(name)).unwrap();
    }
    fs::write(folder.join("refs/main"), COMMIT).unwrap();
    let cache = home.0.join("elsewhere");
    let variables = [("HF_HUB_CACHE", cache.to_str().unwrap()), ("HF_HUB_OFFLINE", "1")];
    home.converts("http://127.0.0.1:9", "o/n", &variables);
    // A shard is missing.
    let shard = fs::read_dir(&snapshot).unwrap().map(|e| e.unwrap().path());
    let shard = shard.filter(|p| p.to_str().unwrap().contains("-of-")).min().unwrap();
    fs::remove_file(shard).unwrap();
    home.fails("http://127.0.0.1:9", "o/n", &variables, &["HF_HUB_OFFLINE"]);
}

#[test]
fn shards_are_downloaded_and_interrupted_downloads_go_on() {
    for faults in [
        Faults { cut: true, ..Faults::default() },
        Faults { cut: true, no_ranges: true, ..Faults::default() },
    ] {
        let home = Home::new(if faults.no_ranges { "whole" } else { "ranges" });
        let files = files("sharded");
        let (server, storage) = hub(files.clone(), faults);
        home.converts(&server.address, "o/n@v1.0", &[]);
        assert_eq!(fs::read_to_string(home.repository().join("refs/v1.0")).unwrap(), COMMIT);
        let asked = storage.requests();
        let shards = files.keys().filter(|name| name.contains("-of-")).count();
        assert_eq!(asked.len(), 2 * shards, "each was cut once");
        assert_eq!(asked.iter().filter(|request| request.headers.contains_key("range")).count(), shards);
    }
    // What an earlier run has left is used.
    let home = Home::new("left");
    let files = files("relative");
    let (bytes, blobs) = (&files["model.safetensors"], home.repository().join("blobs"));
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", hash(bytes))), &bytes[..5000]).unwrap();
    let (server, storage) = hub(files.clone(), Faults::default());
    home.converts(&server.address, "o/n", &[]);
    assert_eq!(storage.requests()[0].headers["range"], "bytes=5000-");
}

#[test]
fn downloads_that_do_not_get_on_end() {
    let faults = Faults { cut_all: true, no_ranges: true, ..Faults::default() };
    let (server, storage) = hub(files("relative"), faults);
    Home::new("cut").fails(&server.address, "o/n", &[], &["o/n@main/model.safetensors", "broke off"]);
    assert_eq!(storage.requests().len(), 5, "none brought more than the first");
}

#[test]
fn another_part_than_was_asked_for_is_not_used() {
    let home = Home::new("part");
    let faults = Faults { cut: true, wrong_ranges: true, ..Faults::default() };
    let (server, storage) = hub(files("relative"), faults);
    home.converts(&server.address, "o/n", &[]);
    let ranges: Vec<_> = storage.requests().iter().map(|r| r.headers.contains_key("range")).collect();
    assert_eq!(ranges, [false, true, false]);
}

/// A cache that holds config and weights of a commit only.
fn without_preprocessor(home: &Home, files: &HashMap<String, Vec<u8>>) -> PathBuf {
    let snapshot = home.repository().join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::write(snapshot.join(name), &files[name]).unwrap();
    }
    snapshot.join("preprocessor_config.json")
}

#[test]
fn a_preprocessor_that_the_cache_lacks_is_asked_for() {
    let source = format!("o/n@{COMMIT}");
    let nobody = "http://127.0.0.1:9";
    let mut files = files("relative");
    files.entry("preprocessor_config.json".into()).or_insert_with(|| b"{}".to_vec());
    let home = Home::new("preprocessor");
    let missing = without_preprocessor(&home, &files);
    // There is no other choice without a network.
    home.converts(nobody, &source, &[("HF_HUB_OFFLINE", "1")]);
    assert!(!missing.exists());
    let (server, storage) = hub(files.clone(), Faults::default());
    home.converts(&server.address, &source, &[]);
    assert_eq!(fs::read(&missing).unwrap(), files["preprocessor_config.json"]);
    assert!(storage.requests().is_empty(), "the weights are there");

    // The repository has none: that is noted where Python's tools do.
    files.remove("preprocessor_config.json");
    let home = Home::new("no-preprocessor");
    let missing = without_preprocessor(&home, &files);
    let (server, _storage) = hub(files, Faults::default());
    home.converts(&server.address, &source, &[]);
    let note = home.repository().join(".no_exist").join(COMMIT).join("preprocessor_config.json");
    assert!(note.exists() && !missing.exists());
    assert_eq!(server.requests().len(), 1);
    home.converts(nobody, &source, &[]);
}

#[test]
fn hostile_lists_are_refused() {
    let with_index = |name: &str, index: String, words: &[&str]| {
        let mut files = files("sharded");
        files.insert("model.safetensors.index.json".into(), index.into_bytes());
        let (server, storage) = hub(files, Faults::default());
        Home::new(name).fails(&server.address, "o/n", &[], words);
        assert!(storage.requests().is_empty());
    };
    let objects = format!("[0{}]", ",{\"\":0}".repeat(1_000_000));
    with_index("objects", format!("{{\"weight_map\":{objects}}}"), &["expected at most 4096"]);
    let shards: HashMap<_, _> = (0..257).map(|n| (n.to_string(), format!("{n}.safetensors"))).collect();
    with_index("shards", json!({"weight_map": shards}).to_string(), &["257 files", "at most 256"]);
}

/// The list of files may hold anything besides what is needed of it.
#[cfg(target_os = "linux")]
#[test]
fn the_list_of_files_takes_little_memory() {
    let objects = format!("[0{}]", ",{\"\":0}".repeat(500_000));
    let list = format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[],\"other\":{objects}}}").into_bytes();
    let server =
        Server::start(Box::new(move |_, _| Answer { status: 200, body: list.clone(), ..Answer::default() }));
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 300000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_beitle-quantize")]);
    let output = Home::new("memory").run(limited, &server.address, "o/n", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("has no config.json"), "{stderr}");
}

#[test]
fn messages_have_no_secrets() {
    let refuses = |status: u16, body: &'static str| {
        Server::start(Box::new(move |_, _| Answer { status, body: body.into(), ..Answer::default() }))
    };
    let no_secret = |name: &str, endpoint: &str, source: &str, words: &[&str]| {
        let output = Home::new(name).quantize(endpoint, source, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && !stderr.contains("SECRET"), "{stderr}");
        words.iter().for_each(|word| assert!(stderr.contains(word), "{stderr:?} lacks {word:?}"));
    };
    for (code, body) in [(418, ""), (503, ""), (200, "<html>")] {
        let server = refuses(code, body);
        let host = server.address.trim_start_matches("http://");
        let endpoint = format!("http://user:SECRET@{host}");
        no_secret(&format!("user-{code}"), &endpoint, "o/n", &["o/n@main", host]);
    }
    no_secret("scheme", "user:SECRET@localhost", "o/n", &["o/n@main"]);
    let server = refuses(418, "");
    for query in ["?sig=SECRET", "#SECRET"] {
        let url = format!("{}/beit.pth{query}", server.address);
        no_secret("query", &server.address, &url, &["/beit.pth: cannot be downloaded"]);
    }
    let url = format!("{}/?sig=SECRET", server.address);
    no_secret("name", &server.address, &url, &["does not end with the name of a file"]);
}

#[test]
fn wrong_contents_are_not_used() {
    let home = Home::new("wrong");
    let (server, _storage) = hub(files("relative"), Faults { wrong: true, ..Faults::default() });
    home.fails(&server.address, "o/n", &[], &["o/n@main/model.safetensors", "SHA-256", "announced"]);
    let blobs: Vec<_> = fs::read_dir(home.repository().join("blobs")).unwrap().collect();
    assert!(blobs.iter().all(|blob| blob.as_ref().unwrap().file_name().len() == 40), "{blobs:?}");

    let (server, storage) = hub(files("relative"), Faults { huge: true, ..Faults::default() });
    Home::new("huge").fails(&server.address, "o/n", &[], &["needs 9000000000 MB", "left"]);
    assert!(storage.requests().is_empty(), "the disk is checked beforehand");

    let mut hostile = files("sharded");
    let index = json!({"weight_map": {"a": "../../../../escaped.safetensors"}}).to_string().into_bytes();
    hostile.insert("model.safetensors.index.json".into(), index);
    let (server, _storage) = hub(hostile, Faults::default());
    Home::new("hostile").fails(&server.address, "o/n", &[], &["weight_map"]);
}

#[test]
fn refusals_are_explained_and_servers_that_are_busy_are_asked_again() {
    let refused = |code: u16, header: Option<&'static str>, variables: &[(&str, &str)], words: &[&str]| {
        let server = Server::start(Box::new(move |_, _| {
            let headers = header.map(|text| ("X-Error-Code", text.to_owned())).into_iter().collect();
            Answer { status: code, headers, ..Answer::default() }
        }));
        let home = Home::new(&format!("refused-{code}-{}", header.unwrap_or("none")));
        home.fails(&server.address, "o/n", variables, &[&["o/n@main"], words].concat());
    };
    refused(401, None, &[], &["401", "HF_TOKEN"]);
    refused(403, Some("GatedRepo"), &[TOKEN], &["gated", "accept its conditions"]);
    refused(403, None, &[TOKEN], &["the token does not give access"]);
    refused(404, None, &[TOKEN], &["404", "does not exist"]);
    refused(404, Some("RevisionNotFound"), &[], &["no such revision"]);
    refused(418, None, &[], &["418"]);
    refused(503, None, &[], &["503", "after 5 attempts"]);
    // A folder that is here, without what is named.
    let home = Home::new("local");
    fs::create_dir_all(home.0.join("models")).unwrap();
    let silent = Server::start(Box::new(|_, _| status(500)));
    home.fails(&silent.address, "models/missing", &[], &["models/missing"]);
    assert!(silent.requests().is_empty());
    Home::new("nobody").fails(
        "http://127.0.0.1:9",
        "o/n",
        &[],
        &["cannot be downloaded", "after 5 attempts"],
    );
    let text =
        Server::start(Box::new(|_, _| Answer { status: 200, body: b"<html>".to_vec(), ..Answer::default() }));
    Home::new("html").fails(&text.address, "o/n", &[], &["is not JSON"]);
    let mut no_weights = files("relative");
    no_weights.remove("model.safetensors");
    let (server, _storage) = hub(no_weights, Faults::default());
    Home::new("weights").fails(&server.address, "o/n", &[], &["has no weights", "pytorch_model.bin"]);

    let (real, _storage) = hub(files("relative"), Faults::default());
    let address = real.address.clone();
    let busy = Server::start(Box::new(move |request, before| match before {
        0 => status(429),
        1 => status(502),
        _ => Answer {
            status: 307,
            headers: vec![("Location", address.clone() + &request.path)],
            ..Answer::default()
        },
    }));
    let home = Home::new("busy");
    // Requests about files are answered by the first server, as the Hub's are.
    let output = home.quantize(&busy.address, "o/n", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        busy.requests().iter().filter(|request| request.path.starts_with("/api")).count() == 3,
        "{stderr}"
    );
}

#[test]
fn a_file_by_url_is_downloaded_once() {
    let home = Home::new("url");
    let bytes = one_file();
    let server =
        Server::start(Box::new(move |_, _| Answer { status: 200, body: bytes.clone(), ..Answer::default() }));
    let url = format!("{}/models/beit.pth?download=true", server.address);
    home.converts("http://127.0.0.1:9", &url, &[TOKEN]);
    let asked = server.requests();
    assert_eq!(asked.len(), 2, "HEAD and GET");
    assert!(asked.iter().all(|request| !request.headers.contains_key("authorization")));
    home.converts("http://127.0.0.1:9", &url, &[]);
    assert_eq!(server.requests().len(), 2);
    home.fails(
        "http://127.0.0.1:9",
        &format!("{}/", server.address),
        &[],
        &["does not end with the name of a file"],
    );
}

/// The bytes of a checkpoint that is a single file.
fn one_file() -> Vec<u8> {
    files("unilm").into_iter().find(|(name, _)| name.ends_with(".pth")).unwrap().1
}

#[test]
fn parts_of_two_versions_of_a_file_are_not_mixed() {
    // The first download breaks off. Before the second the file is replaced by one as long, or not.
    let run = |name: &str, headers: [Option<(&'static str, &str)>; 2]| {
        let (bytes, other) = (one_file(), vec![0; one_file().len()]);
        let first = if headers[0] == headers[1] && headers[0].is_some() { bytes.clone() } else { other };
        let headers = headers.map(|header| header.map(|(name, value)| (name, value.to_owned())));
        let gets = Mutex::new(0);
        let server = Server::start(Box::new(move |request, _| {
            let mut gets = gets.lock().unwrap();
            *gets += usize::from(request.method == "GET");
            if *gets == 2 && request.method == "GET" {
                return status(404);
            }
            let (body, header) = if *gets < 2 { (&first, &headers[0]) } else { (&bytes, &headers[1]) };
            let all: Vec<_> = header.iter().cloned().collect();
            let if_range = request.headers.get("if-range");
            let is_same = if_range.is_none() || if_range == header.as_ref().map(|(_, value)| value);
            let cut = (*gets == 1).then_some(body.len() / 2);
            match request.headers.get("range").filter(|_| is_same) {
                None => Answer { status: 200, headers: all, body: body.clone(), cut },
                Some(range) => {
                    let start = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
                    let headers = [all, vec![content_range(start, body.len())]].concat();
                    Answer { status: 206, headers, body: body[start..].to_vec(), cut }
                }
            }
        }));
        let (home, url) = (Home::new(name), format!("{}/beit.pth", server.address));
        home.fails("http://127.0.0.1:9", &url, &[], &["404"]);
        home.converts("http://127.0.0.1:9", &url, &[]);
        let left = home.by_url();
        assert!(left.len() == 1 && left[0].ends_with("beit.pth"), "{left:?}");
        assert_eq!(fs::read(&left[0]).unwrap(), one_file());
        let last = server.requests().pop().unwrap();
        last.headers.get("if-range").filter(|_| last.headers.contains_key("range")).cloned()
    };
    let (old, new) = (Some(("ETag", "\"old\"")), Some(("ETag", "\"new\"")));
    assert_eq!(run("replaced", [old, new]), None);
    assert_eq!(run("same", [new, new]).as_deref(), Some("\"new\""));
    let date = Some(("Last-Modified", "Fri, 27 Nov 2026 10:00:00 GMT"));
    assert_eq!(run("date", [date, date]).as_deref(), Some("Fri, 27 Nov 2026 10:00:00 GMT"));
    assert_eq!(run("unknown", [None, None]), None);
    // Weak tags do not tell bytes apart.
    let weak = Some(("ETag", "W/\"new\""));
    assert_eq!(run("weak", [weak, weak]), None);
}

#[test]
fn files_without_a_length_are_downloaded_and_lengths_beyond_the_disk_are_not() {
    let start = |cut: Option<usize>, length: Option<&'static str>| {
        let body = chunked(&one_file());
        Server::start(Box::new(move |request, before| match (request.method.as_str(), before, length) {
            ("GET", 1.., _) => status(404),
            ("GET", _, Some(length)) => {
                let headers = vec![("Content-Length", length.to_owned())];
                Answer { status: 200, headers, body: b"x".to_vec(), cut: None }
            }
            _ => {
                let headers = vec![(CHUNKED.0, CHUNKED.1.to_owned())];
                Answer { status: 200, headers, body: body.clone(), cut }
            }
        }))
    };
    let server = start(None, None);
    Home::new("chunked").converts("http://127.0.0.1:9", &format!("{}/beit.pth", server.address), &[]);

    // Without a length a later download cannot use the beginning.
    let (home, server) = (Home::new("chunks"), start(Some(10_000), None));
    home.fails("http://127.0.0.1:9", &format!("{}/beit.pth", server.address), &[], &["404"]);
    assert_eq!(home.by_url(), Vec::<PathBuf>::new());

    let server = start(None, Some("18446744073709551615"));
    let url = format!("{}/beit.pth", server.address);
    Home::new("length").fails("http://127.0.0.1:9", &url, &[], &["/beit.pth: needs ", "left"]);
}

#[test]
fn redirects_may_be_relative() {
    let run = |name: &str, location: &dyn Fn(&str) -> String, expected: &str| {
        let locations: Arc<Mutex<Option<String>>> = Arc::default();
        let (known, path) = (Arc::clone(&locations), expected.to_owned());
        let server = Server::start(Box::new(move |request, _| match request.path == path {
            true => Answer { status: 200, body: one_file(), ..Answer::default() },
            false if request.path == "/models/beit.pth" => {
                let location = known.lock().unwrap().clone().unwrap();
                Answer { status: 302, headers: vec![("Location", location)], ..Answer::default() }
            }
            false => status(404),
        }));
        *locations.lock().unwrap() = Some(location(server.address.trim_start_matches("http:")));
        let url = format!("{}/models/beit.pth", server.address);
        Home::new(name).converts("http://127.0.0.1:9", &url, &[]);
    };
    run("no-scheme", &|host| format!("{host}/a/beit.pth"), "/a/beit.pth");
    run("root", &|_| "/a/beit.pth".into(), "/a/beit.pth");
    run("folder", &|_| "a/beit.pth?b=c://d".into(), "/models/a/beit.pth?b=c://d");
    run("only-query", &|_| "?b=1".into(), "/models/beit.pth?b=1");
}

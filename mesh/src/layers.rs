//! Holds the layers of the modules.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lowest first: a module uses those of lower layers alone.
const LAYERS: [&[&str]; 7] = [
    &[
        "clock", "config", "deadline", "failure", "farewell", "files", "otlp", "page", "policy", "proxies", "seldom",
        "stderr",
    ],
    &["access", "backoff", "door", "keyfile", "parse", "shutdown", "threads", "wire"],
    &["metrics", "tls", "token", "trace"],
    &["log", "server", "workers"],
    &["admin", "channel", "web"],
    &["keys", "revocations", "telemetry"],
    &["process"],
];

#[test]
fn a_module_uses_lower_layers_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    gather(&root, &mut files);
    assert!(files.len() > 80, "{}", files.len());
    for file in files {
        let path = file.strip_prefix(&root).expect("beneath").with_extension("");
        let module = path.iter().next().and_then(|first| first.to_str()).expect("a name");
        let text = fs::read_to_string(&file).expect("text");
        let own = layer(module);
        let higher: Vec<_> = used(&text).into_iter().filter(|one| one != module && layer(one) >= own).collect();
        assert!(own < LAYERS.len() && higher.is_empty(), "{} is in layer {own}, and uses {higher:?}", path.display());
    }
}

/// Above all if it stands nowhere, as what is taken from the root and not from its module.
fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or(LAYERS.len())
}

/// All sources but tests.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        if name.ends_with("tests") || ["layers", "lib", "situations", "testing"].contains(&name) {
            continue;
        }
        if path.is_dir() {
            gather(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// What a source uses of this crate, its tests apart.
fn used(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = text.lines().filter_map(|line| line.split("//").next()).collect();
    code.split("crate::").skip(1).flat_map(names).collect()
}

/// The first names of the paths in `{…}`, or of the path, that `rest` begins with.
fn names(rest: &str) -> Vec<String> {
    let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !rest.starts_with('{') {
        return vec![word(rest)];
    }
    let (mut depth, mut top) = (0, String::new());
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 1 => top.push(c),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    top.split(',').map(word).filter(|name| !name.is_empty()).collect()
}

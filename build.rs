//! Compiles `proto/**` with protox, so that no protoc is needed: the generated modules, the descriptor set that
//! reflection serves, and the table of method policies that `mesh` enforces. A method without a policy fails the build.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    #[expect(clippy::disallowed_methods, reason = "cargo hands a build script its input this way")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    collect(Path::new("proto"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptor.bin"), &encoded)?;
    fs::write(out.join("policies.rs"), policies(&DescriptorPool::decode(encoded.as_slice())?)?)?;

    let set = prost_types_set(&encoded)?;
    tonic_prost_build::configure().include_file("modules.rs").compile_fds(set)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// The set without google.protobuf, whose types prost-types already carries.
fn prost_types_set(encoded: &[u8]) -> Result<prost_types::FileDescriptorSet, Box<dyn Error>> {
    Ok(prost_types::FileDescriptorSet::decode(encoded)?)
}

/// One Rust expression: a slice of `MethodPolicy`, sorted by path.
fn policies(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut rows = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| row(pool, &method))
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort();
    let mut code = String::from("&[\n");
    for row in rows {
        writeln!(code, "    {row},")?;
    }
    code.push(']');
    Ok(code)
}

fn row(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<String, Box<dyn Error>> {
    let name = method.full_name();
    let refuse = |what: &str| Err(format!("{name}: {what} (see proto/mesh/v1/policy.proto)"));
    let extension = pool.get_extension_by_name("mesh.v1.policy").ok_or("mesh.v1.policy is not defined")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        refuse("has no (mesh.v1.policy)")?;
    }
    let policy = match options.get_extension(&extension).into_owned() {
        Value::Message(policy) => policy,
        _ => return Ok(refuse("has a malformed (mesh.v1.policy)").map(|()| String::new())?),
    };
    let access = access(&policy);
    let deadline = number(&policy, "deadline_ms");
    let callers = callers(&policy);
    if access == "Unspecified" {
        refuse("names no access")?;
    }
    if !(1..=600_000).contains(&deadline) {
        refuse("needs deadline_ms from 1 to 600000")?;
    }
    if callers.is_empty() == (access == "Peer") {
        refuse("names callers if and only if its access is ACCESS_PEER")?;
    }
    let idempotency = method.method_descriptor_proto().options.as_ref().and_then(|o| o.idempotency_level).unwrap_or(0);
    Ok(format!(
        "MethodPolicy {{ path: \"/{}/{}\", access: mesh::v1::Access::{access}, callers: &{callers:?}, deadline: \
         std::time::Duration::from_millis({deadline}), repeatable: {}, client_streaming: {}, server_streaming: {} }}",
        method.parent_service().full_name(),
        method.name(),
        idempotency != 0,
        method.is_client_streaming(),
        method.is_server_streaming(),
    ))
}

fn number(policy: &DynamicMessage, field: &str) -> u32 {
    policy.get_field_by_name(field).and_then(|value| value.as_u32()).unwrap_or(0)
}

/// The Rust name of the access: ACCESS_PUBLIC is `Public`.
fn access(policy: &DynamicMessage) -> &'static str {
    match policy.get_field_by_name("access").and_then(|value| value.as_enum_number()) {
        Some(1) => "Public",
        Some(2) => "Bearer",
        Some(3) => "Peer",
        Some(4) => "Operator",
        _ => "Unspecified",
    }
}

fn callers(policy: &DynamicMessage) -> Vec<String> {
    match policy.get_field_by_name("callers").as_deref() {
        Some(Value::List(names)) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

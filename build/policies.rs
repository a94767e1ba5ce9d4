//! The table of method policies, out of compiled contracts.

use std::{error::Error, fmt::Write as _};

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

/// One Rust expression: a slice of `MethodPolicy`, sorted by path.
pub(crate) fn table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
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

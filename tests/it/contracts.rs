//! What every contract must say, whoever wrote it.

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, method_options::IdempotencyLevel};
use proto::mesh::v1::Access;

use crate::faults;

/// The packages of Plaza in the descriptor set, without Google's.
fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR).expect("the descriptor set is whole");
    set.file.into_iter().filter(|file| !file.package().starts_with("google.")).collect()
}

#[test]
fn every_method_has_a_policy() {
    let mut count = 0;
    for file in files() {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let policy = proto::POLICIES.iter().find(|policy| policy.path == path);
                assert!(policy.is_some_and(|policy| !policy.deadline.is_zero()), "{path} has no policy");
                count += 1;
            }
        }
    }
    assert_eq!(count, proto::POLICIES.len());
}

#[test]
fn every_method_says_whether_it_may_be_repeated() {
    for file in files() {
        for service in &file.service {
            for method in &service.method {
                let level = method.options.as_ref().and_then(|options| options.idempotency_level);
                assert!(level.is_some(), "{}.{} says nothing of its idempotency", service.name(), method.name());
            }
        }
    }
}

/// One statement, the same at each repeat, in a database where nothing else hangs on it.
const SINGLE: [&str; 2] = ["/blog.v1.AuthorService/UpdateAuthor", "/social.v1.ProfileService/UpdateProfile"];

/// What peers call is a step of the flows.
#[test]
fn every_method_that_changes_something_is_broken_at_each_of_its_steps() {
    let mut changing = Vec::new();
    for file in files() {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let policy = proto::POLICIES.iter().find(|policy| policy.path == path).expect("a policy");
                let level = method.options.as_ref().map(|options| options.idempotency_level());
                if level != Some(IdempotencyLevel::NoSideEffects) && policy.access != Access::Peer {
                    changing.push(path);
                }
            }
        }
    }
    changing.sort();
    let mut broken: Vec<_> = faults::METHODS.iter().chain(&SINGLE).map(|path| (*path).to_owned()).collect();
    broken.sort();
    assert_eq!(broken, changing);
}

/// Paths into a file's descriptor that need a comment: messages and fields, enums and values, services and methods (descriptor.proto).
#[test]
fn everything_a_caller_sees_is_documented() {
    for file in files() {
        let info = file.source_code_info.as_ref().expect("comments are kept");
        let documented = |path: &[i32]| {
            let location = info.location.iter().find(|location| location.path == path);
            location.is_some_and(|location| !location.leading_comments().trim().is_empty())
        };
        let mut paths = Vec::new();
        for (at, message) in (0..).zip(&file.message_type) {
            paths.push((vec![4, at], message.name().to_owned()));
            paths.extend((0..).zip(&message.field).map(|(field, it)| (vec![4, at, 2, field], it.name().to_owned())));
        }
        for (at, kind) in (0..).zip(&file.enum_type) {
            paths.push((vec![5, at], kind.name().to_owned()));
            paths.extend((0..).zip(&kind.value).map(|(value, it)| (vec![5, at, 2, value], it.name().to_owned())));
        }
        for (at, service) in (0..).zip(&file.service) {
            paths.push((vec![6, at], service.name().to_owned()));
            paths.extend((0..).zip(&service.method).map(|(method, it)| (vec![6, at, 2, method], it.name().to_owned())));
        }
        for (path, name) in paths {
            assert!(documented(&path), "{}: {name} has no comment", file.name());
        }
    }
}

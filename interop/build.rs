//! Compiles the contract of the interoperability cases, as the root's build does with Plaza's.

#[path = "../build/policies.rs"]
mod policies;

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    for input in ["build.rs", "proto", "../build", "../proto/mesh"] {
        println!("cargo:rerun-if-changed={input}");
    }
    #[expect(clippy::disallowed_methods, reason = "cargo hands a build script its input this way")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto", "../proto"])?;
    compiler.include_imports(true).open_file("interop.proto")?;
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptor.bin"), &encoded)?;
    fs::write(out.join("policies.rs"), policies::table(&DescriptorPool::decode(encoded.as_slice())?)?)?;
    let mut set = FileDescriptorSet::decode(encoded.as_slice())?;
    // What it imports are options, which need no Rust.
    set.file.retain(|file| file.package() == "grpc.testing");
    tonic_prost_build::configure().compile_fds(set)?;
    Ok(())
}

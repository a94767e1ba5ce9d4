//! Compiles `proto/**` with protox, so that no protoc is needed: the generated modules, the descriptor set that
//! reflection serves, and the table of method policies that `mesh` enforces. A method without a policy fails the build.

#[path = "build/policies.rs"]
mod policies;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_reflect::DescriptorPool;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
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
    fs::write(out.join("policies.rs"), policies::table(&DescriptorPool::decode(encoded.as_slice())?)?)?;

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

//! Compiles `proto/` without an installed protoc: types, gRPC clients and servers, and the descriptors for JSON.

use std::path::PathBuf;

const SERVICES: [&str; 6] = ["kv", "watch", "lease", "cluster", "maintenance", "auth"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = SERVICES.map(|service| format!("proto/etcdserverpb/{service}.proto"));
    let mut compiler = protox::Compiler::new(["proto"])?;
    // Without the comments: the descriptors travel inside the binary.
    compiler.include_source_info(false).include_imports(true).open_files(files)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().build_transport(false).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

//! Finds what Vite has made of `web/` and puts it into the program.
//!
//! `./dev page` leaves it in `page/` below cargo's target directory. Where there is none the build goes on without: nobody
//! needs node to compile. The directory is made here, because cargo watches only what exists.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?);
    let page = target_directory(&out).join("page");
    fs::create_dir_all(&page)?;
    println!("cargo:rerun-if-changed={}", page.display());
    let mut files = Vec::new();
    if page.join("index.html").is_file() {
        collect(&page, &page, &mut files)?;
    }
    files.sort();
    let mut code = vec!["/// Path and content.\nconst FILES: &[(&str, &[u8])] = &[".to_owned()];
    for (name, path) in files {
        let path = path.to_string_lossy();
        code.push(format!("    ({name:?}, include_bytes!({path:?})),"));
    }
    code.push("];\n".to_owned());
    fs::write(out.join("page_files.rs"), code.join("\n"))
}

/// `OUT_DIR` is `<target>/[<triple>/]<profile>/build/<package>/out`.
fn target_directory(out: &Path) -> &Path {
    let profile = out.ancestors().nth(3).unwrap_or(out);
    let above = profile.parent().unwrap_or(profile);
    let triple = env::var("TARGET").unwrap_or_default();
    if above.file_name().is_some_and(|name| name == triple.as_str()) { above.parent().unwrap_or(above) } else { above }
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().replace('\\', "/"), path.clone()));
        }
    }
    Ok(())
}

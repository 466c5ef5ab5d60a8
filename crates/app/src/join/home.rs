//! The directory of a server's set-up: what is in it, and how files get there.
//!
//! The invariants: a file is either entirely the old or entirely the new; one that holds a secret is readable by its owner
//! alone from its first moment on; and as root, what the worker has to read belongs to the worker's user.

use crate::cli::Failure;
use crate::startup;
use config::MemberConfig;
use pki::Fingerprint;
use plan::{CLUSTER_FILE, MEMBER_FILE, Plan, SECRETS_FILE, Secrets, TlsFiles};
use platform::{Readers, set_readers};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use types::Secret;

/// A plan of a hundred members is a tenth of it.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
const TLS: &str = "tls";
const TOKENS: &str = "tokens";
const AUTHORITY_KEY: &str = "ca.key";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    directory: PathBuf,
}

/// Where it is when nobody says otherwise.
pub fn default_directory() -> PathBuf {
    if !cfg!(windows) {
        return "/etc/quorate".into();
    }
    let data = std::env::var_os("ProgramData").unwrap_or_else(|| "C:\\ProgramData".into());
    PathBuf::from(data).join("Quorate")
}

impl Home {
    /// Whole, because the member's configuration names files below it.
    pub fn at(directory: Option<&Path>) -> Self {
        let directory = directory.map_or_else(default_directory, Path::to_owned);
        Self { directory: std::path::absolute(&directory).unwrap_or(directory) }
    }

    /// The one that an agent's configuration is in.
    pub fn of_config(config: &Path) -> Option<Self> {
        let whole = std::path::absolute(config).ok()?;
        Some(Self { directory: whole.parent()?.to_owned() })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn tls(&self) -> TlsFiles {
        TlsFiles::below(&self.directory)
    }

    pub fn authority_key(&self) -> PathBuf {
        self.directory.join(TLS).join(AUTHORITY_KEY)
    }

    pub fn tokens(&self) -> PathBuf {
        self.directory.join(TOKENS)
    }

    pub fn member_file(&self) -> PathBuf {
        self.directory.join(MEMBER_FILE)
    }

    pub fn plan_file(&self) -> PathBuf {
        self.directory.join(CLUSTER_FILE)
    }

    pub fn secrets_file(&self) -> PathBuf {
        self.directory.join(SECRETS_FILE)
    }

    pub fn plan(&self) -> Result<Plan, Failure> {
        let text = Self::needed(&self.plan_file())?;
        Plan::read(&text).map_err(|findings| {
            let why = findings.first().map(|finding| finding.message.clone()).unwrap_or_default();
            Failure::usage("join-plan", format!("{}: {why}", self.plan_file().display())).hint("quorate setup")
        })
    }

    pub fn secrets(&self) -> Result<Secrets, Failure> {
        let file = self.secrets_file();
        Secrets::read(&Self::needed(&file)?).map_err(|error| {
            Failure::usage("join-secrets", format!("{}: {error}", file.display())).hint("quorate setup writes it")
        })
    }

    /// Of the authority that this server's certificate comes from.
    pub fn fingerprint(&self) -> Result<Option<Fingerprint>, Failure> {
        Ok(read(&self.tls().authority)?.as_deref().and_then(pki::fingerprint))
    }

    fn needed(file: &Path) -> Result<String, Failure> {
        read(file)?.ok_or_else(|| {
            Failure::usage("join-no-home", format!("there is no {}", file.display()))
                .hint("this is done on the first server, after: quorate setup; or name its directory with --directory")
        })
    }

    /// The directories, with the rights that they need. What is there already keeps its owner.
    pub fn prepare(&self) -> Result<(), Failure> {
        if !self.directory.exists() {
            std::fs::create_dir_all(&self.directory).map_err(|error| cannot("make", &self.directory, &error))?;
            // On Windows what is made in it later inherits who may read; elsewhere other users may walk through.
            let readers = if cfg!(windows) { Readers::Owner } else { Readers::Everybody };
            set_readers(&self.directory, readers).map_err(|error| cannot("protect", &self.directory, &error))?;
        }
        self.directory_for(&self.directory.join(TLS), Readers::Everybody)
    }

    /// One of ours, made if it is not there.
    pub fn directory_for(&self, directory: &Path, readers: Readers) -> Result<(), Failure> {
        match std::fs::create_dir(directory) {
            Ok(()) => {
                set_readers(directory, readers).map_err(|error| cannot("protect", directory, &error))?;
                // What the worker's user has to read may lie beside.
                give_as_neighbour(directory, &self.directory.join(TLS))
                    .map_err(|error| cannot("give", directory, &error))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(cannot("make", directory, &error)),
        }
    }

    /// As root: what the worker has to read and to renew is its user's.
    pub fn hand_over(&self) -> Result<(), Failure> {
        if !platform::current_user_is_root() {
            return Ok(());
        }
        let member = self.member()?;
        let user = startup::worker_user(&member).map_err(|problem| {
            Failure::usage(problem.code, problem.sentence()).hint(problem.hint().unwrap_or_default())
        })?;
        let Some(user) = user else { return Ok(()) };
        let tls = self.tls();
        let files = [
            self.directory.join(TLS),
            tls.authority,
            tls.certificate,
            tls.key,
            self.authority_key(),
            self.tokens(),
            self.secrets_file(),
            self.member_file(),
        ];
        let tokens =
            std::fs::read_dir(self.tokens()).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        for file in files.into_iter().chain(tokens) {
            match platform::give_to_unfollowed(&file, &user) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("give away", &file, &error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    pub fn member(&self) -> Result<MemberConfig, Failure> {
        let env: BTreeMap<String, String> = std::env::vars().collect();
        config::load(&self.member_file(), &env).map_err(Failure::from)
    }
}

/// `None`: there is no such file.
pub fn read(file: &Path) -> Result<Option<String>, Failure> {
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", file, &error)),
    };
    let mut text = String::new();
    opened.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| cannot("read", file, &error))?;
    Ok(Some(text))
}

pub fn read_secret(file: &Path) -> Result<Option<Secret>, Failure> {
    Ok(read(file)?.map(Secret::new))
}

/// Replaces the file as a whole. `private`: it holds a secret.
pub fn write(file: &Path, text: &str, private: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| cannot("write", file, &error);
    let directory = file.parent().unwrap_or(Path::new("."));
    // Readable by its owner alone, and under a name that nobody can know before.
    let mut new = tempfile::Builder::new().prefix(".quorate-").tempfile_in(directory).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    if !private {
        set_readers(new.path(), Readers::Everybody).map_err(failed)?;
    }
    // A directory of the worker's user has files of the worker's user in it; a file that is there has its owner already.
    give_as_neighbour(new.path(), if file.exists() { file } else { directory }).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(file).map_err(|error| failed(error.error))?;
    if cfg!(windows) { Ok(()) } else { std::fs::File::open(directory).and_then(|it| it.sync_all()).map_err(failed) }
}

fn give_as_neighbour(file: &Path, neighbour: &Path) -> std::io::Result<()> {
    if !platform::current_user_is_root() {
        return Ok(());
    }
    platform::give_as(file, neighbour)
}

pub fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let hint = if error.kind() == ErrorKind::PermissionDenied {
        "run it as root (an administrator), or name a directory of your own with --directory"
    } else {
        "see that the directory is there and has room"
    };
    Failure::usage("join-file", format!("cannot {what} {}: {error}", path.display())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_its_readers_are_as_wished() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(Some(&directory.path().join("home")));
        home.prepare().unwrap();
        for private in [true, false] {
            let file = home.directory().join(format!("{private}"));
            write(&file, "one", private).unwrap();
            write(&file, "two", private).unwrap();
            assert_eq!(read(&file).unwrap().as_deref(), Some("two"));
            if !cfg!(windows) {
                assert_eq!(platform::readable_by_others(&file), Some(!private));
            }
        }
        assert_eq!(std::fs::read_dir(home.directory()).unwrap().count(), 3, "nothing else is left");
        assert_eq!(read(&home.directory().join("none")).unwrap(), None);
        assert_eq!(home.plan().unwrap_err().code, "join-no-home");
    }
}

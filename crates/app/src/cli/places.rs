//! Where a configuration file is looked for when none is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Named by the environment, besides `PATRONICTL_CONFIG_FILE`, which the option reads itself.
pub const OWN_VARIABLE: &str = "QUORATE_CONFIG";

/// In this order; the first that exists is read.
///
/// 1. `patronictl.yaml` where patronictl looks for it: `~/.config/patroni`, or `%APPDATA%\patroni` on Windows
/// 2. `quorate.yml` beside it: `~/.config/quorate`, `%APPDATA%\quorate`
/// 3. the agent's own file: `/etc/quorate/quorate.yml`, `%ProgramData%\quorate\quorate.yml`
/// 4. Patroni's: `/etc/patroni/patroni.yml`, `/etc/patroni/config.yml`, `/etc/patroni.yml`
pub fn candidates(env: &BTreeMap<String, String>, windows: bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let directory = |name: &str| env.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let user = if windows {
        directory("APPDATA")
    } else {
        directory("XDG_CONFIG_HOME").or_else(|| directory("HOME").map(|home| home.join(".config")))
    };
    if let Some(user) = user {
        files.push(user.join("patroni").join("patronictl.yaml"));
        files.push(user.join("quorate").join("quorate.yml"));
    }
    if windows {
        files.extend(directory("ProgramData").map(|data| data.join("quorate").join("quorate.yml")));
    } else {
        let system =
            ["/etc/quorate/quorate.yml", "/etc/patroni/patroni.yml", "/etc/patroni/config.yml", "/etc/patroni.yml"];
        files.extend(system.iter().map(PathBuf::from));
    }
    files
}

/// The file to read: the named one, else the first that exists.
pub fn find(named: Option<&Path>, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    if let Some(own) = env.get(OWN_VARIABLE).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(own));
    }
    candidates(env, cfg!(windows)).into_iter().find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_wins_then_the_users_then_the_systems() {
        let env: BTreeMap<String, String> = [("HOME", "/h"), ("APPDATA", "/a"), ("ProgramData", "/p")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let first = |windows| {
            candidates(&env, windows).iter().map(|file| file.display().to_string()).take(3).collect::<Vec<_>>()
        };
        assert_eq!(
            first(false),
            ["/h/.config/patroni/patronictl.yaml", "/h/.config/quorate/quorate.yml", "/etc/quorate/quorate.yml"]
        );
        assert_eq!(candidates(&env, true).len(), 3);
        assert_eq!(find(Some(Path::new("/x.yml")), &env), Some(PathBuf::from("/x.yml")));
        let env = [(OWN_VARIABLE.to_owned(), "/own.yml".to_owned())].into();
        assert_eq!(find(None, &env), Some(PathBuf::from("/own.yml")));
    }
}

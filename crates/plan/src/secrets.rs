//! The passwords that are made for a cluster, and the file they are kept in.

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use thiserror::Error;
use types::Secret;

/// 32 of 62 characters are 190 bits: nobody guesses that, and nothing has to be quoted anywhere.
const LENGTH: usize = 32;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// A byte of this or more is drawn again, so that every letter is equally likely.
const DRAW_LIMIT: u8 = 248;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SecretsError {
    #[error("the operating system has no random numbers")]
    Random,
    /// Says nothing of what stands there.
    #[error("these are not the cluster's passwords: {0}")]
    Unreadable(String),
}

/// One password for each purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    pub superuser: Secret,
    pub replication: Secret,
    pub rewind: Secret,
    /// The login of the REST API and of the console.
    pub rest_api: Secret,
    pub redis: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    superuser: String,
    replication: String,
    rewind: String,
    rest_api: String,
    redis: String,
}

#[derive(Serialize)]
struct Writing<'a> {
    superuser: &'a str,
    replication: &'a str,
    rewind: &'a str,
    rest_api: &'a str,
    redis: &'a str,
}

impl Secrets {
    /// New ones, from the operating system's random numbers.
    pub fn make() -> Result<Self, SecretsError> {
        Ok(Self {
            superuser: password()?,
            replication: password()?,
            rewind: password()?,
            rest_api: password()?,
            redis: password()?,
        })
    }

    /// From `secrets.yaml`. An error never quotes the text.
    pub fn read(text: &str) -> Result<Self, SecretsError> {
        let unreadable = |why: &str| SecretsError::Unreadable(why.to_owned());
        let written: Written = serde_saphyr::from_str(text)
            .map_err(|_| unreadable("expected superuser, replication, rewind, rest_api and redis"))?;
        let Written { superuser, replication, rewind, rest_api, redis } = written;
        if [&superuser, &replication, &rewind, &rest_api, &redis].iter().any(|it| it.trim().is_empty()) {
            return Err(unreadable("one of them is empty"));
        }
        let [superuser, replication, rewind, rest_api, redis] =
            [superuser, replication, rewind, rest_api, redis].map(Secret::new);
        Ok(Self { superuser, replication, rewind, rest_api, redis })
    }

    /// `secrets.yaml`.
    pub fn to_yaml(&self) -> Secret {
        let mut text =
            String::from("# The passwords that were made for this cluster. Only its owner reads this file.\n");
        let writing = Writing {
            superuser: self.superuser.expose(),
            replication: self.replication.expose(),
            rewind: self.rewind.expose(),
            rest_api: self.rest_api.expose(),
            redis: self.redis.expose(),
        };
        let value = serde_json::to_value(writing).unwrap_or_default();
        // Writing into a string cannot fail.
        let _ = write!(text, "{}", config::yaml_from_json(&value));
        Secret::new(text)
    }

    pub fn all(&self) -> [&Secret; 5] {
        [&self.superuser, &self.replication, &self.rewind, &self.rest_api, &self.redis]
    }
}

/// One password: letters and digits.
pub fn password() -> Result<Secret, SecretsError> {
    let random = SystemRandom::new();
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let mut bytes = [0; LENGTH];
        random.fill(&mut bytes).map_err(|_| SecretsError::Random)?;
        let letters = bytes.iter().filter(|byte| **byte < DRAW_LIMIT);
        text.extend(letters.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])));
    }
    text.truncate(LENGTH);
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_made_is_strong_all_different_and_read_again_as_it_was() {
        let (one, other) = (Secrets::make().unwrap(), Secrets::make().unwrap());
        let texts: BTreeSet<&str> = one.all().into_iter().chain(other.all()).map(Secret::expose).collect();
        assert_eq!(texts.len(), 10, "no password twice");
        assert!(texts.iter().all(|text| text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_eq!(Secrets::read(one.to_yaml().expose()).unwrap(), one);
        assert!(!format!("{one:?}").contains(one.redis.expose()));
    }

    #[test]
    fn what_is_no_file_of_passwords_is_refused_without_quoting_it() {
        let whole = Secrets::make().unwrap().to_yaml();
        for text in ["", "hunter2", "superuser: hunter2", &whole.expose().replace("redis:", "reddis:"), "a: ["] {
            let error = Secrets::read(text).unwrap_err().to_string();
            assert!(error.contains("not the cluster's passwords") && !error.contains("hunter2"), "{error}");
        }
        let digits = "superuser: '0123'\nreplication: '1e5'\nrewind: 'no'\nrest_api: d\nredis: ''\n";
        assert!(Secrets::read(digits).is_err(), "an empty password is none");
        let texts = digits.replace("''", "'null'");
        assert_eq!(Secrets::read(&texts).unwrap().replication.expose(), "1e5");
    }
}

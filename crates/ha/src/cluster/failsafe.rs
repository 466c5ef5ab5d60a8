//! `/failsafe`: who may take the leader key while it exists, and where each is asked not to.
//!
//! The value is Patroni's, `{name: api_url}`, with one entry of our own: the time to live of the leader's lease, which no
//! promise of these members is longer than.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use types::{MemberName, Millis};

/// No member's name: it stands beside the members, as text, so that whoever reads only texts reads on.
const TTL_KEY: &str = "quorate.ttl_ms";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailsafeMembers {
    /// Each with the URL of its REST API.
    pub members: BTreeMap<MemberName, String>,
    /// Of the leader's lease. `None`: a Patroni wrote it, to whom nobody promises anything.
    pub ttl: Option<Millis>,
}

impl FailsafeMembers {
    pub fn from_text(text: &str) -> Result<Self, String> {
        let map: Map<String, Value> = super::read(text)?;
        let mut read = Self::default();
        for (name, value) in map {
            let value = value.as_str().ok_or_else(|| format!("{name} is not a text"))?;
            if name == TTL_KEY {
                read.ttl = Some(Millis(value.parse().map_err(|_| format!("{name} is not a number"))?));
            } else {
                read.members.insert(MemberName::new(name), value.to_owned());
            }
        }
        Ok(read)
    }

    pub fn to_text(&self) -> String {
        let members = self.members.iter().map(|(name, url)| (name.to_string(), Value::String(url.clone())));
        let ttl = self.ttl.iter().map(|ttl| (TTL_KEY.to_owned(), Value::String(ttl.0.to_string())));
        Value::Object(members.chain(ttl).collect()).to_string()
    }

    pub fn lists(&self, name: &MemberName) -> bool {
        self.members.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patronis_value_is_read_and_ours_comes_back_as_it_was() {
        let theirs = FailsafeMembers::from_text(r#"{"pg1":"http://10.0.0.1:8008/patroni"}"#).unwrap();
        assert!(theirs.lists(&"pg1".into()) && !theirs.lists(&"pg2".into()) && theirs.ttl.is_none());
        let ours = FailsafeMembers { ttl: Some(Millis(1500)), ..theirs };
        assert_eq!(FailsafeMembers::from_text(&ours.to_text()).unwrap(), ours);
        assert!(!ours.lists(&TTL_KEY.into()));
        for wrong in ["[]", r#"{"pg1":1}"#, r#"{"quorate.ttl_ms":"soon"}"#] {
            assert!(FailsafeMembers::from_text(wrong).is_err(), "{wrong}");
        }
    }
}

//! `PATRONI_*` variables, laid over the files: a variable wins.

use crate::check::join;
use crate::error::{Code, Report, problem};
use crate::place::Place;
use crate::schema::{self, Field, Kind};
use crate::tree::{self, Node, Scalar, ScalarKind, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every variable with the path of the key it sets.
pub fn variables() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk("", schema::TOP, &mut |path, field| {
        if field.variable {
            found.push((name(path), path.to_owned()));
        }
    });
    found
}

pub(crate) fn overlay(tree: &mut Node, env: &BTreeMap<String, String>, report: &mut Report) {
    walk("", schema::TOP, &mut |path, field| {
        let Some((name, text)) = Some(name(path)).filter(|_| field.variable).and_then(|name| env.get_key_value(&name))
        else {
            return;
        };
        if text.is_empty() {
            return;
        }
        let source: Arc<str> = Arc::from(name.as_str());
        match node(&source, text, field.kind) {
            Ok(node) => {
                let path: Vec<&str> = path.split('.').collect();
                tree.set(&path, node);
            }
            Err(message) => {
                let place = Place { source, line: 0 };
                report.error(problem(Code::Syntax, &place, path, format!("the variable is not valid YAML: {message}")));
            }
        }
    });
}

fn walk(path: &str, fields: &'static [Field], visit: &mut dyn FnMut(&str, &'static Field)) {
    for field in fields {
        let path = join(path, field.key);
        visit(&path, field);
        if let Kind::Section(fields) = field.kind {
            walk(&path, fields, visit);
        }
    }
}

/// Patroni's name: the path in capitals, with the users' sections shortened.
fn name(path: &str) -> String {
    let short = path.replace("postgresql.authentication.", "").replace(".authentication.", ".");
    format!("PATRONI_{}", short.replace('.', "_").to_uppercase())
}

fn node(source: &Arc<str>, text: &str, kind: Kind) -> Result<Node, String> {
    let place = Place { source: Arc::clone(source), line: 0 };
    match kind {
        Kind::Values | Kind::Lines | Kind::Integer { .. } | Kind::Seconds { .. } | Kind::Flag => {
            let node = tree::parse(source, text).map_err(|(_, message)| message)?;
            Ok(Node { place, ..node })
        }
        _ => Ok(Node { value: Value::Scalar(Scalar { text: text.to_owned(), kind: ScalarKind::Text }), place }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_patronis_names() {
        let known: BTreeMap<String, String> = variables().into_iter().collect();
        for (name, path) in [
            ("PATRONI_SCOPE", "scope"),
            ("PATRONI_NAMESPACE", "namespace"),
            ("PATRONI_RESTAPI_LISTEN", "restapi.listen"),
            ("PATRONI_RESTAPI_USERNAME", "restapi.authentication.username"),
            ("PATRONI_POSTGRESQL_DATA_DIR", "postgresql.data_dir"),
            ("PATRONI_SUPERUSER_USERNAME", "postgresql.authentication.superuser.username"),
            ("PATRONI_REPLICATION_SSLROOTCERT", "postgresql.authentication.replication.sslrootcert"),
            ("PATRONI_ETCD3_HOSTS", "etcd3.hosts"),
            ("PATRONI_LOG_LEVEL", "log.level"),
            ("PATRONI_CTL_INSECURE", "ctl.insecure"),
        ] {
            assert_eq!(known.get(name).map(String::as_str), Some(path), "{name}");
        }
    }
}
